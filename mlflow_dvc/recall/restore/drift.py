"""Whether what lies in a restored tree is what the run saw, be it just laid out or long ago.

Of data that is told when it is brought.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from mlflow_dvc.dvc_backend.hash_query import HashQuery
from mlflow_dvc.dvc_backend.hashing import hash_now
from mlflow_dvc.git.code_files import is_program
from mlflow_dvc.git.repository import GitError, Repository
from mlflow_dvc.git.submodules import list_submodules
from mlflow_dvc.recall.restore.target import RestoreTarget
from mlflow_dvc.recall.stored_record import SUBMODULES
from mlflow_dvc.recall.verdict import Check
from mlflow_dvc.recall.verify.record import find_patch_fault

_CHANGED = "it was changed since it was restored, and was left as it is"
_NEW = "it was put there since"
_BY_DVC = (".gitignore", ".dvc", "dvc.lock")  # DVC keeps lines of its own in ignore files


def check_drift(place: RestoreTarget) -> Iterator[Check]:
    """Each file that is another, less those of which something was said already."""
    said = {item.name for items in place.steps.values() for item in items if item.verdict != "PASS"}
    for item in (*_code(place), *_files(place), *_programs(place)):
        if item.name not in said:
            said.add(item.name)
            yield item


def _code(place: RestoreTarget) -> Iterator[Check]:
    ours = {place.inside(path) for path in place.run.project_files}

    def counts(path: str) -> bool:
        return os.path.join(place.directory, path) not in ours and not path.endswith(_BY_DVC)

    for path in filter(counts, _changed(place, place.repository, place.sha, "")):
        yield Check("file", path, "FAIL", _CHANGED)
    patched = _patched(place)
    for path in filter(counts, place.repository.untracked()):
        if is_program(path) and path not in patched:
            yield Check("file", path, "FAIL", _NEW)


def _changed(place: RestoreTarget, repository: Repository, sha: str, folder: str) -> Iterator[str]:
    """Of a repository and its submodules, whose record is attached in ``folder``."""
    tree = _tree(place, repository, sha, folder)
    raw = {} if find_patch_fault(place.run) else place.run.raw(folder)
    yield from (path for path in repository.changed_since(tree) if path not in raw)
    for path, content in raw.items():
        target = Path(repository.root, path)
        if not target.is_file() or target.read_bytes() != content:
            yield path
    for one in list_submodules(repository, tree):
        inner = Repository(os.path.join(repository.root, one.path))
        if os.path.isdir(os.path.join(inner.root, ".git")) and inner.has(one.sha):
            below = posixpath.join(folder, SUBMODULES, one.path)
            yield from (f"{one.path}/{path}" for path in _changed(place, inner, one.sha, below))


def _tree(place: RestoreTarget, repository: Repository, sha: str, folder: str = "") -> str:
    """As it was laid out: what could not be applied, or is forged, was said then."""
    patch = b"" if find_patch_fault(place.run) else place.run.patch(folder)
    try:
        return repository.tree(sha, patch)
    except GitError:
        return repository.tree(sha)


def _patched(place: RestoreTarget) -> set[str]:
    """The paths that are in the commit with the patch, or attached beside it."""
    tree = _tree(place, place.repository, place.sha)
    return {*place.repository.paths(tree), *place.run.raw()}


def _files(place: RestoreTarget) -> Iterator[Check]:
    for path, content in place.run.project_files.items() if place.dvc_root else ():
        target = place.inside(path)
        if target and (not os.path.isfile(target) or Path(target).read_bytes() != content):
            yield Check("lock" if path.endswith(".lock") else "file", path, "FAIL", _CHANGED)


def _programs(place: RestoreTarget) -> Iterator[Check]:
    """By the hashes of the stage's code then: git may lay ends of lines out otherwise."""
    git = place.run.snapshot.git
    if place.dvc_root is None or git is None or git.sha != place.sha:
        return
    known = [dep for dep in place.run.snapshot.deps if dep.role == "code" and dep.is_observed]
    asked = [HashQuery(dep.path, dep.algorithm, dep.hash) for dep in known]
    answer = hash_now(place.dvc_root, asked) if asked else {}
    for dep, question in zip(known, asked, strict=True):
        found = answer.get(question.key)
        if place.inside(dep.path) and found and found.hash != dep.hash:
            yield Check("file", dep.path, "FAIL", f"its hash is {found.hash}, it was {dep.hash}")
