"""What cache and remotes hold that no commit and no run needs: found, and removed.

Which commits count is DVC's own rule, as for ``dvc gc``. What is removed was listed before.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import call_dvc, describe_dvc_error
from mlflow_dvc.dvc_backend.hash_query import LEGACY
from mlflow_dvc.dvc_backend.readonly_repo import open_read_only
from mlflow_dvc.dvc_backend.storage.stores import open_stores, read_listing

_MAX_SECONDS = 7 * 24 * 3600.0
_OBJECT = re.compile(r"[0-9a-f]{32}(\.dir)?")  # anything else that lies there is not DVC's
_FOLDER = ".dir"
_ALGORITHMS = ("md5", LEGACY)
_CHUNK = 1000  # objects that a store is asked to remove together


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
class StoreScope:
    """What is looked through: the cache, and with ``cloud`` remotes.

    Those are ``remotes``; without a name the default one and those that outputs name. ``projects``
    are others that keep data there.
    """

    cloud: bool = False
    remotes: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()


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
    known.
    """

    stores: tuple[StoreContent, ...]
    folders: Mapping[str, Mapping[str, str]]
    unlisted: tuple[str, ...]


def find_unneeded(
    root: str,
    commits: CommitScope,
    stores: StoreScope,
    needed: Iterable[str],
    others: Iterable[str] = (),
) -> Unneeded:
    """What neither a commit of ``commits`` needs nor, by its hash, one of ``needed``.

    ``others`` are hashes of folders that may lose files. Raises OSError, in DVC's words, where not
    all that is needed can be told.
    """
    request = _request(root, commits, stores, needed) | {"others": sorted(set(others))}
    raw = call_dvc(run_find, request, _MAX_SECONDS)
    found = (
        StoreContent(name, path, total, tuple(UnneededObject(*one) for one in objects))
        for name, path, total, objects in raw["stores"]
    )
    return Unneeded(tuple(found), raw["folders"], tuple(raw["unlisted"]))


def remove_unneeded(
    root: str,
    commits: CommitScope,
    stores: StoreScope,
    needed: Iterable[str],
    listed: Iterable[StoreContent],
) -> tuple[dict[str, int], list[str]]:
    """Remove what was listed and is not needed now either.

    How many of each store are gone, and in words which store has refused. Raises OSError as
    :func:`find_unneeded` does; then nothing is gone.
    """
    request = _request(root, commits, stores, needed)
    request["listed"] = {one.path: [row.hash for row in one.objects] for one in listed}
    answer = call_dvc(run_remove, request, _MAX_SECONDS)
    return answer["removed"], answer["faults"]


def _request(
    root: str, commits: CommitScope, stores: StoreScope, needed: Iterable[str]
) -> dict[str, Any]:
    return {
        "root": root,
        "commits": asdict(commits),
        "stores": asdict(stores),
        "needed": sorted(set(needed)),
    }


@api.task("repo", "stores", "push", "gc")
def run_find(
    root: str,
    commits: Mapping[str, bool],
    stores: Mapping[str, Any],
    needed: Sequence[str],
    others: Sequence[str],
) -> dict[str, Any]:
    """The task of the child process. It imports DVC and changes the working directory."""
    search = _Search(root, commits, StoreScope(**stores), needed)
    with open_read_only(root) as repo:
        search.collect(repo)
        places = [(name, odb, list(search.unneeded(odb))) for name, odb in search.stores(repo)]
        gone = {oid for _, _, found in places for oid in found}
        lost = {value: search.listing(repo, value, is_needed=False) for value in others}
        folders = {
            value: {path: oid for path, oid in rows.items() if oid in gone or value in gone}
            for value, rows in lost.items()
            if rows
        }
        return {
            "stores": [
                (name, odb.path, search.totals[odb.path], [(oid, _size(odb, oid)) for oid in found])
                for name, odb, found in places
            ],
            "folders": folders,
            "unlisted": sorted(search.unlisted),
        }


