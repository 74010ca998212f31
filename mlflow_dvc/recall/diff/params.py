"""How the parameter files of two runs differ, value by value."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from mlflow_dvc.dvc_backend.params import read_params
from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.recall.stored_record import is_of_project
from mlflow_dvc.snapshot import Snapshot

_MAX_SHOWN_BYTES = 10_000  # of a file that DVC cannot read
_SUFFIXES = frozenset({".yaml", ".yml", ".json", ".toml"})


def is_params_file(path: str, snapshot: Snapshot) -> bool:
    """Whether what is attached at ``path`` holds parameters, rather than code or DVC's own."""
    name = posixpath.basename(path)
    if name == PIPELINE_FILE or not is_of_project(path, snapshot):
        return False
    return posixpath.splitext(name)[1] in _SUFFIXES


def compare_params(
    old: Mapping[str, bytes], new: Mapping[str, bytes]
) -> Iterator[tuple[str, str | None, str | None]]:
    """``FILE:KEY`` of each value that differs, and both. What DVC cannot read differs as a whole.

    Raises OSError where DVC cannot be asked.
    """
    changed = [path for path in sorted(old.keys() | new.keys()) if old.get(path) != new.get(path)]
    if not changed:
        return
    asked: dict[str, tuple[str, list[str]]] = {
        f"{side}/{path}": (files[path].decode("utf-8", "replace"), [])
        for side, files in (("old", old), ("new", new))
        for path in changed
        if path in files
    }
    found = read_params(asked)
    for path in changed:
        was, now = (_flatten(found.get(f"{side}/{path}")) for side in ("old", "new"))
        if any(f"{side}/{path}" in asked.keys() - found.keys() for side in ("old", "new")):
            yield path, _text(old.get(path)), _text(new.get(path))
            continue
        for key in sorted(was.keys() | now.keys()):
            if was.get(key) != now.get(key):
                yield f"{path}:{key}", was.get(key), now.get(key)


def _flatten(value: Any, above: str = "") -> dict[str, str]:
    if isinstance(value, Mapping) and value:
        found: dict[str, str] = {}
        for key, inner in value.items():
            found |= _flatten(inner, f"{above}.{key}" if above else str(key))
        return found
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return {above: text} if above else {}


def _text(content: bytes | None) -> str | None:
    if content is None:
        return None
    text = content[:_MAX_SHOWN_BYTES].decode("utf-8", "replace")
    return text if len(content) <= _MAX_SHOWN_BYTES else f"{text} ..."
