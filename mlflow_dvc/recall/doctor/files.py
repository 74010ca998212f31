"""Rules about DVC's files: whether git and DVC see them, and can read them."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from shlex import quote

from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.dvcfiles.lock_file import lock_path
from mlflow_dvc.project import relative
from mlflow_dvc.recall.doctor.context import DoctorContext
from mlflow_dvc.recall.doctor.find_files import LOCK_FILE
from mlflow_dvc.recall.doctor.finding import Violation
from mlflow_dvc.recall.doctor.ignore_fix import show_file, show_project

# In the reader's words; `lock-ignored` says it in ours.
_LOCK_IGNORED = ": git ignores it, and DVC refuses that"


def unreadable(context: DoctorContext) -> Iterator[Violation]:
    for warning in context.reading.warnings:
        if warning.endswith(_LOCK_IGNORED):
            continue
        file, colon, what = warning.partition(": ")
        if not colon or not os.path.lexists(context.absolute(file)):
            file, what = ".", warning
        yield Violation(file, what, "Mend it; `dvc status` names the fault in DVC's words")


def lock_ignored(context: DoctorContext) -> Iterator[Violation]:
    for pipeline in context.pipelines:
        if context.hidden.hidden_by_git(context.absolute(pipeline.lock)):
            yield Violation(pipeline.lock, "git ignores it", show_file(context, pipeline.lock))


def lock_uncommitted(context: DoctorContext) -> Iterator[Violation]:
    locks = [pipeline.lock for pipeline in context.pipelines]
    ignored = {case.where for case in lock_ignored(context)}
    yield from _uncommitted(context, [lock for lock in locks if lock not in ignored])


def dvc_file_uncommitted(context: DoctorContext) -> Iterator[Violation]:
    files = [source.file for source in context.reading.dvc_files]
    yield from _uncommitted(context, [file for file in files if file.endswith(".dvc")])


def _uncommitted(context: DoctorContext, paths: list[str]) -> Iterator[Violation]:
    git, root = context.data, context.project.dvc_root
    if git is None or root is None:
        return
    tracked, changed = set(git.dvc_files), git.changed_dvc_files
    for path in paths:
        name = relative(os.path.join(root, path), git.root)
        fix = git.commit_command(name)
        if name in changed:
            yield Violation(path, "it differs from HEAD", fix)
        elif name not in tracked and os.path.exists(context.absolute(path)):
            yield Violation(path, "git does not have it", fix)


def dvc_file_hidden(context: DoctorContext) -> Iterator[Violation]:
    root = context.project.dvc_root
    if root is None:
        return
    hidden = context.hidden
    if hidden.hides_project():
        what = "an ignore rule hides the whole DVC project from DVC"
        yield Violation(root, what, show_project(context))
        return
    known = {source.file for source in context.reading.dvc_files}
    for path in context.dvc_files:
        lies_with_pipeline = posixpath.join(posixpath.dirname(path), PIPELINE_FILE) in known
        is_lock = posixpath.basename(path) == LOCK_FILE
        if path in known or (is_lock and not lies_with_pipeline):
            continue
        if hidden.hidden_by_dvc(context.absolute(path)):
            fix = f"Remove the rule that `dvc check-ignore -d {quote(path)}` names"
            yield Violation(path, "a .dvcignore hides it from DVC", fix)
        elif is_lock:
            continue
        elif folder := hidden.hiding_folder(context.absolute(path)):
            if hidden.hides_file(context.absolute(path)):
                what = "git ignores it, so DVC does too"
            else:
                what = "git ignores what lies in its folder, so DVC does not look there"
            yield Violation(path, what, show_file(context, path, relative(folder, root)))
        elif hidden.hides_file(context.absolute(path)):
            yield Violation(path, "git ignores it, so DVC does too", show_file(context, path))


def lock_without_pipeline(context: DoctorContext) -> Iterator[Violation]:
    for path in context.dvc_files:
        pipeline = posixpath.join(posixpath.dirname(path), PIPELINE_FILE)
        if posixpath.basename(path) == LOCK_FILE and not os.path.lexists(
            context.absolute(pipeline)
        ):
            fix = f"{_remove_command(context, path)}, or bring its dvc.yaml back"
            yield Violation(path, "there is no dvc.yaml beside it", fix)


def _remove_command(context: DoctorContext, path: str) -> str:
    where, git = context.absolute(path), context.data
    name = relative(where, git.root) if git else path
    if git is None or name not in git.dvc_files:
        return f"rm {quote(os.path.relpath(where))}"
    return git.remove_command(name)


def is_lock_seen(context: DoctorContext, pipeline: str) -> bool:
    """Whether DVC reads the lock of the dvc.yaml, if there is one."""
    return not context.hidden.hides_file(context.absolute(lock_path(pipeline)))
