"""DVC files that git has and DVC does not see: their data is not in the record."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from mlflow_dvc.capture.run_capture import RunCapture
from mlflow_dvc.dvcfiles.ignored import IgnoreChecker
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.project import find_dvc_root, relative
from mlflow_dvc.snapshot import with_data_version

_UNSEEN = "a rule of git's hides it from DVC, so its data is not in the record"


def note_unseen_files(capture: RunCapture, git_root: str, dvc_files: Iterable[str]) -> RunCapture:
    """Of the DVC files that git has, those that DVC does not see, as git's rules hide their place.

    What a ``.dvcignore`` hides is left out on purpose.
    """
    reading = capture.reading
    if reading is None or capture.data_capture.frozen:
        return capture
    unseen = _find_unseen(reading, git_root, tuple(dvc_files))
    lines = tuple(f"{path}: {_UNSEEN}" for path in _hidden_by_git(reading.root, unseen))
    if not lines:
        return capture
    data = capture.data
    data = replace(data, uncovered=data.uncovered + lines, warnings=data.warnings + lines)
    return capture.with_data(with_data_version(data))


@lru_cache(maxsize=2)  # a reading is the same object while nothing changed
def _find_unseen(
    reading: ProjectReading, git_root: str, dvc_files: tuple[str, ...]
) -> tuple[str, ...]:
    seen = {dvc_file.file for dvc_file in reading.dvc_files}
    named = (relative(os.path.join(git_root, path), reading.root) for path in dvc_files)
    return tuple(path for path in named if path not in seen and not path.startswith("../"))


def _hidden_by_git(root: str, paths: Sequence[str]) -> Iterator[str]:
    if not paths:
        return
    hidden = IgnoreChecker(root)
    hidden.refresh()
    for path in paths:
        where = os.path.join(root, path)
        is_ours = os.path.exists(where) and find_dvc_root(where) == root  # of no project below
        is_hidden = hidden.hiding_folder(where) or hidden.hides_file(where)
        if is_ours and is_hidden and not hidden.hidden_by_dvc(where):
            yield path
