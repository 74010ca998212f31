"""Which hash a file of DVC's has of which path, where only its text tells."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from mlflow_dvc.dvcfiles import yaml12

_MAX_DEPTH = 20


def names_hash(parsed: Any, path: str, value: str) -> bool:
    """Whether a parsed file, or a part of one, has ``value`` as a hash of ``path``.

    Paths are written from a working directory that need not be known: the ends have to agree.
    """
    return any(value in texts and _may_be(path, named) for named, texts in _entries(parsed))


def parse(content: bytes) -> Any:
    """What the file says; None where it cannot be read. What is a comment is not said."""
    try:
        return yaml12.parse_foreign_yaml(content)
    except ValueError:  # of a shared server, damaged
        return None


def _entries(parsed: Any, depth: int = 0) -> Iterator[tuple[str, set[str]]]:
    """Each entry with a path, and what it says of it."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(parsed, Mapping):
        named = parsed.get("path")
        if isinstance(named, str):
            yield named, set(_texts(parsed))
        for inner in parsed.values():
            yield from _entries(inner, depth + 1)
    elif isinstance(parsed, list):
        for inner in parsed:
            yield from _entries(inner, depth + 1)


def _texts(entry: Mapping[Any, Any]) -> Iterator[str]:
    """All values but the names; of an entry within, as that of a remote, those of it too."""
    for key, value in entry.items():
        if isinstance(value, str) and key not in ("path", "desc", "type", "remote"):
            yield value
        elif isinstance(value, Mapping) and key != "meta":
            yield from _texts(value)


def _may_be(path: str, named: str) -> bool:
    ends = [part for part in posixpath.normpath(named).split("/") if part not in ("..", ".")]
    return bool(ends) and path.split("/")[-len(ends) :] == ends