@api.task("repo", "stores", "push", "gc")
def run_remove(
    root: str,
    commits: Mapping[str, bool],
    stores: Mapping[str, Any],
    needed: Sequence[str],
    listed: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """The task of the child process. DVC's lock is held, as ``dvc gc`` does."""
    search = _Search(root, commits, StoreScope(**stores), needed)
    os.chdir(root)
    repo = api.Repo(root)
    with api.lock_repo(repo):
        search.collect(repo)
        # All that is to go is known before the first object goes.
        found = [
            (name, odb, sorted(set(listed.get(odb.path, ())).intersection(search.unneeded(odb))))
            for name, odb in search.stores(repo)
        ]
        removed, faults = {}, []
        for name, odb, oids in found:
            try:
                for count in _remove(odb, oids):
                    removed[name] = count
            except Exception as error:
                faults.append(f"{name}: {describe_dvc_error(error)}")
        return {"removed": removed, "faults": faults}


class _Search:
    """``collect`` what is needed, then ask for the rest of each store."""

    def __init__(
        self, root: str, commits: Mapping[str, bool], scope: StoreScope, needed: Iterable[str]
    ) -> None:
        self._root = root
        self._commits = {name: True for name, asked in commits.items() if asked}
        self._scope = scope
        self._needed = set(needed)
        self._remotes: set[str] = set()
        self._listings: dict[str, dict[str, str]] = {}
        self.unlisted: set[str] = set()
        self.totals: dict[str, int] = {}

    def collect(self, repo: Any) -> None:
        for project in self._scope.projects:
            with open_read_only(project) as other:
                self._needed |= self._named_by_commits(other)
                self._expand(other, self._needed)
        os.chdir(self._root)
        self._needed |= self._named_by_commits(repo)
        for value in self._expand(repo, self._needed):
            self.unlisted.add(value)

    def _named_by_commits(self, repo: Any) -> set[str]:
        """Every hash that DVC's files name, in the work tree and in the commits."""
        found: set[str] = set()
        is_git = not type(repo.scm).__name__.startswith("NoSCM")
        for rev in repo.brancher(**(self._commits if is_git else {})):
            try:
                outs = list(repo.index.outs)
            except Exception as error:
                where = f"{rev or 'workspace'} of {self._root}"
                raise OSError(f"{where} cannot be read: {describe_dvc_error(error)}") from error
            for out in outs:
                if out.use_cache:
                    found.update(_hashes_of(out))
                    self._remotes |= {out.remote} if out.remote else set()
        return found

    def _expand(self, repo: Any, values: Iterable[str]) -> list[str]:
        """Add the files of folders; the folders of which there is no listing."""
        lost = []
        for value in [one for one in values if one.endswith(_FOLDER)]:
            rows = self.listing(repo, value)
            if rows is None:
                lost.append(value)
            else:
                self._needed.update(rows.values())
        return lost

    def listing(self, repo: Any, value: str, *, is_needed: bool = True) -> dict[str, str] | None:
        """The hash of each file of a folder; None where no store has it.

        Raises OSError where it ``is_needed`` and a store that may have it cannot be asked.
        """
        if not value.endswith(_FOLDER):
            return None
        if value not in self._listings:
            faults: list[str] = []
            for algorithm in _ALGORITHMS:
                for name, odb in open_stores(repo, algorithm, faults.append):
                    try:
                        rows = read_listing(odb, value)
                    except (FileNotFoundError, ValueError):  # not there, or damaged
                        continue
                    except Exception as error:
                        faults.append(f"{name}: {describe_dvc_error(error)}")
                        continue
                    self._listings[value] = {row["relpath"]: row["md5"] for row in rows}
                    return self._listings[value]
            if faults and is_needed:
                raise OSError(f"the files of the folder {value} are not known: {faults[0]}")
            return None
        return self._listings[value]

    def stores(self, repo: Any) -> Iterator[tuple[str, Any]]:
        """Each cache and remote once, with a name."""
        seen: list[Any] = []
        for name, odb in (*self._caches(repo), *self._clouds(repo)):
            if odb.read_only:
                raise OSError(f"{name} ({odb.path}) may not be written")
            if odb not in seen:
                seen.append(odb)
                yield name, odb

    def _caches(self, repo: Any) -> Iterator[tuple[str, Any]]:
        for _, odb in repo.cache.by_scheme():
            if odb is not None:
                yield _named("cache", odb), odb

    def _clouds(self, repo: Any) -> Iterator[tuple[str, Any]]:
        if not self._scope.cloud:
            return
        default = repo.config["core"].get("remote")  # without one DVC says what to do
        named = [name for name in sorted(self._remotes) if name in repo.config["remote"]]
        for name in self._scope.remotes or (default, *named):
            for algorithm in _ALGORITHMS:
                odb = repo.cloud.get_remote_odb(name, "gc -c", hash_name=algorithm)
                yield _named(f"remote {name}", odb), odb

    def unneeded(self, odb: Any) -> Iterator[str]:
        found = set(filter(_OBJECT.fullmatch, odb.all()))
        self.totals[odb.path] = len(found)
        yield from sorted(found - self._needed)


def _named(name: str, odb: Any) -> str:
    return f"{name} of DVC 2" if odb.hash_name == LEGACY else name


def _hashes_of(out: Any) -> Iterator[str]:
    if out.hash_info and out.hash_info.value:
        yield out.hash_info.value
    # Of a remote that keeps versions each file is named.
    yield from (row["md5"] for row in out.files or () if isinstance(row.get("md5"), str))


def _size(odb: Any, oid: str) -> int | None:
    """In a folder of this machine: elsewhere each is a request."""
    try:
        return os.stat(odb.oid_to_path(oid)).st_size if odb.fs.protocol == "local" else None
    except OSError:
        return None


def _remove(odb: Any, oids: Sequence[str]) -> Iterator[int]:
    """How many are gone, again and again.

    Listings first: a folder without all of its files is worse than none.
    """
    ordered = sorted(oids, key=lambda oid: not oid.endswith(_FOLDER))
    if ordered:
        api.get_index(odb).clear()  # what DVC remembers of a remote
    for start in range(0, len(ordered), _CHUNK):
        some = ordered[start : start + _CHUNK]
        for oid in some:
            if oid.endswith(_FOLDER):
                odb._remove_unpacked_dir(oid)
        paths = [odb.oid_to_path(oid) for oid in some]
        try:
            odb.fs.remove(paths)
        except FileNotFoundError:  # somebody else removes there too
            for path in filter(odb.fs.exists, paths):
                odb.fs.remove(path)
        yield start + len(some)
