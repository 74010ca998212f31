"""What cache and remotes hold that nobody needs: found, and removed. Nothing goes unlisted."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import call_dvc, describe_dvc_error
from mlflow_dvc.dvc_backend.hash_query import LEGACY
from mlflow_dvc.dvc_backend.readonly_repo import open_read_only
from mlflow_dvc.dvc_backend.storage.stores import open_stores, read_listing_bytes

_MAX_SECONDS = 7 * 24 * 3600.0
_OBJECT = re.compile(r"[0-9a-f]{32}(\.dir)?")  # anything else that lies there is not DVC's
_FOLDER = ".dir"
_ALGORITHMS = ("md5", LEGACY)
_TIPS = ("all_branches", "all_tags")  # the others are told by the text of DVC's files
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
class Needed:
    """``hashes`` of what is needed besides what the work tree and the tips of branches name.

    Folders ``without_listing`` are no outputs: no store has a listing of them.
    """

    hashes: frozenset[str]
    without_listing: frozenset[str] = frozenset()


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
    needed: Needed,
    others: Iterable[str] = (),
) -> Unneeded:
    """What is neither ``needed`` nor named by the work tree, or a tip that ``commits`` asks for.

    ``others`` are hashes of folders that may lose files. Raises OSError, in DVC's words, where not
    all that is needed can be told.
    """
    request = {"search": _search(root, commits, stores, needed), "others": sorted(set(others))}
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
    needed: Needed,
    listed: Iterable[StoreContent],
) -> tuple[dict[str, int], list[str]]:
    """Remove what was listed and is not needed now either.

    How many of each store are gone, and in words which store has refused. Raises OSError as
    :func:`find_unneeded` does; then nothing is gone.
    """
    request = {
        "search": _search(root, commits, stores, needed),
        "listed": {one.path: [row.hash for row in one.objects] for one in listed},
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
    asked = _Search(**search)
    with open_read_only(asked.root) as repo:
        asked.collect(repo)
        places = [(name, odb, list(asked.unneeded(odb))) for name, odb in asked.stores(repo)]
        gone = {oid for _, _, found in places for oid in found}
        lost = {value: asked.listing(repo, value) for value in others}
        folders = {
            value: {path: oid for path, oid in rows.items() if oid in gone or value in gone}
            for value, rows in lost.items()
            if rows
        }
        return {
            "stores": [
                (name, odb.path, asked.totals[odb.path], [(oid, _size(odb, oid)) for oid in found])
                for name, odb, found in places
            ],
            "folders": folders,
            "unlisted": sorted(asked.unlisted),
        }


@api.task("repo", "stores", "push", "gc")
def run_remove(search: Mapping[str, Any], listed: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The task of the child process. DVC's lock is held, as ``dvc gc`` does."""
    asked = _Search(**search)
    os.chdir(asked.root)
    repo = api.Repo(asked.root)
    with api.lock_repo(repo):
        asked.collect(repo)
        # All that is to go is known before the first object goes.
        found = [
            (name, odb, sorted(set(listed.get(odb.path, ())).intersection(asked.unneeded(odb))))
            for name, odb in asked.stores(repo)
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
        self,
        root: str,
        commits: Mapping[str, bool],
        stores: Mapping[str, Any],
        needed: Iterable[str],
        optional: Iterable[str],
    ) -> None:
        self.root = root
        self._commits = {name: True for name in _TIPS if commits[name]}
        self._scope = StoreScope(**stores)
        self._needed = set(needed)
        self._optional = {value for value in optional if value.endswith(_FOLDER)}
        self._remotes: set[str] = set()
        self._listings: dict[str, dict[str, str]] = {}
        self._faults: dict[str, list[str]] = {}
        self.unlisted: set[str] = set()
        self.totals: dict[str, int] = {}

    def collect(self, repo: Any) -> None:
        """Of this project first: what it has the others need not be asked for."""
        outs = self._named_by(repo, is_own=True)
        self._needed |= outs
        self._optional -= outs
        self._expand_cached(repo)
        left = self._expand(repo, self._folders())
        for project in self._scope.projects:
            with open_read_only(project) as other:
                self._needed |= self._named_by(other)
                left = self._expand(other, self._folders())
        os.chdir(self.root)
        faults = [f"{value}: {said[0]}" for value in left if (said := self._faults.get(value))]
        if faults:
            raise OSError(f"the files of the folder {faults[0]}")
        self.unlisted.update(left)

    def _folders(self) -> set[str]:
        """Those of which the files are not known yet."""
        named = {value for value in self._needed if value.endswith(_FOLDER)}
        return named - self._listings.keys() - self._optional

    def _named_by(self, repo: Any, *, is_own: bool = False) -> set[str]:
        """Every hash that DVC's files name in the work tree, and at the branches and tags asked."""
        found: set[str] = set()
        is_git = not type(repo.scm).__name__.startswith("NoSCM")
        for rev in repo.brancher(**(self._commits if is_git else {})):
            try:
                outs = list(repo.index.outs)
            except Exception as error:
                where = f"{rev or 'workspace'} of {repo.root_dir}"
                raise OSError(f"{where} cannot be read: {describe_dvc_error(error)}") from error
            for out in outs:
                if out.use_cache:
                    found.update(_hashes_of(out))
                    self._remotes |= {out.remote} if out.remote and is_own else set()
        return found

    def _expand(self, repo: Any, values: Iterable[str]) -> list[str]:
        """Add the files of folders; the folders of which there is no listing here."""
        lost = []
        for value in sorted(values):
            rows = self.listing(repo, value)
            if rows is None:
                lost.append(value)
            else:
                self._needed.update(rows.values())
        return lost

    def _expand_cached(self, repo: Any) -> None:
        """Of folders that need have no listing, the files of those that have one here."""
        for value in self._optional:
            for odb in {repo.cache.local, repo.cache.legacy} - {None}:
                if os.path.isfile(odb.oid_to_path(value)):
                    self._needed.update(_files_in(value, read_listing_bytes(odb, value)).values())

    def listing(self, repo: Any, value: str) -> dict[str, str] | None:
        """The hash of each file of a folder; None where no store of ``repo`` has it.

        What could not be asked meanwhile is in ``faults``. Raises OSError where a listing cannot be
        read.
        """
        for algorithm in _ALGORITHMS if value not in self._listings else ():
            for name, odb in open_stores(repo, algorithm, self._add_fault(value)):
                try:
                    _require_place(name, odb)
                    content = read_listing_bytes(odb, value)
                except FileNotFoundError:
                    continue
                except Exception as error:  # damaged, too: somebody may mend it
                    self._add_fault(value)(f"{name}: {describe_dvc_error(error)}")
                    continue
                self._listings[value] = _files_in(value, content)
                return self._listings[value]
        return self._listings.get(value)

    def _add_fault(self, value: str) -> Callable[[str], None]:
        return self._faults.setdefault(value, []).append

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


def _require_place(name: str, odb: Any) -> None:
    """Raises OSError for a folder that is not mounted: what it has is not known."""
    top = odb.path
    for folder in ("md5", "files"):
        top = os.path.dirname(top) if os.path.basename(top) == folder else top
    if odb.fs.protocol == "local" and name.startswith("remote ") and not os.path.isdir(top):
        raise NotADirectoryError(f"{top} is not there")


def _files_in(value: str, content: bytes) -> dict[str, str]:
    """Of a listing, whose hash was checked: any name may stand there."""
    try:
        rows = json.loads(content)
        return {str(row["relpath"]): str(row["md5"]) for row in rows}
    except (ValueError, TypeError, KeyError) as error:
        raise OSError(f"the listing of the folder {value} cannot be read: {error!r}") from error


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
