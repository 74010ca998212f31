"""Paths out of a record, which is other people's input: none leaves the folder it belongs to."""

from __future__ import annotations

import os
import posixpath

_NOT_OURS = frozenset({".git", ".dvc"})  # what steers programs lies there


def is_inside(path: str) -> bool:
    """Whether ``path`` stays in the project that it is of, and is no part of git's or DVC's own."""
    if not path or "\0" in path or "\\" in path or os.path.isabs(path):
        return False
    parts = posixpath.normpath(path).split("/")
    return parts[0] != os.pardir and not any(part.lower() in _NOT_OURS for part in parts)


def place_of(root: str, path: str) -> str | None:
    """Where ``path`` lies below ``root``; None where it, or a link on the way, leads elsewhere."""
    if not is_inside(path):
        return None
    home = os.path.realpath(root)
    target = os.path.normpath(os.path.join(home, path))
    folder = os.path.realpath(os.path.dirname(target))
    return target if folder == home or folder.startswith(home + os.sep) else None
