"""Everything read when a run started, as a Snapshot, as tags and as files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

from mlflow_dvc._version import __version__
from mlflow_dvc.capture.claims import claim_data
from mlflow_dvc.capture.frozen_record import FrozenRecord
from mlflow_dvc.capture.running_code import stage_execution
from mlflow_dvc.dvcfiles.lock_file import lock_path, locked_entry
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.fingerprint import md5_of
from mlflow_dvc.git.uncommitted import Patch
from mlflow_dvc.guard import warn_once
from mlflow_dvc.project import Project
from mlflow_dvc.secrets.urls import public_text
from mlflow_dvc.snapshot import GitState, Snapshot, withheld_lines
from mlflow_dvc.snapshot_file import dump_snapshot
from mlflow_dvc.tags import data_tags, git_tags

_MAX_ATTACHED_BYTES = 50 * 1024 * 1024
_MAX_DVC_FILES = 100
READS_FILE = "reads.json"
_NOT_SEARCHED = "it was not searched for credentials"


class DataCapture:
    """The data part of a record, shared by all runs of this process.

    ``cached_tags`` are those that an earlier process of the same kind made of it. A ``frozen``
    record takes the place of it all.
    """

    def __init__(
        self, project: Project, reading: ProjectReading | None, frozen: FrozenRecord | None = None
    ) -> None:
        self.project = project
        self.reading = reading
        self.frozen = frozen
        self.is_saved = False  # by this process, for the next
        cached = reading.cached if reading else None
        run = cache_key(project)
        self.cached_tags = (
            next((told for told in cached.tags_by_run if told.fits(run)), None) if cached else None
        )

    def is_current(self) -> bool:
        """Whether no tracked data without a hash has come since: it is an input then.

        Everything else that counts belongs to the reading.
        """
        if self.cached_tags:
            return self.cached_tags.lacks_the_same()
        return not self._find_unhashed() - self.unhashed

    @cached_property
    def unhashed(self) -> frozenset[str]:
        """The tracked data without a hash that lay there at the moment of the claims."""
        return self._find_unhashed()

    @cached_property
    def snapshot(self) -> Snapshot:
        if self.frozen:
            return self.frozen.snapshot
        if self.reading is None:
            return Snapshot()
        return claim_data(Snapshot(), self.project, self.reading, self.unhashed)

    @cached_property
    def tags(self) -> dict[str, str]:
        return self.cached_tags.tags if self.cached_tags else data_tags(self.snapshot)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self.cached_tags.warnings) if self.cached_tags else self.snapshot.warnings

    def _find_unhashed(self) -> frozenset[str]:
        if self.reading is None:
            return frozenset()
        root = self.reading.root
        paths = self.reading.unhashed
        return frozenset(path for path in paths if os.path.lexists(os.path.join(root, path)))


@dataclass(frozen=True)
class RunCapture:
    """Everything that was read when a run started; ``faults`` is what could not be, besides data.

    :func:`~mlflow_dvc.capture.workspace.add_slow_facts` adds what takes longer. ``checked`` is the
    data after the disk check, ``sealed_locks`` are the locks, by path, that DVC is about to write.
    ``withheld`` names the files of the project that are not to be attached, each with the reason;
    None before they were searched: then none is. ``read_files`` lists the files of folders that
    were read.
    """

    data_capture: DataCapture
    git: GitState | None
    faults: tuple[str, ...] = ()
    patch: Patch | None = None
    checked: Snapshot | None = None
    sealed_locks: Mapping[str, bytes] = field(default_factory=dict)
    withheld: Mapping[str, str] | None = None
    read_files: bytes | None = None

    @property
    def project(self) -> Project:
        return self.data_capture.project

    @property
    def reading(self) -> ProjectReading | None:
        return self.data_capture.reading

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to record: no git repository, no DVC project."""
        return self.reading is None and self.data_capture.frozen is None and self.git is None

    @property
    def warnings(self) -> tuple[str, ...]:
        omitted = self.patch.omitted if self.patch else ()
        missing = (f"uncommitted code: {line}" for line in omitted)
        of_data = self.checked.warnings if self.checked else self.data_capture.warnings
        return tuple(map(public_text, (*self.faults, *missing, *of_data)))

    @property
    def withheld_lines(self) -> tuple[str, ...]:
        """A line for each file of which it is known by now that it is not attached."""
        return tuple(withheld_lines(self.withheld or {}))

    @cached_property
    def tags(self) -> dict[str, str]:
        """What the run is tagged with."""
        if self.is_empty:
            return {}
        found = git_tags(self.git) | (
            data_tags(self.checked) if self.checked else self.data_capture.tags
        )
        return {key: public_text(value) for key, value in found.items()}

    def with_data(self, data: Snapshot, sealed: Mapping[str, bytes] | None = None) -> RunCapture:
        """A copy with what became known of its data; ``sealed`` are new locks."""
        return replace(self, checked=data, sealed_locks={**self.sealed_locks, **(sealed or {})})

    @property
    def data(self) -> Snapshot:
        """What is known of the data: all of the record but git."""
        return self.checked or self.data_capture.snapshot

    @cached_property
    def snapshot(self) -> Snapshot:
        told = replace(self.data, git=self.git, warnings=self.warnings)
        if self.data_capture.frozen:
            return told
        if told.stage:
            told = replace(told, execution=stage_execution())
        files = {**self.project_files, **self.sealed_locks}
        attached = {path: md5_of(files[path]) for path in _placed(files)}
        withheld = {path: why for path, why in self._withheld(files).items() if path in attached}
        return replace(told, attached=attached, withheld=withheld or None)

    def lock_at_start(self, stage: Stage) -> Mapping[str, Any] | None:
        """What the lock said of the stage when the run started."""
        dvc_files = self.reading.dvc_files if self.reading else ()
        lock = next((one.lock_content for one in dvc_files if one.file == stage.file), None)
        return locked_entry(lock, stage.name)

    @property
    def project_files(self) -> Mapping[str, bytes]:
        """Of the files, those of the project, as they were at the start."""
        if self.data_capture.frozen:
            return self.data_capture.frozen.files
        return files_read(self.reading) if self.reading is not None else {}

    @property
    def shown_files(self) -> Mapping[str, bytes]:
        """Of the files, those of the project that may be attached, the locks as they are sealed."""
        return self._less_withheld({**self.project_files, **self.sealed_locks})

    @cached_property
    def late_files(self) -> Mapping[str, bytes]:
        """Of the files, those that tell what became known since the start."""
        content = dump_snapshot({**self.snapshot.to_dict(), "mlflow_dvc": __version__})
        listed = {READS_FILE: self.read_files} if self.read_files else {}
        return {"snapshot.json": content, **listed, **self._less_withheld(self.sealed_locks)}

    @cached_property
    def all_files(self) -> Mapping[str, bytes]:
        """Every file worth attaching, by its path below ``dvc/``, as it was at the start."""
        ours = dict(self.late_files)
        if self.patch:
            ours |= self.patch.files
        found = self._less_withheld(self.project_files)
        return _limit_size(ours | {path: found[path] for path in found if path not in ours})

    def _less_withheld(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        withheld = self._withheld(files)
        return {path: files[path] for path in files if path not in withheld}

    def _withheld(self, files: Mapping[str, bytes]) -> Mapping[str, str]:
        if self.data_capture.frozen:
            return {}
        return dict.fromkeys(files, _NOT_SEARCHED) if self.withheld is None else self.withheld


def cache_key(project: Project) -> list[str | None]:
    """What tells the runs of one project apart."""
    return [
        project.relative_root,
        project.directory,
        project.script,
        project.dvc_stage,
        project.experiment,
    ]


@lru_cache(maxsize=2)  # a reading is the same object while nothing changed
def files_read(reading: ProjectReading) -> Mapping[str, bytes]:
    """DVC's files and the parameters, by their path in the project; not all of many ``*.dvc``."""
    found: dict[str, bytes] = {}
    singles = 0
    for dvc_file in reading.dvc_files:
        if dvc_file.lock_content is not None:
            found[lock_path(dvc_file.file)] = dvc_file.lock_content
        if dvc_file.file.endswith(".dvc"):
            singles += 1
        if singles <= _MAX_DVC_FILES or not dvc_file.file.endswith(".dvc"):
            found[dvc_file.file] = dvc_file.content
    return {**found, **reading.params}


def _placed(paths: Iterable[str]) -> Iterator[str]:
    """Those which are not of another project: they have no place below dvc/."""
    return (path for path in paths if ".." not in path.split("/") and not path.startswith("/"))


def _limit_size(found: dict[str, bytes]) -> dict[str, bytes]:
    """The record must not flood an artifact store; the snapshot comes first and always goes."""
    kept: dict[str, bytes] = {}
    left = _MAX_ATTACHED_BYTES
    for path in _placed(found):
        content = found[path]
        if len(content) > left:
            warn_once(f"{path} is too large to attach: the record of a run has 50 MiB")
            continue
        kept[path] = content
        left -= len(content)
    return kept
