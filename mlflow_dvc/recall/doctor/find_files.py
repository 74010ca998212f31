"""Find every dvc.yaml, dvc.lock and ``*.dvc``, with those that DVC does not see."""

from __future__ import annotations

import os
from collections.abc import Iterator

from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.git.inspection import GitInspection
from mlflow_dvc.paths import parents
from mlflow_dvc.project import relative

LOCK_FILE = "dvc.lock"
_MAX_ENTRIES = 50_000  # of folders; what git has in its index is looked at in any case
_NOT_THE_USERS = frozenset({
    "node_modules", "site-packages", "__pycache__", "mlruns", "mlartifacts",
})  # fmt: skip
_NOT_OURS = {".dvc", "pyvenv.cfg"}  # another DVC project, a virtual environment


def dvc_files(root: str, git: GitInspection | None, outs: set[str]) -> list[str]:
    """Every one of the DVC project at ``root``, hidden or not, relative to it.

    Those that git has, wherever they lie, and those on disk where people keep such files: not in
    the project's ``outs``.
    """
    found = set(_on_disk(root, outs))
    if git is not None:
        in_git = (relative(os.path.join(git.root, name), root) for name in git.dvc_files)
        found.update(path for path in in_git if _is_of_project(root, path, outs))
    return sorted(found)


def _is_of_project(root: str, path: str, outs: set[str]) -> bool:
    """Not of a project around it or below it, nor data in an output, nor gone."""
    if path.startswith("../") or not os.path.lexists(os.path.join(root, path)):
        return False
    folders = list(parents(path))
    below = any(os.path.isdir(os.path.join(root, folder, ".dvc")) for folder in folders)
    return not below and outs.isdisjoint(folders)


def _on_disk(root: str, outs: set[str]) -> Iterator[str]:
    """Less what lies in hidden folders, in outputs and where packages are installed."""
    pending, left = [""], _MAX_ENTRIES
    while pending and left > 0:
        folder = pending.pop()
        entries = _entries(os.path.join(root, folder))
        if folder and _NOT_OURS & entries.keys():
            continue
        left -= len(entries)
        for name, is_folder in entries.items():
            path = f"{folder}/{name}" if folder else name
            if not is_folder:
                if name in (PIPELINE_FILE, LOCK_FILE) or name.endswith(".dvc"):
                    yield path
            elif path not in outs and not _is_passed_over(path, name):
                pending.append(path)


def _is_passed_over(path: str, name: str) -> bool:
    # What we attached to a run may lie in a store of MLflow's anywhere.
    return name in _NOT_THE_USERS or name.startswith(".") or path.endswith("/artifacts/dvc")


def _entries(folder: str) -> dict[str, bool]:
    """The names in a folder, and whether each is a folder; empty where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    except OSError:
        return {}
