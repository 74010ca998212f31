"""Whether a restored tree is still what the run saw.

Data is checked when it is fetched.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from mlflow_dvc.dvc_backend.hash_query import HashQuery
from mlflow_dvc.dvc_backend.hashing import hash_now
from mlflow_dvc.git.code_files import is_program
from mlflow_dvc.git.notebook import SUFFIX
from mlflow_dvc.git.repository import Repository
from mlflow_dvc.git.submodules import list_submodules
from mlflow_dvc.recall.restore.target import RestoreTarget
from mlflow_dvc.recall.stored_record import SUBMODULES
from mlflow_dvc.recall.verdict import Check
from mlflow_dvc.recall.verify.record import find_patch_fault

_CHANGED = "it was changed since it was restored, and was left as it is"
_NEW = "it was put there since"
_BY_DVC = (".gitignore", ".dvc", "dvc.lock")  # DVC keeps lines of its own in ignore files


def check_drift(target: RestoreTarget) -> Iterator[Check]:
    """Each file that is another, less those of which something was said already."""
    said = {
        item.name for items in target.steps.values() for item in items if item.verdict != "PASS"
    }
    for item in (*_code(target), *_files(target), *_programs(target)):
        if item.name not in said:
            said.add(item.name)
            yield item


def _code(target: RestoreTarget) -> Iterator[Check]:
    ours = {target.inside(path) for path in target.run.project_files}

    def counts(path: str) -> bool:
        return os.path.join(target.directory, path) not in ours and not path.endswith(_BY_DVC)

    for path in filter(counts, _changed(target, target.repository, target.sha, "")):
        yield Check("file", path, "FAIL", _CHANGED)
    patched = _patched(target)
    for path in filter(counts, target.repository.untracked()):
        if is_program(path) and path not in patched:
            yield Check("file", path, "FAIL", _NEW)


def _changed(target: RestoreTarget, repository: Repository, sha: str, folder: str) -> Iterator[str]:
    """Of a repository and its submodules, whose record is attached in ``folder``."""
    tree = _tree(target, repository, sha, folder)
    raw = {} if find_patch_fault(target.run) else target.run.raw(folder)
    yield from (path for path in repository.changed_since(tree) if path not in raw)
    for path, content in raw.items():
        where = Path(repository.root, path)
        if not where.is_file() or where.read_bytes() != content:
            yield path
    for one in list_submodules(repository, tree):
        inner = Repository(os.path.join(repository.root, one.path))
        if os.path.isdir(os.path.join(inner.root, ".git")) and inner.has(one.sha):
            below = posixpath.join(folder, SUBMODULES, one.path)
            yield from (f"{one.path}/{path}" for path in _changed(target, inner, one.sha, below))


def _tree(target: RestoreTarget, repository: Repository, sha: str, folder: str = "") -> str:
    """The tree as it was restored; a patch that failed or is forged was reported then."""
    patch = b"" if find_patch_fault(target.run) else target.run.patch(folder)
    return repository.code_tree(sha, patch).name


def _patched(target: RestoreTarget) -> set[str]:
    """The paths that are in the commit with the patch, or attached beside it."""
    tree = _tree(target, target.repository, target.sha)
    return {*target.repository.paths(tree), *target.run.raw()}


def _files(target: RestoreTarget) -> Iterator[Check]:
    for path, content in target.run.final_files.items() if target.dvc_root else ():
        where = target.inside(path)
        if where and (not os.path.isfile(where) or Path(where).read_bytes() != content):
            yield Check("lock" if path.endswith(".lock") else "file", path, "FAIL", _CHANGED)


def _programs(target: RestoreTarget) -> Iterator[Check]:
    """By the hashes of the stage's code then: git may lay ends of lines out otherwise.

    The hash of a notebook is of its outputs as well, which are not kept.
    """
    if target.dvc_root is None or not target.has_own_commit:
        return
    deps = (dep for dep in target.run.snapshot.deps if dep.role == "code" and dep.is_observed)
    known = [dep for dep in deps if not dep.path.endswith(SUFFIX) and target.inside(dep.path)]
    asked = [HashQuery(dep.path, dep.algorithm, dep.hash) for dep in known]
    answer = hash_now(target.dvc_root, asked, foreign=True) if asked else {}
    for dep, question in zip(known, asked, strict=True):
        found = answer.get(question.key)
        if found and found.hash != dep.hash:
            yield Check("file", dep.path, "FAIL", f"its hash is {found.hash}, it was {dep.hash}")
