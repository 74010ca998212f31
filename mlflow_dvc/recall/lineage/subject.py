"""What data a word means: what runs saw of it, and the folders that it lies in."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from mlflow_dvc.recall.lineage.forward import RUNS_AT_MOST
from mlflow_dvc.recall.lineage.inside import Holder, Look, folders_with
from mlflow_dvc.recall.search import Query, Seen, md5_of, seen_by, understood

_MD5 = re.compile(r"[0-9a-f]{8,32}")  # shorter ones begin too many of a hundred thousand files


@dataclass(frozen=True)
class Found:
    """``seen``: the runs whose record names it; ``holders``: the folders that it is a file of."""

    query: Query = field(default_factory=Query)
    seen: tuple[Seen, ...] = ()
    holders: tuple[Holder, ...] = ()
    warnings: tuple[str, ...] = ()


def find(what: str, path: str | None, tracking_uri: str | None) -> Found:
    """The first meaning of ``what`` that a run saw; a single file inside folders as well."""
    query, seen = Query(), list[Seen]()
    for query in understood(what):
        if seen := seen_by(query, tracking_uri):
            break
    warnings = []
    if (left := len(seen) - RUNS_AT_MOST) > 0:
        warnings.append(f"{left} older runs that saw it are left out")
        seen = seen[:RUNS_AT_MOST]
    look = _look_inside(what, query, seen, path, tracking_uri)
    return Found(query, tuple(seen), look.holders, (*warnings, *look.warnings))


def _look_inside(
    what: str, query: Query, seen: list[Seen], path: str | None, tracking_uri: str | None
) -> Look:
    """Nothing where ``what`` is an output of its own by its path, or a folder."""
    if query.paths and any(entry.cached for _, entries in seen for entry in entries):
        return Look()
    if os.path.isdir(what):
        return Look()
    if os.path.isfile(what):
        return folders_with(path, tracking_uri, md5=md5_of(what))
    meant = list(understood(what))
    if given := next((one.hash for one in meant if one.hash), None):
        is_file = _MD5.fullmatch(given) is not None
        return folders_with(path, tracking_uri, md5=given) if is_file else Look()
    paths = tuple(spelt for one in meant for spelt in one.paths)
    return folders_with(path, tracking_uri, paths=paths)
