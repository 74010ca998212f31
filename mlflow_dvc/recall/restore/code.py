"""Restore the code of a run: its commit, and what was not committed."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from mlflow_dvc.git.repository import Repository
from mlflow_dvc.git.submodules import Submodule, list_submodules
from mlflow_dvc.paths import is_inside, safe_join
from mlflow_dvc.recall.restore.target import RestoreTarget
from mlflow_dvc.recall.stored_record import SUBMODULES, StoredRecord
from mlflow_dvc.recall.verdict import Check
from mlflow_dvc.recall.verify.code import patch_verdict
from mlflow_dvc.recall.verify.record import find_patch_fault

_MAX_SUBMODULE_DEPTH = 5


def restore_code(target: RestoreTarget) -> Iterator[Check]:
    """Check the commit out with the patch: no hook runs, and no filter but the user's own."""
    git = target.run.snapshot.git
    if target.has_own_commit:
        reason = "" if target.sha else "before the first commit: all of the code is in the patch"
        yield Check("commit", target.sha or "none", "PASS", reason)
    else:
        own = (git.sha if git else None) or "none"
        yield Check("commit", target.sha, "FAIL", f"in place of {own}")
    changed = find_patch_fault(target.run)
    if changed:
        yield Check("patch", "code.patch", "TAMPERED", f"{changed}; it was not applied")
    location = target.location.repository.root if target.location.repository else None
    yield from _CodeRestorer(target.run, not changed).lay(
        target.repository, target.sha, "", location
    )
    if git and git.dirty is not False and not target.run.code_files and not git.omitted:
        yield Check("patch", "code.patch", *patch_verdict(target.run, target.repository))
    for line in git.omitted if git else ():
        yield Check("patch", line.partition(": ")[0], "UNVERIFIED", line.partition(": ")[2])


class _CodeRestorer:
    """Of a repository and its submodules; ``patched``: with what was not committed."""

    def __init__(self, run: StoredRecord, patched: bool) -> None:
        self._run = run
        self._patched = patched

    def lay(
        self, repository: Repository, sha: str, folder: str, location: str | None
    ) -> Iterator[Check]:
        """What is attached lies in ``folder`` of the record; ``location`` is a checkout of it."""
        patch = self._run.patch(folder) if self._patched else b""
        name = posixpath.join(folder, "code.patch")
        tree = repository.code_tree(sha, patch)
        if tree.fault:
            yield Check("patch", name, "FAIL", f"it does not apply: {tree.fault}")
        elif patch:
            yield Check("patch", name, "PASS")
        repository.check_out(tree.name, sha)
        for path, where in tree.links_out.items():
            reason = f"a link to {where!r}, out of the tree; it was not written"
            yield Check("file", path, "UNVERIFIED" if is_inside(path) else "TAMPERED", reason)
        for path, content in self._run.raw(folder).items() if self._patched else ():
            yield _written(repository.root, path, content)
        if folder.count(SUBMODULES) < _MAX_SUBMODULE_DEPTH:
            for one in list_submodules(repository, tree.name):
                yield from self._submodule(repository, one, folder, location)
        repository.leave_uncommitted()

    def _submodule(
        self, repository: Repository, one: Submodule, folder: str, location: str | None
    ) -> Iterator[Check]:
        """As a repository of its own: git's way would write into the one at home."""
        here = os.path.join(location, one.path) if location else None
        where = safe_join(repository.root, one.path)
        reason = "it leads out of the tree" if where is None else "no address is known of it"
        inner = Repository.create(where, one.sha, repository.own) if where else None
        for source in (here, one.url):
            if inner is None or source is None or (source is here and not os.path.isdir(source)):
                continue
            reason = inner.fetch(one.sha, source) or ""
            if not reason:
                inside = posixpath.join(folder, SUBMODULES, one.path)
                yield from self.lay(inner, one.sha, inside, here)
                return
        yield Check("commit", one.path, "FAIL", f"submodule at {one.sha}: {reason}")


def _written(root: str, path: str, content: bytes) -> Check:
    """A file of the code whose bytes git does not carry."""
    where = safe_join(root, path)
    if where is None:
        return Check("file", path, "TAMPERED", "it leads out of the tree; it was not written")
    Path(where).parent.mkdir(parents=True, exist_ok=True)
    Path(where).write_bytes(content)
    return Check("file", path, "PASS")
