"""What cache and remotes hold that nobody needs: found, and removed. Nothing goes unlisted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import call_dvc, describe_dvc_error, finish_first
from mlflow_dvc.dvc_backend.readonly_repo import open_read_only
from mlflow_dvc.dvc_backend.storage.needed_objects import FOLDER, NeededObjects, StoreScope
from mlflow_dvc.dvc_backend.storage.stores import existing_hashes
from mlflow_dvc.progress import Work

_MAX_SECONDS = 7 * 24 * 3600.0
_CHUNK = 1000  # objects that a store is asked to remove together
_KEPT = "those are gone, all else is still there; the same command goes on"


@dataclass(frozen=True)
class CommitScope:
    """Whose data is needed, beside that of the work tree: the options of ``dvc gc``."""

    all_branches: bool = False
    all_tags: bool = False
    all_commits: bool = False
    all_experiments: bool = False

    def __bool__(self) -> bool:
        return self.all_branches or self.all_tags or self.all_commits or self.all_experiments


@dataclass(frozen=True)
class Needed:
    """``hashes`` of what is needed besides what the work tree and the tips of branches name.

    Folders ``without_listing`` are no outputs: no store has a listing of them.
    """

    hashes: frozenset[str]
    without_listing: frozenset[str] = frozenset()

    @classmethod
    def of(cls, named: Iterable[tuple[str, bool]]) -> Needed:
        """Of hashes as often as they are named, each with whether it may be that of an output."""
        found: dict[str, bool] = {}
        for value, is_output in named:
            found[value] = found.get(value, False) or is_output
        return cls(frozenset(found), frozenset(one for one, is_out in found.items() if not is_out))

    def __or__(self, other: Needed) -> Needed:
        outputs = (self.hashes - self.without_listing) | (other.hashes - other.without_listing)
        hashes = self.hashes | other.hashes
        return Needed(hashes, hashes - outputs)


@dataclass(frozen=True)
class UnneededObject:
    """A file of a cache or a remote; its ``size`` in bytes is known in a folder."""

    hash: str
    size: int | None = None


@dataclass(frozen=True)
class StoreContent:
    """Of one cache or remote, which ``name`` names, what nobody needs of ``total`` objects."""

    name: str
    path: str
    total: int
    objects: tuple[UnneededObject, ...]


@dataclass(frozen=True)
class Unneeded:
    """``folders`` has the files, by their path, of folders that were asked for and lose any.

    ``unlisted`` are folders that are needed and have no listing anywhere: their files are not
    known. ``elsewhere`` is what was asked for, and stays in a store that is not looked through,
    with the name of that.
    """

    stores: tuple[StoreContent, ...]
    folders: Mapping[str, Mapping[str, str]]
    unlisted: tuple[str, ...]
    elsewhere: Mapping[str, str]


def find_unneeded(
    root: str,
    commits: CommitScope,
    stores: StoreScope,
    needed: Needed,
    others: Iterable[str] = (),
) -> Unneeded:
    """What is neither ``needed`` nor named by the work tree, or a tip that ``commits`` asks for.

    ``others`` are hashes of what may be lost, folders too. Raises OSError, in DVC's words, where
    not all that is needed can be told.
    """
    request = {"search": _search(root, commits, stores, needed), "others": sorted(set(others))}
    raw = call_dvc(run_find, request, _MAX_SECONDS)
    found = (
        StoreContent(name, path, total, tuple(UnneededObject(*one) for one in objects))
        for name, path, total, objects in raw["stores"]
    )
    return Unneeded(tuple(found), raw["folders"], tuple(raw["unlisted"]), raw["elsewhere"])


def remove_unneeded(
    root: str,
    commits: CommitScope,
    stores: StoreScope,
    needed: Needed,
    listed: Iterable[StoreContent],
) -> tuple[dict[str, int], list[str]]:
    """Remove what was listed and is not needed now either.

    How many of each store are gone, and in words which store has refused. Raises OSError as
    :func:`find_unneeded` does; then nothing is gone.
    """
    request = {
        "search": _search(root, commits, stores, needed),
        "listed": {one.name: [row.hash for row in one.objects] for one in listed},
    }
    answer = call_dvc(run_remove, request, _MAX_SECONDS)
    return answer["removed"], answer["faults"]


def _search(root: str, commits: CommitScope, stores: StoreScope, needed: Needed) -> dict[str, Any]:
    return {
        "root": root,
        "commits": asdict(commits),
        "stores": asdict(stores),
        "needed": sorted(needed.hashes),
        "optional": sorted(needed.without_listing),
    }


@api.task("repo", "stores", "push", "gc")
def run_find(search: Mapping[str, Any], others: Sequence[str]) -> dict[str, Any]:
    """The task of the child process. It imports DVC and changes the working directory."""
    asked = NeededObjects(**search)
    with open_read_only(asked.root) as repo:
        asked.collect(repo)
        places = [(name, odb, list(asked.unneeded(name, odb))) for name, odb in asked.stores(repo)]
        gone = {oid for _, _, found in places for oid in found}
        listings = asked.listings(repo, [value for value in others if value.endswith(FOLDER)])
        folders = {
            value: {path: oid for path, oid in rows.items() if oid in gone or value in gone}
            for value, rows in listings.items()
        }
        lost = gone.intersection(others)
        lost |= {oid for rows in folders.values() for oid in rows.values() if oid in gone}
        return {
            "stores": [
                (name, odb.path, asked.totals[name], [(oid, _size(odb, oid)) for oid in found])
                for name, odb, found in places
            ],
            "folders": folders,
            "unlisted": sorted(asked.unlisted),
            "elsewhere": _elsewhere(asked.others(repo, [odb for _, odb, _ in places]), lost),
        }


@api.task("repo", "stores", "push", "gc")
def run_remove(search: Mapping[str, Any], listed: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The task of the child process. DVC's lock is held, as ``dvc gc`` does."""
    asked = NeededObjects(**search)
    os.chdir(asked.root)
    repo = api.Repo(asked.root)
    with api.lock_repo(repo):
        asked.collect(repo)
        # All that is to go is known before the first object goes.
        found = [
            (name, odb, sorted(set(listed.get(name, ())).intersection(asked.unneeded(name, odb))))
            for name, odb in asked.stores(repo)
        ]
        removed, faults = {}, []
        with _removal([(odb, oids) for _, odb, oids in found]) as work:
            for name, odb, oids in found:
                try:
                    for count in _remove(odb, oids, work):
                        removed[name] = count
                except Exception as error:
                    faults.append(f"{name}: {describe_dvc_error(error)}")
        return {"removed": removed, "faults": faults}


