"""Whether git and DVC see the files in which DVC keeps what it knows."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from shlex import quote

from mlflow_dvc.capture.hidden import Hidden
from mlflow_dvc.capture.lockfile import lock_of
from mlflow_dvc.capture.pipeline import parents
from mlflow_dvc.capture.project import relative
from mlflow_dvc.capture.tree import PIPELINE
from mlflow_dvc.recall.doctor.finding import Case
from mlflow_dvc.recall.doctor.subject import Subject
from mlflow_dvc.recall.doctor.walk import LOCK

# In the reader's words; `lock-ignored` says it in ours.
_LOCK_IGNORED = " is git-ignored: DVC refuses that"


def unreadable(subject: Subject) -> Iterator[Case]:
    for warning in subject.reading.warnings:
        if warning.endswith(_LOCK_IGNORED):
            continue
        file, colon, what = warning.partition(": ")
        if not colon or not os.path.lexists(subject.absolute(file)):
            file, what = ".", warning
        yield Case(file, what, "Mend it; `dvc status` names the fault in DVC's words")


def lock_ignored(subject: Subject) -> Iterator[Case]:
    for pipeline in subject.pipelines:
        if subject.hidden.from_git(subject.absolute(pipeline.lock)):
            yield Case(pipeline.lock, "git ignores it", _without_git_rule(pipeline.lock))


def lock_uncommitted(subject: Subject) -> Iterator[Case]:
    locks = [pipeline.lock for pipeline in subject.pipelines]
    ignored = {case.where for case in lock_ignored(subject)}
    yield from _uncommitted(subject, [lock for lock in locks if lock not in ignored])


def dvc_file_uncommitted(subject: Subject) -> Iterator[Case]:
    files = [source.file for source in subject.reading.sources]
    yield from _uncommitted(subject, [file for file in files if file.endswith(".dvc")])


def _uncommitted(subject: Subject, paths: list[str]) -> Iterator[Case]:
    git, root = subject.data, subject.project.dvc_root
    if git is None or root is None:
        return
    tracked, changed = set(git.dvc_files), git.changed_dvc_files
    for path in paths:
        name = relative(os.path.join(root, path), git.root)
        fix = git.adding(name)
        if name in changed:
            yield Case(path, "it differs from HEAD", fix)
        elif name not in tracked and os.path.exists(subject.absolute(path)):
            yield Case(path, "git does not have it", fix)


def dvc_file_hidden(subject: Subject) -> Iterator[Case]:
    root = subject.project.dvc_root
    if root is None:
        return
    hidden = subject.hidden
    if hidden.tree():
        fix = "`git check-ignore -v` names the rule: remove it"
        yield Case(root, "an ignore rule hides the whole DVC project from DVC", fix)
        return
    known = {source.file for source in subject.reading.sources}
    for path in subject.dvc_files:
        lies_with_pipeline = posixpath.join(posixpath.dirname(path), PIPELINE) in known
        is_lock = posixpath.basename(path) == LOCK
        if path in known or (is_lock and not lies_with_pipeline):
            continue
        if hidden.from_dvc(subject.absolute(path)):
            fix = f"Remove the rule that `dvc check-ignore -d {quote(path)}` names"
            yield Case(path, "a .dvcignore hides it from DVC", fix)
        elif not is_lock and _is_hidden_by_git(hidden, root, path):
            yield Case(path, "git ignores it, so DVC does too", _without_git_rule(path))


def lock_without_pipeline(subject: Subject) -> Iterator[Case]:
    for path in subject.dvc_files:
        pipeline = posixpath.join(posixpath.dirname(path), PIPELINE)
        if posixpath.basename(path) == LOCK and not os.path.lexists(subject.absolute(pipeline)):
            fix = f"git rm {quote(path)}, or bring its dvc.yaml back"
            yield Case(path, "there is no dvc.yaml beside it", fix)


def is_lock_seen(subject: Subject, pipeline: str) -> bool:
    """Whether DVC reads the lock of the dvc.yaml, if there is one."""
    return not subject.hidden.file(subject.absolute(lock_of(pipeline)))


def _without_git_rule(path: str) -> str:
    return f"Remove the rule that `git check-ignore -v --no-index {quote(path)}` names"


def _is_hidden_by_git(hidden: Hidden, root: str, path: str) -> bool:
    folders = [os.path.join(root, folder) for folder in parents(path)]
    return any(map(hidden.directory, folders)) or hidden.file(os.path.join(root, path))
