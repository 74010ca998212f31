"""The code that no commit holds: how the work tree differs from a commit, as a patch.

Git's own index and object store stay as they are: git works on a copy of the index, which keeps its
time stamp (by which git knows what it must look at again), and puts new objects into a folder that
is thrown away. Data is no code: what DVC writes is left out. So is whatever gives something away.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator

from mlflow_dvc.capture.change import Budget, Change, Patch, Wanted
from mlflow_dvc.capture.git import read_head
from mlflow_dvc.capture.work_tree import WorkTree

SECONDS_AT_MOST = 20.0
_NAMED_AT_MOST = 200
_DEEPEST = 5


def patch_of(root: str, sha: str, wanted: Wanted) -> Patch:
    """How the code in the work tree at ``root`` differs from the commit ``sha``.

    Raises OSError where git cannot tell, or not in time.
    """
    budget = Budget(wanted.limit)
    files: dict[str, bytes] = {}
    omitted: list[str] = []
    pending = [("", root, sha)]
    while pending:
        folder, where, commit = pending.pop(0)
        with WorkTree(where, SECONDS_AT_MOST) as tree:
            found = Change(tree, where, commit, wanted, budget).patch()
            if folder.count("submodules/") < _DEEPEST:
                pending += _submodules(folder, where, tree)
        files |= {posixpath.join(folder, name): content for name, content in found.files.items()}
        omitted += (posixpath.join(folder, line) for line in found.omitted)
        if budget.left < 0:
            changed = sorted(budget.changed)[:_NAMED_AT_MOST]
            return Patch({}, (*omitted, *(f"{path}: the patch is too large" for path in changed)))
    return Patch(files, tuple(omitted))


def _submodules(folder: str, root: str, tree: WorkTree) -> Iterator[tuple[str, str, str]]:
    """Each one that is checked out: where its patch goes, where it lies, and its commit."""
    for path in tree.repositories():
        where = os.path.join(root, path)
        if os.path.exists(os.path.join(where, ".git")):
            state, _ = read_head(where)
            if state and state.sha:
                yield posixpath.join(folder, f"submodules/{path}"), where, state.sha