def _removal(places: Sequence[tuple[Any, Sequence[str]]]) -> Work:
    """Of so many bytes, where the size of every object is known."""
    sizes = [_size(odb, oid) for odb, oids in places for oid in oids]
    known = [size for size in sizes if size is not None]
    bytes_total = sum(known) if len(known) == len(sizes) else None
    return Work("removing", "objects", len(sizes), bytes_total, _KEPT)


def _elsewhere(stores: Iterable[tuple[str, Any]], lost: set[str]) -> dict[str, str]:
    """Which of ``lost`` another store has; one that does not answer is none."""
    found: dict[str, str] = {}
    for name, odb in stores if lost else ():
        with suppress(Exception):
            found |= dict.fromkeys(existing_hashes(odb, lost - found.keys()), name)
    return found


def _size(odb: Any, oid: str) -> int | None:
    """In a folder of this machine: elsewhere each is a request."""
    try:
        return os.stat(odb.oid_to_path(oid)).st_size if odb.fs.protocol == "local" else None
    except OSError:
        return None


def _remove(odb: Any, oids: Sequence[str], work: Work) -> Iterator[int]:
    """How many are gone, again and again.

    Listings first: a folder without all of its files is worse than none.
    """
    chunk = 1 if odb.fs.protocol == "local" else _CHUNK
    ordered = sorted(oids, key=lambda oid: not oid.endswith(FOLDER))
    if ordered:
        api.get_index(odb).clear()  # what DVC remembers of a remote
    for start in range(0, len(ordered), chunk):
        some = ordered[start : start + chunk]
        size = sum(_size(odb, oid) or 0 for oid in some)
        with finish_first():
            _remove_together(odb, some)
            work.advance(len(some), size)
        yield start + len(some)


def _remove_together(odb: Any, oids: Sequence[str]) -> None:
    for oid in oids:
        if oid.endswith(FOLDER):
            odb._remove_unpacked_dir(oid)
    paths = [odb.oid_to_path(oid) for oid in oids]
    try:
        odb.fs.remove(paths)
    except FileNotFoundError:  # somebody else removes there too
        for path in filter(odb.fs.exists, paths):
            odb.fs.remove(path)
