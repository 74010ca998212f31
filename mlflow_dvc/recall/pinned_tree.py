"""What is pinned of a run: the tree of its code, its locks and its parameters."""

from __future__ import annotations

import posixpath

from mlflow_dvc.git.pins import FOLDER, build_tree
from mlflow_dvc.git.repository import Repository
from mlflow_dvc.paths import is_inside
from mlflow_dvc.recall.stored_record import StoredRecord


def tag_name(run: StoredRecord) -> str:
    """Of a later part the folder of it is named too."""
    return f"{FOLDER}{run.run_id}" + (f".{run.folder}" if run.folder else "")


def pinned_tree(
    run: StoredRecord, repository: Repository, sha: str, *, is_kept: bool
) -> tuple[str, list[str]]:
    """The tree that a pin of the run has on the commit, and in words what is left out of it.

    ``is_kept``: it is written into the repository. Raises GitError where the patch does not apply.
    """
    root = run.snapshot.root or "."
    files = {
        posixpath.normpath(posixpath.join(root, path)): content
        for path, content in run.final_files.items()
        if is_inside(path)
    }
    files |= run.raw()
    safe = {path: content for path, content in files.items() if is_inside(path)}
    tree, links = build_tree(repository, sha, run.patch(), safe, is_kept=is_kept)
    return tree, [f"{path}: a link or a repository lies there" for path in links]
