"""What data a word means: what runs saw of it, and the directories that hold it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from mlflow_dvc.fingerprint import hash_file
from mlflow_dvc.recall.lineage.directories import (
    DirectoryHit,
    DirectorySearch,
    find_directories_containing,
)
from mlflow_dvc.recall.lineage.downstream import MAX_RUNS
from mlflow_dvc.recall.query import Query, Seen, find_runs_with, parse_query

_MD5 = re.compile(r"[0-9a-f]{8,32}")  # shorter ones begin too many of a hundred thousand files


@dataclass(frozen=True)
class DataMatch:
    """``seen``: the runs whose record names it; ``holders``: the folders that it is a file of."""

    query: Query = field(default_factory=Query)
    seen: tuple[Seen, ...] = ()
    hits: tuple[DirectoryHit, ...] = ()
    warnings: tuple[str, ...] = ()


def find_data(what: str, project: str | None, tracking_uri: str | None) -> DataMatch:
    """The first meaning of ``what`` that a run saw; a single file inside folders as well."""
    query, seen = Query(), list[Seen]()
    for query in parse_query(what):
        if seen := find_runs_with(query, tracking_uri):
            break
    warnings = []
    if (left := len(seen) - MAX_RUNS) > 0:
        warnings.append(f"{left} older runs that saw it are left out")
        seen = seen[:MAX_RUNS]
    look = _look_inside(what, query, seen, project, tracking_uri)
    return DataMatch(query, tuple(seen), look.hits, (*warnings, *look.warnings))


def _look_inside(
    what: str, query: Query, seen: list[Seen], project: str | None, tracking_uri: str | None
) -> DirectorySearch:
    """Nothing where ``what`` is an output of its own by its path, or a folder."""
    if query.paths and any(entry.cached for _, entries in seen for entry in entries):
        return DirectorySearch()
    if os.path.isdir(what):
        return DirectorySearch()
    if os.path.isfile(what):
        return find_directories_containing(project, tracking_uri, md5=hash_file(what))
    meant = list(parse_query(what))
    if given := next((one.hash for one in meant if one.hash), None):
        is_file = _MD5.fullmatch(given) is not None
        return (
            find_directories_containing(project, tracking_uri, md5=given)
            if is_file
            else DirectorySearch()
        )
    paths = tuple(spelt for one in meant for spelt in one.paths)
    return find_directories_containing(project, tracking_uri, paths=paths)
