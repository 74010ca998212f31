"""Uncommitted code as a patch, of a work tree and of its submodules.

Git's own index and object store stay as they are: git works on a copy of the index, which keeps its
time stamp (by which git knows what it must look at again), and puts new objects into a folder that
is thrown away. Data is no code: what DVC writes is left out. So is whatever gives something away.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator

from mlflow_dvc.git.changed_code import PatchOptions
from mlflow_dvc.git.head import read_head
from mlflow_dvc.git.uncommitted import Patch, PatchBudget, UncommittedCode
from mlflow_dvc.git.work_tree import WorkTree

MAX_PATCH_SECONDS = 20.0
_MAX_SUBMODULE_DEPTH = 5


def make_patch(root: str, sha: str | None, wanted: PatchOptions) -> Patch:
    """How the code in the work tree at ``root`` differs from the commit ``sha``.

    None is before the first commit: all code differs. Raises OSError where git cannot tell, or not
    in time.
    """
    budget = PatchBudget(wanted.limit)
    files: dict[str, bytes] = {}
    omitted: list[str] = []
    dvc_files: tuple[str, ...] = ()
    is_plain = True
    pending = [("", root, sha)]
    while pending:
        folder, where, commit = pending.pop(0)
        with WorkTree(where, MAX_PATCH_SECONDS, by_content=wanted.by_content) as tree:
            commit = commit or tree.empty_tree()
            found = UncommittedCode(tree, where, commit, wanted, budget).patch()
            dvc_files = dvc_files if folder else tree.dvc_files()
            is_plain = is_plain and found.is_plain
            if folder.count("submodules/") < _MAX_SUBMODULE_DEPTH:
                pending += _submodules(folder, where, tree)
        files |= {posixpath.join(folder, name): content for name, content in found.files.items()}
        omitted += (posixpath.join(folder, line) for line in found.omitted)
    return Patch(files, tuple(omitted), dvc_files, is_plain)


def _submodules(folder: str, root: str, tree: WorkTree) -> Iterator[tuple[str, str, str | None]]:
    """Each one that is checked out: where its patch goes, where it lies, and its commit."""
    for path in tree.repositories():
        where = os.path.join(root, path)
        if os.path.exists(os.path.join(where, ".git")):
            state, _ = read_head(where)
            if state and state.sha:
                yield posixpath.join(folder, f"submodules/{path}"), where, state.sha
