"""What git must be asked for when a run has started: the nearest tag, what is not committed."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache

from mlflow_dvc import settings
from mlflow_dvc.capture.run_capture import RunCapture, files_read
from mlflow_dvc.capture.running_code import loaded_files, process_began
from mlflow_dvc.capture.unseen_files import note_unseen_files
from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.dvcfiles.dvc_file import runs_the_same, shown_files
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.fingerprint import describe_error
from mlflow_dvc.git import head
from mlflow_dvc.git.changed_code import PatchOptions
from mlflow_dvc.git.commit_files import files_not_in_commit
from mlflow_dvc.git.known_patch import find_patch
from mlflow_dvc.git.patch import MAX_PATCH_SECONDS
from mlflow_dvc.project import find_git_root, relative


def add_code_facts(capture: RunCapture, since: float | None) -> RunCapture:
    """``capture`` with the nearest tag, and with what differs from the commit.

    Code that has changed ``since`` then, in seconds since 1970, is named in the warnings.
    """
    root, state = capture.project.git_root, capture.git
    if root is None or state is None:
        return capture
    if state.sha is not None:
        state = replace(state, describe=head.describe(root, state.sha))
    try:
        found = find_patch(root, state.sha, _patch_options(capture, since))
        uncommitted = _uncommitted_files(capture, root, state.sha)
    except (OSError, ValueError) as error:
        fault = f"{root}: what is uncommitted could not be told ({describe_error(error)})"
        return replace(capture, git=state, faults=(*capture.faults, fault))
    state = replace(
        state,
        dirty=found.is_dirty,
        omitted=found.omitted,
        changes=found.digest,
        uncommitted=uncommitted,
    )
    capture = note_unseen_files(capture, root, found.dvc_files)
    return replace(capture, git=state, patch=None if settings.patch_mode() == "off" else found)


def _patch_options(capture: RunCapture, since: float | None) -> PatchOptions:
    # Before the first commit nothing is as it was committed, whenever it was written.
    is_committed = capture.git is not None and capture.git.sha is not None
    project = capture.project
    no_code = _NoCode.of(capture.reading)
    return PatchOptions(
        no_code.outs,
        untracked=settings.patch_mode() != "tracked",
        since=since,
        params=no_code.params,
        shown=no_code.shown,
        loaded=loaded_files(project),
        script=project.script,
        began=process_began() if since is not None and is_committed else None,
        same_code={PIPELINE_FILE: runs_the_same},
        by_content=project.experiment is not None,
    )


@dataclass(frozen=True)
class _NoCode:
    """The absolute paths of what DVC's files name, and is no code."""

    outs: frozenset[str] = frozenset()
    params: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()

    @staticmethod
    @lru_cache(maxsize=2)  # a reading is the same object while nothing changed
    def of(reading: ProjectReading | None) -> _NoCode:
        if reading is None:
            return _NoCode()
        root = reading.root
        outs = (out.path for stage in reading.stages for out in stage.outs)
        shown = (path for one in reading.dvc_files for path in shown_files(one.file, one.content))
        return _NoCode(
            frozenset(os.path.join(root, path) for path in outs),
            frozenset(os.path.join(root, path) for path in reading.params),
            frozenset(os.path.normpath(os.path.join(root, path)) for path in shown),
        )


def _uncommitted_files(capture: RunCapture, root: str, sha: str | None) -> tuple[str, ...] | None:
    """Of DVC's files and the parameters; None where they belong to another repository."""
    reading = capture.reading
    if reading is None or find_git_root(reading.root) != root:
        return None
    return _find_uncommitted(reading, root, sha)


@lru_cache(maxsize=2)  # nor does a commit ever change
def _find_uncommitted(reading: ProjectReading, root: str, sha: str | None) -> tuple[str, ...]:
    files = files_read(reading)
    named = {relative(os.path.join(reading.root, path), root): path for path in files}
    contents = {inside: files[path] for inside, path in named.items()}
    found = files_not_in_commit(root, sha, contents, MAX_PATCH_SECONDS)
    return tuple(sorted(named[inside] for inside in found))
