"""Parse what a person asks for, a path, a hash or both, and find the runs that match."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.fingerprint import hash_file
from mlflow_dvc.paths import is_address
from mlflow_dvc.project import find_project, relative
from mlflow_dvc.snapshot import DataEntry

if TYPE_CHECKING:
    from mlflow.entities import Run


_HEX = re.compile(r"[0-9a-f]{4,32}(?:\.(?:d(?:ir?)?)?)?|[0-9a-f]{33,40}")  # a git revision has 40


_SAFE = re.compile(r"[\w.\-+=]+")  # what may stand in a hash of any kind, and in MLflow's filter

_ETAG_QUOTES = ('"', 'W/"')  # how a web server writes an ETag, and so DVC


Seen = tuple["Run", tuple[DataEntry, ...]]


@dataclass(frozen=True)
class Query:
    """What is searched for. ``paths`` are spellings of one path, as tags may have it."""

    paths: tuple[str, ...] = ()
    hash: str | None = None

    def matches(self, entry: DataEntry) -> bool:
        return (
            entry.hash is not None
            and (not self.paths or entry.path in self.paths)
            and (self.hash is None or entry.hash.startswith(self.hash))
        )


@dataclass(frozen=True)
class Scope:
    """Which runs are searched: those of an experiment, of a stage, of a server."""

    tracking_uri: str | None = None
    experiment_id: str | None = None
    stage: str | None = None


def find_runs_with(query: Query, tracking_uri: str | None = None) -> list[Seen]:
    """The runs whose record answers ``query``, newest first, each with the data that does."""
    runs = candidate_runs(query, Scope(tracking_uri))
    seen = ((run, matching_data(run, query, tracking_uri)) for run in runs)
    return [(run, entries) for run, entries in seen if entries]


def parse_query(what: str) -> Iterator[Query]:
    """What ``what`` may mean; each meaning counts only where no run has the one before."""
    path, at, digest = what.rpartition("@")
    is_version = _HEX.fullmatch(digest) or (is_address(path) and _SAFE.fullmatch(digest))
    if at and path and is_version:
        yield Query(_path_variants(path), digest)
    elif _HEX.fullmatch(what):
        yield Query(hash=what)
    yield Query(_path_variants(what))
    if os.path.isfile(what):
        yield Query(hash=hash_file(what))
    bare = what.removeprefix("W/").strip('"')
    if _SAFE.fullmatch(bare):
        if not _HEX.fullmatch(bare) and bare == what:
            yield Query(hash=what)  # the ETag of a bucket, say
        yield from (Query(hash=f"{before}{bare}") for before in _ETAG_QUOTES)


def candidate_runs(query: Query, scope: Scope) -> list[Run]:
    """Every run that can match, by the tags, newest first; some that cannot are among them."""
    found: dict[str, Run] = {}
    for filter_string in dict.fromkeys(_filters(query, scope)):
        for clause in _stage_clauses(scope.stage):
            narrowed = filter_string + clause
            for run in tracking.find_runs(narrowed, scope.tracking_uri, scope.experiment_id):
                found.setdefault(run.info.run_id, run)
    runs = [run for run in found.values() if scope.stage is None or _is_of_stage(run, scope.stage)]
    return tracking.newest_first(runs)


def is_in_scope(run: Run, scope: Scope) -> bool:
    """Whether a run that was found otherwise is of the experiment and the stage."""
    is_there = scope.experiment_id in (None, run.info.experiment_id)
    return is_there and (scope.stage is None or _is_of_stage(run, scope.stage))


def _is_of_stage(run: Run, stage: str) -> bool:
    tags: Mapping[str, str] = run.data.tags
    return stage == tags.get(tag.SCRIPT_STAGE) or stage in tag.stages_in(tags)


def _stage_clauses(stage: str | None) -> Iterator[str]:
    """MLflow's filter has no OR: one for each tag. A quote would end the filter."""
    if stage is None or "'" in stage:
        yield ""
        return
    for key in (tag.STAGE, tag.SCRIPT_STAGE):
        yield f" AND tags.`{key}` = '{stage}'"
    yield f" AND tags.`{tag.STAGES}` LIKE '%{stage}%'"


