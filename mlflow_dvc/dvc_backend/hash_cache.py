"""Hashes from earlier answers, each used again while what lies there is untouched."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mlflow_dvc import user_cache
from mlflow_dvc.dvc_backend.hash_query import HashQuery, HashResult
from mlflow_dvc.dvc_backend.tree_stat import TreeStat, stat_tree
from mlflow_dvc.fingerprint import RACY_NS

_KIND = "checked"


_VERSION = 1


_MAX_ROWS = 50_000


class HashCache:
    """What was found of one project before, each with the stamp that it had."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._name = user_cache.folder_key(root)
        self._rules: dict[str, str] = {}
        self._rows = dict(_rows_in(user_cache.read(_KIND, self._name) or b"{}"))

    def recall(self, query: HashQuery, max_files: int | None = None) -> HashResult | None:
        where = os.path.join(self._root, query.path)
        row = self._rows.get(query.key)
        if row is None:
            return None if os.path.lexists(where) else HashResult.of_missing(query, where)
        seen = stat_tree(where, max_files)
        if seen is None:
            return HashResult.of_missing(query, where)
        mark, algorithm, value, size, nfiles = row
        if mark != self._mark(query, seen):
            return None
        return HashResult(algorithm, value, size, nfiles, seen.changed)

    def add(self, query: HashQuery, seen: TreeStat, found: HashResult) -> None:
        if time.time_ns() - max(seen.written, seen.changed) > RACY_NS:
            facts = (found.algorithm, found.hash, found.size, found.nfiles)
            self._rows.pop(query.key, None)
            self._rows[query.key] = [self._mark(query, seen), *facts]

    def keep(self) -> None:
        newest = dict(list(self._rows.items())[-_MAX_ROWS:])
        content = json.dumps({"by": _VERSION, "rows": newest}).encode()
        user_cache.write(_KIND, self._name, content)

    def _mark(self, query: HashQuery, seen: TreeStat) -> str:
        """The stamp, and that of every rule that may hide a part of a folder."""
        return f"{seen.digest}\0{self._rules_of(query.path.rpartition('/')[0])}"

    def _rules_of(self, folder: str) -> str:
        if folder not in self._rules:
            above = [self._rules_of(folder.rpartition("/")[0])] if folder else []
            seen = stat_tree(os.path.join(self._root, folder, ".dvcignore"))
            self._rules[folder] = "\0".join([seen.digest if seen else "", *above])
        return self._rules[folder]


@lru_cache(maxsize=4)
def _rows_in(content: bytes) -> Mapping[str, Any]:
    try:
        raw = json.loads(content)
        return dict(raw["rows"]) if raw["by"] == _VERSION else {}
    except (ValueError, TypeError, KeyError):  # empty or damaged: no memory
        return {}
