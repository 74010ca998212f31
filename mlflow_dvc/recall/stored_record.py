"""The record that a run carries, downloaded once for verify, restore and reproduce."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.dvcfiles.reader import ProjectReader
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.errors import AmbiguousRunError, RunNotFoundError, UnreadableRecordError
from mlflow_dvc.git.uncommitted import PATCH
from mlflow_dvc.limits import MAX_PARSED_BYTES
from mlflow_dvc.paths import is_inside
from mlflow_dvc.scratch_folder import scratch_folder
from mlflow_dvc.snapshot import DataEntry, Snapshot, read_snapshot

if TYPE_CHECKING:
    from mlflow.entities import Run

_MAX_PARENTS = 10
# What a record has of its own below dvc/; all else is the project's.
SUBMODULES = "submodules/"
_RAW, _WRONG = "code/", "contradicted/"
_OWN_FILES = frozenset({
    "snapshot.json", "record.md", "report.html", "reads.json", ".dvcignore", PATCH,
})  # fmt: skip


def is_of_project(path: str, snapshot: Snapshot) -> bool:
    """Whether what is attached at ``path`` is a file of the project: its folders have any names."""
    if path in _OWN_FILES:
        return False
    is_own = path.startswith((_RAW, SUBMODULES, _WRONG)) or bool(tracking.part_number(path))
    return not is_own or path in (snapshot.attached or ())


def is_code(path: str, snapshot: Snapshot) -> bool:
    """Whether it is what turns the commit into the work tree."""
    is_named = path == PATCH or path.startswith((_RAW, SUBMODULES))
    return is_named and not is_of_project(path, snapshot)


def part_folders(paths: Iterable[str], snapshot: Snapshot) -> list[str]:
    """Where later parts of the run are attached, in their order."""
    own = (path for path in paths if tracking.part_number(path))
    found = {path.partition("/")[0] for path in own if not is_of_project(path, snapshot)}
    return sorted(found, key=tracking.part_number)


# Of many runs the files are the same.
_readings: dict[frozenset[tuple[str, bytes]], ProjectReading] = {}
_MAX_READINGS = 50


def _read_project(files: Mapping[str, bytes]) -> ProjectReading:
    with scratch_folder() as folder:
        with suppress(OSError):  # odd names
            tracking.write_files(folder, files)
        os.makedirs(os.path.join(folder, ".dvc"), exist_ok=True)
        reading = ProjectReader(folder).read().with_templates(foreign=True)
        return ProjectReading(reading.root, reading.content)  # all of it, before the folder goes


@dataclass(frozen=True)
class StoredRecord:
    """A run and its record. ``files`` are those below ``dvc/``, by their path there.

    ``later`` are the records of the parts in which the run went on with other code or data;
    ``folder`` is where such a part is attached, empty for the first; of those in ``unreadable``
    there is no snapshot; what lies at the paths in ``unread`` could not be had.
    """

    run: Run
    snapshot: Snapshot
    files: Mapping[str, bytes]
    later: tuple[StoredRecord, ...] = ()
    folder: str = ""
    unreadable: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        return str(self.run.info.run_id)

    @property
    def name(self) -> str:
        return self.run.info.run_name or ""

    @property
    def tags(self) -> Mapping[str, str]:
        tags: Mapping[str, str] = self.run.data.tags
        return tags

    @property
    def stage(self) -> str | None:
        return self.snapshot.stage or self.snapshot.script_stage

    @cached_property
    def project_files(self) -> dict[str, bytes]:
        """DVC's files and the parameters, by their path in the project. Paths are not checked."""
        found = self.files.items()
        return {path: text for path, text in found if is_of_project(path, self.snapshot)}

    @property
    def later_stages(self) -> tuple[StoredRecord, ...]:
        """The parts in which the run was of another stage: one run for a whole pipeline."""
        return tuple(part for part in self.later if part.stage not in (None, self.stage))

    @cached_property
    def final_files(self) -> dict[str, bytes]:
        """The project's files, with the locks as the last of several stages left them."""
        found = dict(self.project_files)
        for part in self.later_stages:
            locks = part.snapshot.locks or {}
            found |= {path: part.files[path] for path in locks if path in part.files}
        return found

    @cached_property
    def parsed_files(self) -> dict[str, bytes]:
        """Those of the project's files that are read: together they are no larger than allowed."""
        left, found = MAX_PARSED_BYTES, {}
        for path, text in sorted(self.project_files.items(), key=lambda item: len(item[1])):
            left -= len(text)
            if left >= 0:
                found[path] = text
        return found

    @cached_property
    def reading(self) -> ProjectReading:
        """Of the project's files, read as a project's own are."""
        files = {path: text for path, text in self.parsed_files.items() if is_inside(path)}
        key = frozenset((path, hashlib.sha256(text).digest()) for path, text in files.items())
        if key not in _readings:
            if len(_readings) >= _MAX_READINGS:
                _readings.clear()
            _readings[key] = _read_project(files)
        return _readings[key]

    @cached_property
    def code_files(self) -> dict[str, bytes]:
        """What turns the commit into the work tree, as it is attached."""
        found = self.files.items()
        return {path: text for path, text in found if is_code(path, self.snapshot)}

    def patch(self, folder: str = "") -> bytes:
        """Of the repository, or of the submodule attached below ``folder``; empty for none."""
        return self.files.get(posixpath.join(folder, PATCH), b"")

    def raw(self, folder: str = "") -> dict[str, bytes]:
        """Files whose bytes a patch cannot carry, by their path in that repository."""
        inside = posixpath.join(folder, _RAW)
        return {
            path.removeprefix(inside): content
            for path, content in self.code_files.items()
            if path.startswith(inside)
        }

    def data(self, *, outputs: bool = True) -> tuple[DataEntry, ...]:
        """The data that the run saw; without ``outputs`` only what was there when it began.

        Of what lay at one path in several of its parts, that of the first.
        """
        found: dict[str, DataEntry] = {}
        for part in (self, *self.later):
            for entry in part.snapshot.observed_data:
                if "://" not in entry.path and (outputs or entry.role != "output"):
                    found.setdefault(entry.path, entry)
        return tuple(found.values())