def _filters(query: Query, scope: Scope) -> Iterator[str]:
    """A hash at a path is among the other hashes only where it has no tag of its own: there are too
    many, or it came when the run was resumed. To look through these takes a server long.
    """
    like = f"{query.hash}%" if query.hash else "%"
    for path in query.paths:
        yield from (f"tags.`{key}` LIKE '{like}'" for key in _keys(path))
    if query.hash:
        among = f"tags.`{tag.HASHES}` LIKE '% {like}'"
        if query.paths:
            yield from (f"tags.`{count}` LIKE '%' AND {among}" for count in (tag.OUTS, tag.DEPS))
        else:
            yield among
        yield from (f"tags.`{key}` LIKE '% {like}'" for key in _more_hash_keys(scope))


def _more_hash_keys(scope: Scope) -> list[str]:
    """Of the tags after the first; none of them is there without the second."""
    keys = [tag.hashes_key(number) for number in range(2, tag.MAX_HASH_TAGS + 1)]
    is_used = tracking.has_runs(f"tags.`{keys[0]}` LIKE '%'", scope.tracking_uri)
    return keys if is_used else []


def _keys(path: str) -> Iterator[str]:
    """The tags in which a run may say that it saw ``path``."""
    for prefix in (tag.OUT, tag.DEP):
        for suffixed in (False, True):
            yield tag.path_key(prefix, path, suffixed=suffixed)


def matching_data(run: Run, query: Query, tracking_uri: str | None) -> tuple[DataEntry, ...]:
    """What of the run's data answers the query: by its tags, else by what it has attached."""
    tags = run.data.tags
    told = tag.from_tags(tags)
    by_tag = (*told.data, *told.deps)
    spelt = tuple(
        key.removeprefix(tag.OUT).removeprefix(tag.DEP)
        for path in query.paths
        for key in _keys(path)
    )
    shown = Query((*query.paths, *spelt), query.hash)
    matching = {entry.path: entry for entry in reversed(by_tag) if shown.matches(entry)}
    found = tuple(entry for entry in by_tag if matching.get(entry.path) is entry)
    if not _has_more(tags, query, found, by_tag):
        return found
    entries = [
        entry
        for snapshot in tracking.load_all(run, tracking_uri)
        for entry in snapshot.observed_data
        if query.matches(entry)
    ]
    if entries or found or query.paths:
        return tuple(dict.fromkeys(entries)) or found
    hashes = sorted(value for value in tag.hashes_in(tags) if value.startswith(query.hash or ""))
    return tuple(DataEntry("", "md5", value) for value in hashes)


def _has_more(
    tags: Mapping[str, str],
    query: Query,
    found: tuple[DataEntry, ...],
    by_tag: tuple[DataEntry, ...],
) -> bool:
    """Whether only the attached files can tell: there are more outputs than tags, a hash came when
    the run was resumed, or a key spells a path otherwise.
    """
    if tag.OUTS in tags or tag.DEPS in tags or any(map(tag.is_respelt, found)):
        return True
    if found or not query.hash:
        return False
    named = {entry.hash for entry in by_tag}
    return any(value.startswith(query.hash) and value not in named for value in tag.hashes_in(tags))


def _path_variants(path: str) -> tuple[str, ...]:
    """``path`` as given, and as seen from the DVC root when it was given from a directory below."""
    if is_address(path):
        return (path,)
    given = posixpath.normpath(path.replace(os.sep, "/"))
    spellings = [given]
    if root := find_project().dvc_root:
        # Only the folder is resolved: the output itself may be a link into DVC's cache.
        folder, name = os.path.split(os.path.abspath(path))
        inside = relative(os.path.join(os.path.realpath(folder), name), root)
        if not inside.startswith("../") and os.path.lexists(path):
            spellings.insert(0, inside)
    return tuple(dict.fromkeys(spellings))
