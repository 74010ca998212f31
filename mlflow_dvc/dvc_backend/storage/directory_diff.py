"""Compare two versions of a directory by the listings that DVC keeps.

No data is read. DVC's own comparison of indexes gives the same answer
(``tests/recall/test_diff.py``) and takes thirty times as long (``benchmarks/diff.py``).
"""

from __future__ import annotations

import gc
import os
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Literal

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import call_dvc, describe_dvc_error
from mlflow_dvc.dvc_backend.hash_query import LEGACY
from mlflow_dvc.dvc_backend.readonly_repo import open_read_only
from mlflow_dvc.dvc_backend.storage.stores import FILE_HASH, ListedFile, read_listing_anywhere

MAX_LISTED_FILES = 1000
_MAX_SECONDS = 600.0
_FOLDER = re.compile(r"[0-9a-f]{32}\.dir")

FileStatus = Literal["added", "deleted", "modified", "renamed"]


@dataclass(frozen=True)
class DirectoryPair:
    """Two states of the folder at ``path``, by their hashes."""

    path: str
    algorithm: str
    old: str
    new: str


@dataclass(frozen=True)
class FileChange:
    """One file inside a folder: ``added``, ``deleted``, ``modified`` or ``renamed``.

    ``path`` is relative to the folder; ``old_path`` is where a renamed one was. ``old`` and ``new``
    are hashes.

    Sizes are in bytes, and known of what lies in the cache.
    """

    status: FileStatus
    path: str
    old: str | None = None
    new: str | None = None
    old_path: str | None = None
    old_size: int | None = None
    new_size: int | None = None


@dataclass(frozen=True)
class FileChanges:
    """All of a folder: how many files, and of those that changed the first 1,000."""

    added: int = 0
    deleted: int = 0
    modified: int = 0
    renamed: int = 0
    unchanged: int = 0
    listed: tuple[FileChange, ...] = ()

    @property
    def count(self) -> int:
        """How many have changed."""
        return self.added + self.deleted + self.modified + self.renamed


def compare_directories(
    root: str, folders: Iterable[DirectoryPair]
) -> dict[str, FileChanges | str]:
    """By path: what changed inside, or in words why that cannot be told.

    The listings come from the cache or the remotes of the DVC project at ``root``. Raises OSError
    where DVC cannot be asked.
    """
    request = {"root": root, "folders": [asdict(folder) for folder in folders]}
    answer: dict[str, Any] = call_dvc(run_diff, request, _MAX_SECONDS)
    return {
        path: found if isinstance(found, str) else _changes_of(found)
        for path, found in answer.items()
    }


@api.task("repo", "stores")
def run_diff(root: str, folders: list[dict[str, str]]) -> dict[str, Any]:
    """The task of the child process. It imports DVC and changes the working directory."""
    gc.disable()  # a million rows, none of them in a cycle: it would look at each again and again
    asked = [DirectoryPair(**raw) for raw in folders]
    try:
        with open_read_only(root) as repo:
            return {folder.path: _one(repo, folder) for folder in asked}
    except Exception as error:  # DVC refuses the project
        return {folder.path: f"{root}: {describe_dvc_error(error)}" for folder in asked}


def compare_rows(
    old: Mapping[str, str], new: Mapping[str, str], max_rows: int = MAX_LISTED_FILES
) -> FileChanges:
    """Between two folders, each file's hash by its path. A file that moved counts as renamed."""
    modified = sorted(path for path, value in new.items() if old.get(path, value) != value)
    added = sorted(new.keys() - old.keys(), key=_parts)
    deleted = sorted(old.keys() - new.keys(), key=_parts)
    renamed = dict(_renamed(old, new, deleted, added))
    gone = set(renamed.values())
    added = [path for path in added if path not in renamed]
    deleted = [path for path in deleted if path not in gone]
    rows = (
        *(FileChange("modified", path, old[path], new[path]) for path in modified[:max_rows]),
        *(
            FileChange("renamed", path, old[was], new[path], was)
            for path, was in islice(renamed.items(), max_rows)
        ),
        *(FileChange("deleted", path, old=old[path]) for path in deleted[:max_rows]),
        *(FileChange("added", path, new=new[path]) for path in added[:max_rows]),
    )
    unchanged = len(new) - len(added) - len(renamed) - len(modified)
    counts = (len(added), len(deleted), len(modified), len(renamed), unchanged)
    return FileChanges(*counts, rows[:max_rows])


def _renamed(
    old: Mapping[str, str], new: Mapping[str, str], deleted: list[str], added: list[str]
) -> Iterator[tuple[str, str]]:
    """Where a file is now, and where it was: each one that is gone accounts for one that came."""
    gone: dict[str, deque[str]] = defaultdict(deque)
    for path in deleted:
        gone[old[path]].append(path)
    for path in added:
        if left := gone.get(new[path]):
            yield path, left.popleft()


def _parts(path: str) -> list[str]:
    """As DVC orders paths."""
    return path.split("/")


def _one(repo: Any, folder: DirectoryPair) -> dict[str, Any] | str:
    states = []
    for value in (folder.old, folder.new):
        if not _FOLDER.fullmatch(value):
            return f"{value!r} is not the hash of a folder"
        rows, tried = read_listing_anywhere(repo, folder.algorithm, value)
        if rows is None:
            why = "; ".join(tried) or "the project has no cache and no remote"
            return f"the listing {value} could not be fetched: {why}"
        try:
            states.append(_by_path(rows))
        except (KeyError, TypeError):
            return f"the listing {value} is not one of DVC's"
    found = compare_rows(states[0], states[1])
    cache = repo.cache.legacy if folder.algorithm == LEGACY else repo.cache.local
    return asdict(found) | {"listed": [asdict(_sized(row, cache)) for row in found.listed]}


def _by_path(rows: list[ListedFile]) -> dict[str, str]:
    found = {}
    while rows:  # let go of one while the other grows
        row = rows.pop()
        found[row["relpath"]] = row["md5"]
    return found


def _sized(row: FileChange, cache: Any) -> FileChange:
    old, new = (_size(cache, value) for value in (row.old, row.new))
    return FileChange(row.status, row.path, row.old, row.new, row.old_path, old, new)


def _size(cache: Any, value: str | None) -> int | None:
    if cache is None or value is None or not FILE_HASH.fullmatch(value):
        return None
    try:
        return os.stat(cache.oid_to_path(value)).st_size
    except OSError:  # it was never here
        return None


def _changes_of(raw: dict[str, Any]) -> FileChanges:
    return FileChanges(**raw | {"listed": tuple(FileChange(**row) for row in raw["listed"])})
