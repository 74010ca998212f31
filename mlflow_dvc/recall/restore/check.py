"""Whether what lies in a restored tree is what the run saw, be it just laid out or long ago.

Of data that is told when it is brought.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mlflow_dvc.capture.code import is_program
from mlflow_dvc.dvc_backend.check import Question, ask
from mlflow_dvc.recall.carried import SUBMODULES
from mlflow_dvc.recall.repository import GitError, Repository
from mlflow_dvc.recall.restore.place import Place
from mlflow_dvc.recall.verdict import Item

_CHANGED = "it was changed since it was restored, and was left as it is"
_NEW = "it was put there since"
_BY_DVC = (".gitignore", ".dvc", "dvc.lock")  # DVC keeps lines of its own in ignore files


def check(place: Place) -> Iterator[Item]:
    """Each file that is another, less those of which something was said already."""
    said = {item.name for items in place.steps.values() for item in items if item.verdict != "PASS"}
    for item in (*_code(place), *_files(place), *_programs(place)):
        if item.name not in said:
            said.add(item.name)
            yield item


def _code(place: Place) -> Iterator[Item]:
    ours = {place.inside(path) for path in place.run.project_files}
    for path in _changed(place, place.repository, place.sha, ""):
        if os.path.join(place.directory, path) not in ours and not path.endswith(_BY_DVC):
            yield Item("file", path, "FAIL", _CHANGED)
    for path in place.repository.untracked():
        if is_program(path) and path not in _patched(place):
            yield Item("file", path, "FAIL", _NEW)


def _changed(place: Place, repository: Repository, sha: str, folder: str) -> Iterator[str]:
    """Of a repository and its submodules, whose record is attached in ``folder``."""
    try:
        tree = repository.tree(sha, place.run.patch(folder))
    except GitError:  # it was said when the code was laid out
        tree = repository.tree(sha)
    raw = place.run.raw(folder)
    for path in repository.changed_since(tree):
        if path not in raw:
            yield path
    for path, content in raw.items():
        target = Path(repository.root, path)
        if not target.is_file() or target.read_bytes() != content:
            yield path
    for one in repository.submodules(tree):
        where = os.path.join(repository.root, one.path)
        if os.path.isdir(os.path.join(where, ".git")):
            below = f"{folder}{'/' if folder else ''}{SUBMODULES}{one.path}"
            inner = _changed(place, Repository(where), one.sha, below)
            yield from (f"{one.path}/{path}" for path in inner)


def _patched(place: Place) -> set[str]:
    """The paths that are in the commit with the patch, or attached beside it."""
    try:
        tree = place.repository.tree(place.sha, place.run.patch())
    except GitError:
        tree = place.repository.tree(place.sha)
    return {*place.repository.paths(tree), *place.run.raw()}


def _files(place: Place) -> Iterator[Item]:
    for path, content in place.run.project_files.items() if place.dvc_root else ():
        target = place.inside(path)
        if target and (not os.path.isfile(target) or Path(target).read_bytes() != content):
            yield Item("lock" if path.endswith(".lock") else "file", path, "FAIL", _CHANGED)


def _programs(place: Place) -> Iterator[Item]:
    """By the hashes of the stage's code then: git may lay ends of lines out otherwise."""
    git = place.run.snapshot.git
    if place.dvc_root is None or git is None or git.sha != place.sha:
        return
    known = [dep for dep in place.run.snapshot.deps if dep.role == "code" and dep.seen]
    asked = [Question(dep.path, dep.algorithm, dep.hash) for dep in known]
    answer = ask(place.dvc_root, asked) if asked else {}
    for dep, question in zip(known, asked, strict=True):
        found = answer.get(question.key)
        if place.inside(dep.path) and found and found.hash != dep.hash:
            yield Item("file", dep.path, "FAIL", f"its hash is {found.hash}, it was {dep.hash}")
