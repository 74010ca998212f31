"""The code of a run: its commit, and what was not committed."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from mlflow_dvc.recall.carried import SUBMODULES, Carried
from mlflow_dvc.recall.paths import place_of
from mlflow_dvc.recall.repository import GitError, Repository
from mlflow_dvc.recall.restore.place import Place
from mlflow_dvc.recall.verdict import Item
from mlflow_dvc.recall.verify.record import patch_fault

_DEEPEST = 5


def lay_code(place: Place) -> Iterator[Item]:
    """Check the commit out with the patch; no program is run, be it a hook or a filter's."""
    git = place.run.snapshot.git
    own = git.sha if git else None
    reason = "" if place.sha == own else f"in place of {own}"
    yield Item("commit", place.sha, "FAIL" if reason else "PASS", reason)
    changed = patch_fault(place.run)
    if changed:
        yield Item("patch", "code.patch", "TAMPERED", f"{changed}; it was not applied")
    yield from _laid(place.run, place.repository, place.sha, "", patched=not changed)
    if git and git.dirty is None:
        why = "whether code was changed is not known"
        yield Item("patch", "code.patch", "UNVERIFIED", why)
    for line in git.omitted if git else ():
        yield Item("patch", line.partition(": ")[0], "UNVERIFIED", line.partition(": ")[2])


def _laid(
    run: Carried, repository: Repository, sha: str, folder: str, *, patched: bool
) -> Iterator[Item]:
    """One repository; what is attached of it lies in ``folder`` of the record."""
    patch = run.patch(folder) if patched else b""
    name = posixpath.join(folder, "code.patch")
    try:
        tree = repository.tree(sha, patch)
        if patch:
            yield Item("patch", name, "PASS")
    except GitError as error:
        yield Item("patch", name, "FAIL", f"it does not apply: {error}")
        tree = repository.tree(sha)
    repository.check_out(tree, sha)
    for path, content in run.raw(folder).items() if patched else ():
        yield _written(repository.root, path, content)
    if folder.count(SUBMODULES) < _DEEPEST:
        for path in repository.submodules():
            yield from _submodule(run, repository, path, folder, patched=patched)
    repository.uncommit()


def _submodule(
    run: Carried, repository: Repository, path: str, folder: str, *, patched: bool
) -> Iterator[Item]:
    try:
        inner = repository.fill_submodule(path)
        sha = inner.git("rev-parse", "HEAD").decode().strip()
    except GitError as error:
        yield Item("commit", path, "FAIL", f"submodule: {error}")
        return
    yield from _laid(run, inner, sha, posixpath.join(folder, SUBMODULES, path), patched=patched)


def _written(root: str, path: str, content: bytes) -> Item:
    """A file of the code whose bytes git does not carry."""
    target = place_of(root, path)
    if target is None or os.path.islink(target):
        return Item("file", path, "TAMPERED", "it leads out of the tree; it was not written")
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_bytes(content)
    return Item("file", path, "PASS")
