"""The schemas of tables, by the hash of their bytes, kept by whoever hashes them.

A schema is a fact of the bytes: equal hash, equal schema, wherever the table lies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import lru_cache

from mlflow_dvc import user_cache
from mlflow_dvc.dvc_backend.tables import TABLES, read_columns

NO_SCHEMA = "{}"
_KIND = "schemas"
_VERSION = 1
_MAX_ROWS = 500
_MAX_CHARACTERS = 100_000  # MLflow takes 1,048,575


class SchemaCache:
    """The schemas that are known of the tables of one project, each as MLflow's JSON."""

    def __init__(self, root: str) -> None:
        self._name = user_cache.folder_key(root)
        self._rows = dict(_rows_in(user_cache.read(_KIND, self._name) or b"{}"))
        self._is_changed = False

    def recall(self, path: str, hash_: str | None) -> str:
        """Of the table ``path`` with this hash; ``{}`` where there is none, or none is known."""
        return self._rows.get(_key(path, hash_), NO_SCHEMA)

    def lacks(self, path: str, hash_: str | None) -> bool:
        return _ending(path) in TABLES and _key(path, hash_) not in self._rows

    def add(self, path: str, hash_: str | None, schema: str) -> None:
        self._rows[_key(path, hash_)] = schema
        self._is_changed = True

    def keep(self) -> None:
        if self._is_changed:
            newest = dict(list(self._rows.items())[-_MAX_ROWS:])
            content = json.dumps({"by": _VERSION, "rows": newest}).encode()
            user_cache.write(_KIND, self._name, content)


def read_schema(where: str) -> str:
    """Of the table in a file, as MLflow's JSON; ``{}`` where nothing of it is certain."""
    columns = read_columns(where)
    found = json.dumps({"mlflow_colspec": columns}) if columns else NO_SCHEMA
    return found if len(found) <= _MAX_CHARACTERS else NO_SCHEMA


def _key(path: str, hash_: str | None) -> str:
    return f"{hash_}{_ending(path)}"


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()


@lru_cache(maxsize=4)
def _rows_in(content: bytes) -> Mapping[str, str]:
    try:
        raw = json.loads(content)
        return dict(raw["rows"]) if raw["by"] == _VERSION else {}
    except (ValueError, TypeError, KeyError):  # empty or damaged: no memory
        return {}
