"""What runs leave behind in folders that git does not know: settings among it, and copies of code.

Tools write the arguments of a run beside its results. A folder in which programs lie is somebody's
own, whatever else is there.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Set
from contextlib import suppress
from typing import NamedTuple

from mlflow_dvc.git.code_files import is_program_itself, is_program_or_text, is_settings

# Folders in which nothing is code that git does not track.
_FOLDERS = frozenset({
    "wandb", "lightning_logs", "dvclive", "outputs", "multirun", "runs", "tb_logs", "ray_results",
    "node_modules", "__pycache__", "site-packages", ".venv", "venv", ".tox", ".nox", ".eggs",
    "build", "dist", ".aws", ".ssh", ".gnupg",
})  # fmt: skip
# What MLflow names runs and logged models by, wherever its store is.
RUN_ID = re.compile(r"(?:m-)?[0-9a-f]{32}")
_VERSION = re.compile(r"version_\d+")  # a run of Lightning's
_SETTINGS = frozenset({"multirun.yaml", "meta.yaml"})  # Hydra's, MLflow's
_EXECUTED = ".nbconvert.ipynb"
# A folder with one of these is all a tool's: an environment of Python's, a model of MLflow's.
_MARKS = frozenset({"pyvenv.cfg", "MLmodel"})
_JOB = ".hydra"
# JSON and plain text lie beside settings as well: then their names tell.
_TEXT = re.compile(r".*\.(?:json|txt)", re.IGNORECASE)
_OF_RESULTS = re.compile(
    r"metric|result|summar|histor|state|score|eval|report|trial|predict|loss|stat|run|(?:^|[_.-])c?(?:log|out)",
    re.IGNORECASE,
)


class _FolderContent(NamedTuple):
    files: frozenset[str]
    folders: frozenset[str]


class RunResults:
    """Those in the work tree at ``root``; ``known`` are the folders in which git has a file."""

    def __init__(self, root: str, known: Set[str]) -> None:
        self._root = root
        self._known = known
        self._listings: dict[str, _FolderContent] = {}

    def has(self, path: str) -> bool:
        """Whether the file ``path``, which git does not know, was left by a run."""
        *folders, name = path.split("/")
        if not _FOLDERS.isdisjoint(folders) or name.endswith(_EXECUTED):
            return True
        if any(RUN_ID.fullmatch(folder) for folder in folders):
            return True
        new = list(self._new_folders(path))
        if any(not _MARKS.isdisjoint(self._list(folder).files) for folder in new):
            return True
        return is_settings(path) and (name in _SETTINGS or self._is_among_results(new))

    def _is_among_results(self, folders: list[str]) -> bool:
        """Whether what a run leaves lies in the first of ``folders``, or in one around it."""
        for folder in folders:
            name = posixpath.basename(folder)
            if name.startswith(".") or _VERSION.fullmatch(name):
                return True
            inside = self._list(folder)
            if any(map(is_program_itself, inside.files)):
                return False
            if not all(map(_may_lie_anywhere, inside.files)) or _JOB in inside.folders:
                return True
            if any(self._is_of_results(f"{folder}/{one}") for one in inside.folders):
                return True
        return False

    def _is_of_results(self, folder: str) -> bool:
        """Whether a folder has results alone, as checkpoints, or is that of a job."""
        inside = self._list(folder)
        return _JOB in inside.folders or (
            bool(inside.files) and not any(map(_may_lie_anywhere, inside.files))
        )

    def _new_folders(self, path: str) -> Iterator[str]:
        folder = posixpath.dirname(path)
        while folder and folder not in self._known:
            yield folder
            folder = posixpath.dirname(folder)

    def _list(self, folder: str) -> _FolderContent:
        if folder not in self._listings:
            rows: list[tuple[str, bool]] = []
            with (
                suppress(OSError),  # it may not be read, or is gone by now
                os.scandir(os.path.join(self._root, folder)) as entries,
            ):
                rows = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
            files = frozenset(name for name, is_folder in rows if not is_folder)
            self._listings[folder] = _FolderContent(
                files, frozenset(n for n, inner in rows if inner)
            )
        return self._listings[folder]


def _may_lie_anywhere(name: str) -> bool:
    """Whether a file of this name may lie beside settings without anything having run."""
    if is_program_or_text(name):
        return True
    return _TEXT.fullmatch(name) is not None and not _OF_RESULTS.search(name)
