"""Rules about git: a commit, a remote, submodules."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from shlex import quote

from mlflow_dvc.git.inspection import GitInspection
from mlflow_dvc.recall.doctor.context import DoctorContext
from mlflow_dvc.recall.doctor.finding import Violation


def no_git(context: DoctorContext) -> Iterator[Violation]:
    root = context.project.git_root
    if root is None:
        where = context.project.dvc_root or context.project.directory
        yield Violation(where, "it lies in no git repository", "git init, then commit the project")
    elif shutil.which("git") is None:
        yield Violation(root, "there is no git on the PATH", "Install git")


def git_refused(context: DoctorContext) -> Iterator[Violation]:
    root = context.project.git_root
    if root is None or shutil.which("git") is None:
        return
    if refusal := GitInspection(root).refusal:
        fix = "`git status` says more"
        if "dubious ownership" in refusal:
            fix = f"git config --global --add safe.directory {quote(root)}"
        yield Violation(root, f"git does not answer: {refusal}", fix)


def no_commit(context: DoctorContext) -> Iterator[Violation]:
    code = context.code
    if code and not code.has_commit:
        yield Violation(".git", "there is no commit yet", "git add --all && git commit")


def shallow_clone(context: DoctorContext) -> Iterator[Violation]:
    code = context.code
    if code and code.is_shallow:
        yield Violation(".git", "this is a shallow clone", "git fetch --unshallow --tags")


def no_git_remote(context: DoctorContext) -> Iterator[Violation]:
    code = context.code
    if code and code.has_commit and not code.remotes:
        fix = "git remote add origin URL && git push -u origin HEAD"
        yield Violation(".git/config", "no git remote is configured", fix)


def head_not_pushed(context: DoctorContext) -> Iterator[Violation]:
    code = context.code
    if code and code.remotes and code.has_commit and not code.is_pushed:
        remote = "origin" if "origin" in code.remotes else quote(code.remotes[0])
        target = "HEAD" if code.is_on_branch else "HEAD:refs/heads/BRANCH"
        yield Violation(
            "HEAD", "no branch of a remote contains it", f"git push -u {remote} {target}"
        )


def submodule(context: DoctorContext) -> Iterator[Violation]:
    update = "git submodule update --init"
    for state, path in context.code.submodules() if context.code else ():
        if state == "-":
            yield Violation(path, "this submodule is not checked out", update)
        elif state == "U":
            yield Violation(path, "this submodule has a merge conflict", "Resolve it and commit")
        elif state == "+":
            fix = f"{context.code.commit_command(path)}, or {update}" if context.code else update
            yield Violation(path, "this submodule is at another commit than HEAD says", fix)
