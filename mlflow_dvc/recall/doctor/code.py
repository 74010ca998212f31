"""Whether the commit that a run names is there to be had, and is all of the code."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from shlex import quote

from mlflow_dvc.recall.doctor.finding import Case
from mlflow_dvc.recall.doctor.repository import Repository
from mlflow_dvc.recall.doctor.subject import Subject


def no_git(subject: Subject) -> Iterator[Case]:
    root = subject.project.git_root
    if root is None:
        where = subject.project.dvc_root or subject.project.directory
        yield Case(where, "it lies in no git repository", "git init, then commit the project")
    elif shutil.which("git") is None:
        yield Case(root, "there is no git on the PATH", "Install git")


def git_refused(subject: Subject) -> Iterator[Case]:
    root = subject.project.git_root
    if root is None or shutil.which("git") is None:
        return
    if refusal := Repository(root).refusal:
        fix = "`git status` says more"
        if "dubious ownership" in refusal:
            fix = f"git config --global --add safe.directory {quote(root)}"
        yield Case(root, f"git does not answer: {refusal}", fix)


def no_commit(subject: Subject) -> Iterator[Case]:
    code = subject.code
    if code and not code.has_commit:
        yield Case(".git", "there is no commit yet", "git add --all && git commit")


def shallow_clone(subject: Subject) -> Iterator[Case]:
    code = subject.code
    if code and code.is_shallow:
        yield Case(".git", "this is a shallow clone", "git fetch --unshallow --tags")


def no_git_remote(subject: Subject) -> Iterator[Case]:
    code = subject.code
    if code and code.has_commit and not code.remotes:
        fix = "git remote add origin URL && git push -u origin HEAD"
        yield Case(".git/config", "no git remote is configured", fix)


def head_not_pushed(subject: Subject) -> Iterator[Case]:
    code = subject.code
    if code and code.remotes and code.has_commit and not code.is_pushed:
        remote = "origin" if "origin" in code.remotes else quote(code.remotes[0])
        target = "HEAD" if code.is_on_branch else "HEAD:refs/heads/BRANCH"
        yield Case("HEAD", "no branch of a remote contains it", f"git push -u {remote} {target}")


def submodule(subject: Subject) -> Iterator[Case]:
    update = "git submodule update --init"
    for state, path in subject.code.submodules() if subject.code else ():
        if state == "-":
            yield Case(path, "this submodule is not checked out", update)
        elif state == "U":
            yield Case(path, "this submodule has a merge conflict", "Resolve it and commit")
        elif state == "+":
            fix = f"{subject.code.adding(path)}, or {update}" if subject.code else update
            yield Case(path, "this submodule is at another commit than HEAD says", fix)
