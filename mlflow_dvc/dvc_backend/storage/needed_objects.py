"""Which objects of caches and remotes are needed, folder by folder, and which are not."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow_dvc.dvc_backend.child_process import describe_dvc_error
from mlflow_dvc.dvc_backend.hash_query import LEGACY
from mlflow_dvc.dvc_backend.readonly_repo import open_read_only
from mlflow_dvc.dvc_backend.storage.stores import open_stores, read_listing_bytes
from mlflow_dvc.progress import Work
from mlflow_dvc.project import find_git_root

FOLDER = ".dir"  # what the hash of a folder ends in
_OBJECT = re.compile(r"[0-9a-f]{32}(\.dir)?")  # anything else that lies there is not DVC's
_ALGORITHMS = ("md5", LEGACY)
_OF_THIS_MACHINE = ("local", "legacy", "repo")
_TIPS = ("all_branches", "all_tags")  # the others are told by the text of DVC's files


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
class _Places:
    """The cache and the remotes of a project, each with a name; which of them cannot be opened."""

    stores: tuple[tuple[str, Any], ...]
    faults: tuple[str, ...]

    @classmethod
    def of(cls, repo: Any) -> _Places:
        faults: list[str] = []
        opened = [one for kind in _ALGORITHMS for one in open_stores(repo, kind, faults.append)]
        return cls(tuple(opened), tuple(faults))


class NeededObjects:
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
        self._optional = {value for value in optional if value.endswith(FOLDER)}
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
        left = self._expand(_Places.of(repo))
        for project in self._scope.projects:
            with open_read_only(project) as other:
                self._needed |= self._named_by(other)
                left = self._expand(_Places.of(other))
        os.chdir(self.root)
        faults = [f"{value}: {said[0]}" for value in left if (said := self._faults.get(value))]
        if faults:
            raise OSError(f"the files of the folder {faults[0]}")
        self.unlisted.update(left)

    def _folders(self) -> set[str]:
        """Those of which the files are not known yet."""
        named = {value for value in self._needed if value.endswith(FOLDER)}
        return named - self._listings.keys() - self._optional

    def _named_by(self, repo: Any, *, is_own: bool = False) -> set[str]:
        """Every hash that DVC's files name in the work tree, and at the branches and tags asked."""
        found: set[str] = set()
        is_git = not type(repo.scm).__name__.startswith("NoSCM")
        if self._commits and not is_git and find_git_root(repo.root_dir):
            raise OSError(f"core.no_scm hides the branches and tags of {repo.root_dir} from DVC")
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

    def _expand(self, places: _Places) -> list[str]:
        """Add the files of folders; the folders of which there is no listing here."""
        lost = []
        folders = sorted(self._folders())
        with Work("reading listings of folders", "listings", len(folders)) as work:
            for value in folders:
                rows = self._listing(places, value)
                if rows is None:
                    lost.append(value)
                else:
                    self._needed.update(rows.values())
                work.advance()
        return lost

    def _expand_cached(self, repo: Any) -> None:
        """Of folders that need have no listing, the files of those that have one here."""
        for value in self._optional:
            for odb in {repo.cache.local, repo.cache.legacy} - {None}:
                if os.path.isfile(odb.oid_to_path(value)):
                    self._needed.update(_files_in(value, read_listing_bytes(odb, value)).values())

    def _listing(self, places: _Places, value: str) -> dict[str, str] | None:
        """The hash of each file of a folder; None where none of ``places`` has it.

        What could not be asked meanwhile is in ``faults``. Raises OSError where a listing cannot be
        read.
        """
        if value in self._listings:
            return self._listings[value]
        faults = self._faults.setdefault(value, [])
        for name, odb in places.stores:
            try:
                _require_place(name, odb)
                content = read_listing_bytes(odb, value)
            except FileNotFoundError:
                continue
            except Exception as error:  # damaged, too: somebody may mend it
                faults.append(f"{name}: {describe_dvc_error(error)}")
                continue
            self._listings[value] = _files_in(value, content)
            return self._listings[value]
        faults += places.faults
        return None

    def listings(self, repo: Any, values: Iterable[str]) -> dict[str, dict[str, str]]:
        """Of those folders of which there is one."""
        places = _Places.of(repo)
        found = ((value, self._listing(places, value)) for value in values)
        return {value: rows for value, rows in found if rows}

    def stores(self, repo: Any) -> Iterator[tuple[str, Any]]:
        """Each cache and remote once, with a name."""
        seen: list[Any] = []
        for name, odb in (*self._caches(repo), *self._clouds(repo)):
            if odb.read_only:
                raise OSError(f"{name} ({odb.path}) may not be written")
            if not any(_is_one_place(odb, other) for other in seen):
                seen.append(odb)
                yield name, odb

    def others(self, repo: Any, asked: Sequence[Any]) -> Iterator[tuple[str, Any]]:
        """The caches and remotes of the project that are not among those ``asked``."""
        for name, odb in _Places.of(repo).stores:
            if not any(_is_one_place(odb, one) for one in asked):
                yield name, odb

    def _caches(self, repo: Any) -> Iterator[tuple[str, Any]]:
        for scheme, odb in repo.cache.by_scheme():
            if odb is not None:
                kind = "cache" if scheme in _OF_THIS_MACHINE else f"cache {scheme}"
                yield _named(kind, odb), odb

    def _clouds(self, repo: Any) -> Iterator[tuple[str, Any]]:
        if not self._scope.cloud:
            return
        default = repo.config["core"].get("remote")  # without one DVC says what to do
        named = [name for name in sorted(self._remotes) if name in repo.config["remote"]]
        for name in self._scope.remotes or (default, *named):
            for algorithm in _ALGORITHMS:
                odb = repo.cloud.get_remote_odb(name, "gc -c", hash_name=algorithm)
                yield _named(f"remote {name}", odb), odb

    def unneeded(self, name: str, odb: Any) -> Iterator[str]:
        found = set()
        with Work(f"listing the {name}", "objects") as work:
            for oid in filter(_OBJECT.fullmatch, odb.all()):
                found.add(oid)
                work.advance()
        self.totals[name] = len(found)
        yield from sorted(found - self._needed)


def _named(name: str, odb: Any) -> str:
    return f"{name} of DVC 2" if odb.hash_name == LEGACY else name


def _is_one_place(one: Any, other: Any) -> bool:
    """DVC asks for protocol and path: one bucket of two servers is two."""
    return bool(one == other) and one.fs.config == other.fs.config


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
