"""How the data of two runs differs: by path, and by file inside folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeGuard

from mlflow_dvc.dvc_backend.storage import directory_diff as backend
from mlflow_dvc.dvc_backend.storage.directory_diff import DirectoryPair, FileChanges
from mlflow_dvc.paths import DATASET_SCHEME
from mlflow_dvc.snapshot import DataEntry, Snapshot, inputs

DataStatus = Literal["added", "removed", "modified", "unknown"]


@dataclass(frozen=True)
class DataChange:
    """One path whose data differs, or may. ``reason`` says why something is not known of it.

    ``status`` is ``added``, ``removed``, ``modified`` or ``unknown``; ``old`` and ``new`` are None
    where a run does not have the path.
    ``files`` tells what changed inside of a folder, where that could be found out.
    """

    path: str
    status: DataStatus
    old: DataEntry | None = None
    new: DataEntry | None = None
    files: FileChanges | None = None
    reason: str = ""


@dataclass(frozen=True)
class DataDiff:
    """What the runs saw of the same data differently. ``unchanged`` counts the other paths."""

    changes: tuple[DataChange, ...] = ()
    unchanged: int = 0
    notes: tuple[str, ...] = ()

    @property
    def differs(self) -> bool | None:
        """None where the one run does not say of a path, or of all, what the other does."""
        if any(change.status != "unknown" for change in self.changes):
            return True
        return None if self.changes or self.notes else False


class RunData:
    """What a run says of its data; ``complete``: and that there is no other."""

    def __init__(self, name: str, snapshot: Snapshot, *, complete: bool = True) -> None:
        self.name = name
        self.is_recorded = bool(snapshot)
        self.is_reconstructed = snapshot.reconstructed is not None
        # What git has of the outputs is told here too: it is no code.
        in_git = (entry for entry in snapshot.data if not entry.cached and entry.is_fact)
        self.saw = {entry.path: entry for entry in (*in_git, *reversed(snapshot.observed_data))}
        self._complete = complete
        self._stale = {entry.path for entry in snapshot.data if entry.certainty == "stale"}
        self._named = {entry.path for entry in (*snapshot.data, *snapshot.deps)}
        self.paths = {*self.saw, *(entry.path for entry in inputs(snapshot) if not entry.is_fact)}

    def surely_had_no(self, path: str) -> bool:
        """Whether the run can be said not to have had such data at all."""
        return self._complete and path not in self._named

    def why_unknown(self, path: str) -> str:
        """Why it has no hash of it."""
        if path in self._stale:
            return f"{self.name}: made by its stage, or after it, and not recorded"
        return f"{self.name}: no hash is recorded"


def compare_data(old: RunData, new: RunData, root: str | None) -> DataDiff:
    """``root`` is a DVC project whose cache and remotes may have the listings of folders."""
    silent = [side.name for side in (old, new) if not side.is_recorded]
    if silent:
        return DataDiff(notes=tuple(f"{name}: the run carries no record" for name in silent))
    paths = sorted(old.paths | new.paths)
    changes = [change for path in paths if (change := _change(path, old, new))]
    claimed = [side.name for side in (old, new) if side.is_reconstructed]
    notes = tuple(f"{name}: of its data only its commit tells" for name in claimed)
    return DataDiff(tuple(_with_files(changes, root)), len(paths) - len(changes), notes)


def _change(path: str, old: RunData, new: RunData) -> DataChange | None:
    """None where both runs saw the same."""
    was, now = old.saw.get(path), new.saw.get(path)
    for side, entry in ((old, was), (new, now)):
        if entry is None and not side.surely_had_no(path):
            return DataChange(path, "unknown", was, now, reason=side.why_unknown(path))
    if was is None or now is None:
        return DataChange(path, "added" if was is None else "removed", was, now)
    if _kind(was) != _kind(now):
        why = f"one is hashed by {was.algorithm}, the other by {now.algorithm}"
        return DataChange(path, "unknown", was, now, reason=why)
    if was.hash == now.hash and not was.tells_data:
        return DataChange(path, "unknown", was, now, reason="only sizes are known, which are equal")
    if was.hash == now.hash and was.algorithm != now.algorithm:
        what = f"the same version of something else: {was.algorithm}, then {now.algorithm}"
        return DataChange(path, "modified", was, now, reason=what)
    return None if was.hash == now.hash else _modified(path, was, now)


def _modified(path: str, was: DataEntry, now: DataEntry) -> DataChange:
    """Of a reconstructed run it is not known what it saw: its commit has another."""
    pairs = (("old", was), ("new", now))
    if names := [name for name, entry in pairs if entry.certainty == "committed"]:
        why = f"{' and '.join(names)}: only the commit tells; the run may have seen another"
        return DataChange(path, "unknown", was, now, reason=why)
    return DataChange(path, "modified", was, now)


def _kind(entry: DataEntry) -> str:
    """Of the version of a dataset, without what it is a version of."""
    is_dataset = entry.path.startswith(DATASET_SCHEME)
    return entry.algorithm.partition(":")[0] if is_dataset else entry.algorithm


def _with_files(changes: list[DataChange], root: str | None) -> Iterator[DataChange]:
    """With what changed in folders."""
    folders = [
        DirectoryPair(change.path, change.old.algorithm, change.old.hash, change.new.hash)
        for change in changes
        if change.status == "modified" and change.old and change.new
        if _is_folder(change.old.hash) and _is_folder(change.new.hash)
    ]
    found = _read_listings(folders, root) if folders else {}
    for change in changes:
        answer = found.get(change.path)
        if isinstance(answer, FileChanges):
            yield replace(change, files=answer)
        else:
            yield replace(change, reason=answer) if answer else change


def _read_listings(
    folders: list[DirectoryPair], root: str | None
) -> Mapping[str, FileChanges | str]:
    if root is None:
        why = "there is no DVC project here whose cache or remotes could list the files"
        return dict.fromkeys((folder.path for folder in folders), why)
    try:
        return backend.compare_directories(root, folders)
    except (OSError, ValueError) as error:
        return dict.fromkeys((folder.path for folder in folders), str(error))


def _is_folder(value: str | None) -> TypeGuard[str]:
    return value is not None and value.endswith(".dir")