def load_record(ref: str, tracking_uri: str | None = None) -> StoredRecord:
    """By any name of a run, to bring it back from.

    Raises what :func:`~mlflow_dvc.tracking.find_run` raises, and UnreadableRecordError where there
    is too much of it, or a part of it cannot be had.
    """
    record = load_record_of(tracking.find_run(ref, tracking_uri), tracking_uri)
    if record.unread:
        reason = f"{record.unread[0]} is attached, and could not be read"
        raise UnreadableRecordError(record.run_id, reason)
    return record


def load_record_of(run: Run, tracking_uri: str | None = None) -> StoredRecord:
    """The record of ``run``, as much of it as can be had. Raises UnreadableRecordError."""
    carrier = run_holding_record(run, tracking_uri)
    files, unread = tracking.read_all_attached(carrier, tracking_uri)
    snapshot = tracking.read_snapshot(carrier, files.get("snapshot.json"), alone=True)
    ordered = part_folders(files, snapshot)
    apart = tuple(f"{folder}/" for folder in ordered)
    named = snapshot.attached or ()
    first = {path: files[path] for path in files if path in named or not path.startswith(apart)}
    first = _less_withheld(first, snapshot)
    if carrier is not run:  # how its parent went on is not this run's; sync may reach one alone
        snapshot = replace(snapshot, seal=tag.from_tags(run.data.tags).seal or snapshot.seal)
        return StoredRecord(run, snapshot, first, unread=unread)
    later = tuple(_later(run, files, ordered))
    known = {part.folder for part in later}
    unreadable = tuple(folder for folder in ordered if folder not in known)
    return StoredRecord(run, snapshot, first, later, unreadable=unreadable, unread=unread)


def _later(run: Run, files: Mapping[str, bytes], folders: Iterable[str]) -> Iterator[StoredRecord]:
    for folder in folders:
        start = f"{folder}/"
        mine = {path.removeprefix(start): files[path] for path in files if path.startswith(start)}
        with suppress(ValueError):  # not ours, or damaged: it answers nothing
            snapshot = read_snapshot(mine.get("snapshot.json", b""))
            yield StoredRecord(run, snapshot, _less_withheld(mine, snapshot), folder=folder)


def _less_withheld(files: Mapping[str, bytes], snapshot: Snapshot) -> dict[str, bytes]:
    """A file may have come to hold a secret after it was attached: what is there is an old one."""
    withheld = snapshot.withheld or {}
    return {path: text for path, text in files.items() if path not in withheld}


def load_snapshots(run: Run, tracking_uri: str | None = None) -> list[Snapshot]:
    """What the run's records tell: the one of its start, and those of when it was resumed."""
    mine = tracking.load_all(run, tracking_uri)
    if tag.MLFLOW_PARENT not in run.data.tags:
        return mine
    carrier = run_holding_record(run, tracking_uri)
    return mine if carrier is run else [tracking.load_snapshot(carrier, tracking_uri), *mine[1:]]


def run_holding_record(run: Run, tracking_uri: str | None) -> Run:
    """The run that has the record of ``run``: a parent, where its record is the same."""
    found = run
    for _ in range(_MAX_PARENTS):
        parent = found.data.tags.get(tag.MLFLOW_PARENT)
        if not parent or tracking.has_attached(found, tracking_uri):
            break
        try:
            above = tracking.get_run(parent, tracking_uri)
        except (RunNotFoundError, AmbiguousRunError):  # deleted, or the tag is somebody's own
            break
        if tag.identity(above.data.tags) != tag.identity(run.data.tags):
            break
        found = above
    return found
