"""Whether cache, remotes or the source of an import have data; nothing is downloaded.

Only the listing of a folder is read, to ask for each of its files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import call_dvc, describe_dvc_error
from mlflow_dvc.dvc_backend.readonly_repo import open_read_only, scratch_store
from mlflow_dvc.dvc_backend.storage.repositories import open_repository, own_repositories
from mlflow_dvc.dvc_backend.storage.stores import (
    Report,
    existing_hashes,
    open_remotes,
    open_stores,
    read_listing_anywhere,
)
from mlflow_dvc.dvc_backend.trust import read_faults, trust_only
from mlflow_dvc.progress import Work

_MAX_SECONDS = 24 * 3600.0
_MAX_NAMED = 5
_WEB_SECONDS = 30
_ABSENT = (404, 410)


# Where it is, some of what is missing, and how much that is.
Found = tuple[list[str], list[tuple[str, str]], int]
OpenPlaces = Callable[[Any, str, Report], Iterator[tuple[str, Any]]]


@dataclass(frozen=True)
class Origin:
    """Where imported data came from: what lies at ``path`` of a repository at a revision."""

    url: str
    rev: str | None
    path: str


@dataclass(frozen=True)
class DataRef:
    """Data that is asked for. ``origin`` is asked where neither cache nor remote has it."""

    algorithm: str
    hash: str
    origin: Origin | None = None

    @property
    def key(self) -> str:
        return f"{self.algorithm}:{self.hash}"


@dataclass(frozen=True)
class Availability:
    """Where it lies; ``missing`` names some of the files that lie nowhere, ``count`` says how many.

    A file is named by its path in the folder, and by its hash.
    """

    stores: tuple[str, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    count: int = 0


def find_available(
    root: str, sought: Iterable[DataRef], *, own: str | None, pushed: bool = False
) -> tuple[dict[str, Availability], list[str]]:
    """By :attr:`DataRef.key`; and in words what could not be asked.

    ``root`` is the project whose cache and remotes are asked, ``own`` the one whose settings are
    the user's. ``pushed``: the cache does not count. Raises OSError where DVC cannot be asked.
    """
    rows = [asdict(one) for one in sought]
    if not rows:
        return {}, []
    question = {"root": root, "sought": rows, "own": own, "pushed": pushed}
    answer = call_dvc(run_exists, question, _MAX_SECONDS)
    found = {
        key: Availability(tuple(names), tuple((path, oid) for path, oid in missing), count)
        for key, (names, missing, count) in answer["found"].items()
    }
    return found, list(answer["unasked"])


@api.task("repo", "hash", "stores", "trust")
def run_exists(
    root: str, sought: Sequence[Mapping[str, Any]], own: str | None, pushed: bool
) -> dict[str, Any]:
    """The task of the child process. It imports DVC and changes the working directory."""
    asked = [DataRef(**{**row, "origin": _origin(row.get("origin"))}) for row in sought]
    unasked: list[str] = []
    trust_only(own)
    try:
        found = _find_in_stores(root, own, asked, unasked, open_remotes if pushed else open_stores)
    except Exception as error:  # of one project; the others are asked all the same
        unasked.append(describe_dvc_error(error))
        found = {one.key: ([], [("", one.hash)], 1) for one in asked}
    for one in asked:
        if found[one.key][2] and (name := _available_at_source(one, own, unasked)):
            found[one.key] = ([name], [], 0)
    return {"found": found, "unasked": list(dict.fromkeys([*read_faults(), *unasked]))}


def _find_in_stores(
    root: str,
    own: str | None,
    asked: Sequence[DataRef],
    unasked: list[str],
    open_places: OpenPlaces,
) -> dict[str, Found]:
    """In the remotes of the project, and in its cache where ``open_places`` opens it too."""
    found: dict[str, Found] = {}
    with open_read_only(root, foreign=root != own) as repo:
        for algorithm in dict.fromkeys(one.algorithm for one in asked):
            mine = [one for one in asked if one.algorithm == algorithm]
            found |= _Search(repo, algorithm, unasked, open_places).all(mine)
    return found


class _Search:
    """Through everything that keeps data by one kind of hash."""

    def __init__(
        self, repo: Any, algorithm: str, unasked: list[str], open_places: OpenPlaces = open_stores
    ) -> None:
        self._repo = repo
        self._algorithm = algorithm
        self._unasked = unasked
        self._open_places = open_places

    def all(self, sought: Sequence[DataRef]) -> dict[str, Any]:
        with Work("reading listings of folders", "listings", len(sought)) as work:
            files = {}
            for one in sought:
                files[one.hash] = list(self._files(one.hash))
                work.advance()
        where = self._where({oid for rows in files.values() for _, oid in rows})
        answer = {}
        for one in sought:
            rows = files[one.hash]
            is_unlisted = one.hash.endswith(".dir") and len(rows) == 1  # or damaged: it has files
            missing = [row for row in rows if row[1] not in where or is_unlisted]
            names = list(dict.fromkeys(where[oid] for _, oid in rows if oid in where))
            answer[one.key] = (names, missing[:_MAX_NAMED], len(missing))
        return answer

    def _files(self, value: str) -> Iterator[tuple[str, str]]:
        """Of a folder its listing and every file, each with the name that it has there."""
        yield "", value
        if value.endswith(".dir"):
            rows, _ = read_listing_anywhere(self._repo, self._algorithm, value)
            yield from ((row["relpath"], row["md5"]) for row in rows or ())

    def _where(self, oids: set[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, odb in self._open_places(self._repo, self._algorithm, self._unasked.append):
            left = oids - found.keys()
            if not left:
                break
            with Work(f"asking the {_store_label(name)}", "files", len(left)) as work:
                found |= dict.fromkeys(self._in_store(name, odb, left), _store_label(name))
                work.advance(len(left))
        return found

    def _in_store(self, name: str, odb: Any, left: set[str]) -> set[str]:
        found: set[str] = set()
        try:
            found = existing_hashes(odb, left)
            if fault := _fault(odb, left - found):
                self._unasked.append(f"{name}: {fault}")
        except Exception as error:
            self._unasked.append(f"{name}: {describe_dvc_error(error)}")
        return found


def _store_label(name: str) -> str:
    """Without the address."""
    return "cache" if name.startswith("cache ") else name.partition(" (")[0]


def _fault(odb: Any, lacking: set[str]) -> str | None:
    """Why a web server may have what it seems to lack: DVC takes every failure for an absence."""
    if odb.fs.protocol not in ("http", "https") or not lacking:
        return None
    try:
        request = Request(odb.oid_to_path(min(lacking)), method="HEAD")  # noqa: S310 - http(s)
        urlopen(request, timeout=_WEB_SECONDS).close()  # noqa: S310
    except HTTPError as error:
        return None if error.code in _ABSENT else f"HTTP {error.code}"
    except OSError as error:
        return describe_dvc_error(error)
    return None


def _origin(raw: Mapping[str, Any] | None) -> Origin | None:
    return Origin(**raw) if raw else None


def _available_at_source(sought: DataRef, own: str | None, unasked: list[str]) -> str | None:
    """The name of the repository that imported data came from, if it has it still."""
    origin = sought.origin
    if origin is None:
        return None
    name = f"{origin.url}@{origin.rev}" if origin.rev else origin.url
    try:
        with open_repository(origin.url, origin.rev, own_repositories(own)) as repo:
            entry = repo.dvcfs.info(origin.path).get("dvc_info", {}).get("entry")
            value = getattr(getattr(entry, "hash_info", None), "value", None)
            if value is None:  # what git itself has there
                return name if _hash_in_git(repo, origin.path, sought) else None
            if value != sought.hash:
                return None
            _, _, lacking = _Search(repo, sought.algorithm, unasked).all([sought])[sought.key]
            return None if lacking else name
    except Exception as error:
        unasked.append(f"{name}: {describe_dvc_error(error)}")
        return None


def _hash_in_git(repo: Any, path: str, sought: DataRef) -> bool:

    with scratch_store(sought.algorithm) as store:
        _, _, found = api.build(store, path, repo.dvcfs, sought.algorithm, dry_run=True)
        return bool(found.hash_info.value == sought.hash)
