"""Paths with slashes: which are addresses, what lies above one, and which of a record are safe.

A record is other people's input: no path of it leaves the folder that it belongs to.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Set


def safe_join(root: str, path: str) -> str | None:
    """Where ``path`` lies below ``root``; None if it leads elsewhere, or is or crosses a link."""
    if not is_inside(path):
        return None
    home = os.path.realpath(root)
    target = os.path.normpath(os.path.join(home, path))
    return target if os.path.realpath(target) == target else None


DATASET_SCHEME = "ds://"


def is_address(path: str) -> bool:
    """Whether ``path`` is a URL, such as that of a bucket, and no path of the project."""
    return "://" in path


def parents(path: str) -> Iterator[str]:
    """Every folder above ``path``, nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def lies_in(path: str, places: Set[str]) -> bool:
    """Whether ``path``, or a folder that it lies in, is one of ``places``."""
    return path in places or any(folder in places for folder in parents(path))


_STEERING = frozenset({".git", ".dvc"})  # what lies there is read by programs


def is_inside(path: str) -> bool:
    """Whether ``path`` stays in the folder that it is of, and is no part of git's or DVC's own."""
    if not path or "\0" in path or "\\" in path or os.path.isabs(path):
        return False
    parts = posixpath.normpath(path).split("/")
    return parts[0] != os.pardir and not any(part.lower() in _STEERING for part in parts)
