"""What was read when a run started, and what it is worth to the run: a Snapshot, tags, files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mlflow_dvc import __version__
from mlflow_dvc.capture.change import Patch
from mlflow_dvc.capture.frozen import Frozen
from mlflow_dvc.capture.inventory import with_data
from mlflow_dvc.capture.lockfile import Stage, lock_of
from mlflow_dvc.capture.project import Project
from mlflow_dvc.capture.reading import Reading
from mlflow_dvc.capture.settle import locked_entry
from mlflow_dvc.guard import warn_once
from mlflow_dvc.snapshot import GitState, Snapshot
from mlflow_dvc.tags import data_tags, git_tags

_ALL_BYTES = 50 * 1024 * 1024
_DVC_FILES = 100
# MLflow's local store lies in the project by default, and DVC reads every dvc.yaml there is.
_DVCIGNORE = b"# Attached by mlflow-dvc: copies, not part of a pipeline.\n*\n"


class Facts:
    """What a reading is worth to the runs of one process; all but the git part of a record.

    ``kept`` is what an earlier process of the same kind made of it. A ``frozen`` record takes the
    place of it all.
    """

    def __init__(
        self, project: Project, reading: Reading | None, frozen: Frozen | None = None
    ) -> None:
        self.project = project
        self.reading = reading
        self.frozen = frozen
        self.is_remembered = False  # by this process, for the next
        memory = reading.memory if reading else None
        run = kind_of_run(project)
        self.kept = next((told for told in memory.told if told.fits(run)), None) if memory else None

    @cached_property
    def snapshot(self) -> Snapshot:
        if self.frozen:
            return self.frozen.snapshot
        return with_data(Snapshot(), self.project, self.reading) if self.reading else Snapshot()

    @cached_property
    def tags(self) -> dict[str, str]:
        return self.kept.tags if self.kept else data_tags(self.snapshot)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self.kept.warnings) if self.kept else self.snapshot.warnings


@dataclass(frozen=True)
class Moment:
    """Everything that was read when a run started; ``faults`` is what could not be, besides data.

    :func:`~mlflow_dvc.capture.workspace.completed` adds what takes longer. ``settled`` is what is
    known of the data since it was looked at, ``sealed`` the locks, by their paths, that DVC is
    about to write.
    """

    facts: Facts
    git: GitState | None
    faults: tuple[str, ...] = ()
    patch: Patch | None = None
    settled: Snapshot | None = None
    sealed: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def project(self) -> Project:
        return self.facts.project

    @property
    def reading(self) -> Reading | None:
        return self.facts.reading

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to record: no commit, no DVC project."""
        has_commit = self.git is not None and self.git.sha is not None
        return self.reading is None and self.facts.frozen is None and not has_commit

    @property
    def warnings(self) -> tuple[str, ...]:
        omitted = self.patch.omitted if self.patch else ()
        missing = (f"uncommitted code: {line}" for line in omitted)
        of_data = self.settled.warnings if self.settled else self.facts.warnings
        return (*self.faults, *missing, *of_data)

    @cached_property
    def tags(self) -> dict[str, str]:
        """What the run is tagged with."""
        if self.is_empty:
            return {}
        return git_tags(self.git) | (data_tags(self.settled) if self.settled else self.facts.tags)

    def with_data(self, data: Snapshot, sealed: Mapping[str, bytes] | None = None) -> Moment:
        """The same moment, with what became known of its data; ``sealed`` are new locks."""
        return replace(self, settled=data, sealed={**self.sealed, **(sealed or {})})

    @property
    def data(self) -> Snapshot:
        """What is known of the data: all of the record but git."""
        return self.settled or self.facts.snapshot

    @cached_property
    def snapshot(self) -> Snapshot:
        return replace(self.data, git=self.git, warnings=self.warnings)

    def lock_at_start(self, stage: Stage) -> Mapping[str, Any] | None:
        """What the lock said of the stage when the run started."""
        sources = self.reading.sources if self.reading else ()
        lock = next((one.lock_content for one in sources if one.file == stage.file), None)
        return locked_entry(lock, stage.name)

    @property
    def read(self) -> Mapping[str, bytes]:
        """Of the files, those of the project, as they were at the start."""
        if self.facts.frozen:
            return self.facts.frozen.files
        return _dvc_files(self.reading) if self.reading is not None else {}

    @property
    def told(self) -> dict[str, bytes]:
        """Of the files, those that tell what became known since the start."""
        raw = {**self.snapshot.to_dict(), "mlflow_dvc": __version__}
        text = json.dumps(raw, indent=1, ensure_ascii=True)
        return {"snapshot.json": text.encode(), **self.sealed}

    @property
    def files(self) -> dict[str, bytes]:
        """Every file worth attaching, by its path below ``dvc/``, as it was at the start."""
        ours = self.told
        if self.reading is not None or self.facts.frozen:
            ours[".dvcignore"] = _DVCIGNORE
        if self.patch:
            ours |= self.patch.files
        found = self.read
        return _bounded(ours | {path: found[path] for path in found if path not in ours})


def kind_of_run(project: Project) -> list[str | None]:
    """What tells the runs of one project apart."""
    return [
        project.relative_root,
        project.directory,
        project.script,
        project.dvc_stage,
        project.experiment,
    ]


def _dvc_files(reading: Reading) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    singles = 0
    for source in reading.sources:
        if source.lock_content is not None:
            found[lock_of(source.file)] = source.lock_content
        if source.file.endswith(".dvc"):
            singles += 1
        if singles <= _DVC_FILES or not source.file.endswith(".dvc"):
            found[source.file] = source.content
    return {**found, **reading.params}


def _bounded(found: dict[str, bytes]) -> dict[str, bytes]:
    """The record must not flood an artifact store; the snapshot comes first and always goes."""
    kept: dict[str, bytes] = {}
    left = _ALL_BYTES
    for path, content in found.items():
        if ".." in path.split("/") or path.startswith("/"):
            continue  # of another project; it has no place below dvc/
        if len(content) > left:
            warn_once(f"{path} is too large to attach: the record of a run has 50 MiB")
            continue
        kept[path] = content
        left -= len(content)
    return kept
