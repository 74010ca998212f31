"""Whether what lies in a restored tree still is what the run saw; data was hashed when it came."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path

from mlflow_dvc.recall.paths import place_of
from mlflow_dvc.recall.repository import GitError
from mlflow_dvc.recall.restore.place import Place
from mlflow_dvc.recall.verdict import Item, Part

_CHANGED = "it was changed since it was restored, and was left as it is"


def check(place: Place) -> Iterator[Item]:
    """Each file that was changed since."""
    done = {item.name for items in place.steps.values() for item in items if item.verdict != "PASS"}
    for path in _changed_code(place):
        if path not in done:
            yield Item("file", path, "FAIL", _CHANGED)
    root = place.dvc_root
    for path, content in place.run.project_files.items() if root else ():
        target = place_of(root or "", path)
        if target is None or path in done:
            continue
        part: Part = "lock" if path.endswith(".lock") else "file"
        if not Path(target).is_file() or Path(target).read_bytes() != content:
            yield Item(part, path, "FAIL", _CHANGED)


def _changed_code(place: Place) -> Iterator[str]:
    repository = place.repository
    try:
        tree = repository.tree(place.sha, place.run.patch())
    except GitError:  # it was said when the code was laid out
        tree = repository.tree(place.sha)
    ours = {
        posixpath.normpath(posixpath.join(place.run.snapshot.root or ".", path))
        for path in place.run.project_files
    } | place.run.raw().keys()
    for path in repository.changed_since(tree):
        # DVC keeps lines of its own in ignore files.
        if path not in ours and not path.endswith((".gitignore", ".dvc", "dvc.lock")):
            yield path
