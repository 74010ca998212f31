"""Hash what lies on disk as DVC does, and only where neither DVC nor we know it already.

A question goes to a child process, unless all of it was answered before and nothing was touched
since: that costs a look at the time stamps.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, astuple, dataclass
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import DvcProcess, is_asked, note
from mlflow_dvc.dvc_backend.hash_cache import HashCache
from mlflow_dvc.dvc_backend.hash_query import LEGACY, Answer, HashQuery, HashResult
from mlflow_dvc.dvc_backend.readonly_repo import open_read_only, scratch_store
from mlflow_dvc.dvc_backend.schema_cache import SchemaCache, read_schema
from mlflow_dvc.dvc_backend.tables import MAX_WHOLE_BYTES
from mlflow_dvc.dvc_backend.tree_stat import TooManyFilesError, TreeStat, stat_tree
from mlflow_dvc.progress import Work

_MAX_SECONDS = 7 * 24 * 3600.0  # of one who waits for all of it
_MAX_SCHEMA_BYTES = 4 * 1024 * 1024  # a MiB of CSV takes a fifth of a second


def cached_hashes_or_none(root: str, queries: Iterable[HashQuery], max_files: int) -> Answer:
    """As much of the answer as is known from before, by :attr:`HashQuery.key`.

    Only as much as is told by a look at ``max_files`` files.
    """
    return {query.key: found for query, found in _look_up(root, queries, max_files)}


def cached_hashes(root: str, queries: Sequence[HashQuery], max_files: int) -> Answer | None:
    """Hashes from earlier answers; None as soon as one of them is not known."""
    if len(queries) > max_files:
        return None
    answer = {}
    for expected, (query, found) in zip(queries, _look_up(root, queries, max_files), strict=False):
        if query is not expected:
            return None
        answer[query.key] = found
    return answer if len(answer) == len({query.key for query in queries}) else None


def _look_up(
    root: str, queries: Iterable[HashQuery], max_files: int
) -> Iterator[tuple[HashQuery, HashResult]]:
    cache = HashCache(root)
    for query in queries:
        if max_files <= 0:
            return
        try:
            known = cache.recall(query, max_files)
        except (OSError, TooManyFilesError):
            continue
        if known:
            max_files -= max(known.nfiles or 1, 1)
            yield query, known


def start_hashing(
    root: str,
    queries: Sequence[HashQuery],
    *,
    max_bytes: int | None = None,
    seconds: float | None = None,
    foreign: bool = False,
) -> DvcProcess:
    """Ask; the answer is had by :func:`read_answer`. Raises OSError where DVC cannot be asked.

    Of what DVC does not know yet, ``max_bytes`` are read, and for so many ``seconds``. Settings in
    a ``foreign`` project are not the user's.
    """
    request = {
        "root": root,
        "queries": [asdict(query) for query in queries],
        "max_bytes": max_bytes,
        "seconds": seconds,
        "foreign": foreign,
    }
    return DvcProcess(run_hashing, request, idle=True)


def read_answer(child: DvcProcess) -> Answer:
    """Raises OSError or ValueError where there is none. What could not be told is not in it."""
    return _parse_answer(child.result())


def _parse_answer(raw: Any) -> Answer:
    if not isinstance(raw, dict):
        raise ValueError("not an answer of the check")
    return {key: HashResult(*row) for key, row in raw.items()}


def hash_now(root: str, queries: Iterable[HashQuery], *, foreign: bool = False) -> Answer:
    """The whole answer, however long it takes."""
    request = {"root": root, "queries": [asdict(query) for query in queries], "foreign": foreign}
    child = DvcProcess(run_hashing, request, idle=True, called=True)
    return _parse_answer(child.answer_within(_MAX_SECONDS))


@api.task()
def run_hashing(
    root: str,
    queries: list[dict[str, Any]],
    max_bytes: int | None = None,
    seconds: float | None = None,
    foreign: bool = False,
) -> dict[str, Any]:
    """The task of the child process. It imports DVC if it must, and changes the directory."""
    asked = [HashQuery(**raw) for raw in queries]
    cache = HashCache(root)
    found: dict[str, HashResult] = {}
    for query in asked:
        try:
            known = cache.recall(query)
        except OSError:
            known = HashResult(query.algorithm, None)
        if known:
            found[query.key] = known
    rest = [query for query in asked if query.key not in found]
    if rest:
        budget = _Budget(
            math.inf if max_bytes is None else max_bytes,
            math.inf if seconds is None else time.monotonic() + seconds,
        )
        with (
            Work("hashing", "files and folders", len(rest)) as work,
            _open(root, budget, work, foreign=foreign) as repo,
        ):
            for key, result in _hash_all(repo, root, rest, cache, budget):
                found[key] = result
                work.advance()
        cache.keep()
    if not foreign:
        _keep_schemas(root, asked, found)
    return {key: astuple(value) for key, value in found.items()}


def _keep_schemas(root: str, queries: Iterable[HashQuery], found: Answer) -> None:
    """Of the tables that are as they were when they were hashed, the run's inputs first.

    Whoever asked for the hashes waits for it: so not of all, where there are many.
    """
    schemas = SchemaCache(root)
    left = _MAX_SCHEMA_BYTES
    for query in queries:
        row = found.get(query.key)
        if row is None or row.hash is None or not schemas.lacks(query.path, row.hash):
            continue
        left -= min(row.size or 0, MAX_WHOLE_BYTES)
        if left < 0 or not is_asked():
            break
        where = os.path.join(root, query.path)
        note(where)
        schema = read_schema(where)
        with suppress(OSError):
            seen = stat_tree(where)
            if seen and (seen.changed, seen.size) == (row.changed, row.size):
                schemas.add(query.path, row.hash, schema)
    schemas.keep()


class _BudgetSpentError(Exception):
    """More bytes, or more time, than may be spent."""


@dataclass
class _Budget:
    bytes_left: float
    deadline: float

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.deadline or not is_asked()

    def spend(self, size: int) -> None:
        self.bytes_left -= size
        if self.bytes_left < 0 or self.is_over:
            raise _BudgetSpentError


@dataclass
class _CountedFile:
    """A file whose reading is paid for."""

    file: Any
    budget: _Budget
    work: Work

    def read(self, size: int = -1) -> bytes:
        content: bytes = self.file.read(size)
        self.budget.spend(len(content))
        self.work.advance(0, len(content))
        return content


@contextmanager
def _open(root: str, budget: _Budget, work: Work, *, foreign: bool) -> Iterator[Any]:
    """A project in which every byte that is hashed is paid for, and each opened file noted."""
    api.require("repo", "hash")
    hash_stream = api.hash_module.fobj_md5

    def hash_counted(file: Any, *args: Any, **kwargs: Any) -> Any:
        name = getattr(file, "name", None)
        if isinstance(name, str):
            note(os.path.join(root, name))
        return hash_stream(_CountedFile(file, budget, work), *args, **kwargs)

    api.hash_module.fobj_md5 = hash_counted
    with open_read_only(root, foreign=foreign) as repo:
        yield repo


def _hash_all(
    repo: Any, root: str, queries: Iterable[HashQuery], cache: HashCache, budget: _Budget
) -> Iterator[tuple[str, HashResult]]:
    for query in queries:
        if budget.is_over:
            break
        if result := _hash_one(repo, root, query, cache):
            yield query.key, result


def _hash_one(repo: Any, root: str, query: HashQuery, cache: HashCache) -> HashResult | None:
    """None where it could not be told: too much to read, or it changes while it is read."""
    where = os.path.join(root, query.path)
    before: TreeStat | None = None
    try:
        before = stat_tree(where)
        if before is None:
            return HashResult.of_missing(query, where)
        found = _build(repo, where, query, before)
        if stat_tree(where) != before:
            return None
    except _BudgetSpentError:
        return None
    except Exception:  # no permission, or DVC refuses to hash it: then nobody knows its hash
        found = HashResult(query.algorithm, None)
        if before is None:
            return found
    cache.add(query, before, found)
    return found


def _build(repo: Any, where: str, query: HashQuery, seen: TreeStat) -> HashResult:

    def hashed(algorithm: str) -> HashResult:
        with scratch_store(algorithm, repo.state) as store:
            _, meta, tree = api.build(
                store, where, repo.fs, algorithm, ignore=repo.dvcignore, dry_run=True
            )
        value = tree.hash_info.value
        return HashResult(algorithm, value, meta.size, meta.nfiles, seen.changed)

    found = hashed(query.algorithm)
    if query.algorithm == LEGACY and found.hash != query.hash:
        return hashed("md5")  # what DVC would write from now on
    return found
