"""Paths out of a record, which is other people's input: none leaves the folder it belongs to."""

from __future__ import annotations

import os

from mlflow_dvc.dvc_backend.stores import is_inside


def place_of(root: str, path: str) -> str | None:
    """Where ``path`` lies below ``root``; None if it leads elsewhere, or is or crosses a link."""
    if not is_inside(path):
        return None
    home = os.path.realpath(root)
    target = os.path.normpath(os.path.join(home, path))
    return target if os.path.realpath(target) == target else None
