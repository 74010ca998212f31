"""The project of a run: the checkout around the working directory, or a clone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from mlflow_dvc.git.head import read_head, without_credentials
from mlflow_dvc.git.repository import GitError, Repository, full_sha_or_none
from mlflow_dvc.paths import safe_join
from mlflow_dvc.project import find_project
from mlflow_dvc.recall.stored_record import StoredRecord


@dataclass(frozen=True)
class ProjectLocation:
    """A git repository, None where there is none, and the DVC project whose stores are asked.

    ``untrusted``: it is not the user's, but what a record names.
    """

    repository: Repository | None
    dvc_root: str | None
    untrusted: bool = False


def locate_project(record: StoredRecord, directory: str | None = None) -> ProjectLocation:
    """The project of the run around ``directory`` (default: the working directory).

    The checkout there counts if it has the run's commit or the same remote URL; for a run without
    a remote, if it has one of the run's files.
    """
    project = find_project(directory)
    if project.git_root is None or not _is_project_of(record, project.git_root):
        without_git = record.snapshot.git is None
        return ProjectLocation(None, project.dvc_root if without_git else None)
    inside = os.path.normpath(os.path.join(project.git_root, record.snapshot.root or "."))
    has_dvc = os.path.isdir(os.path.join(inside, ".dvc"))
    return ProjectLocation(Repository(project.git_root), inside if has_dvc else project.dvc_root)


def _is_project_of(record: StoredRecord, root: str) -> bool:
    git = record.snapshot.git
    sha = full_sha_or_none(git.sha) if git else None
    if git is None or sha is None:
        return False
    repository = Repository(root)
    if repository.has(sha):
        return True
    if git.remote_url is None:  # its commit may be lost: then by the files that others share
        return any(map(repository.has_blob, record.project_files.values()))
    state, _ = read_head(root)
    return state is not None and state.remote_url == without_credentials(git.remote_url)


@contextmanager
def clone_project(record: StoredRecord) -> Iterator[ProjectLocation]:
    """A throw-away clone of the run's remote at its commit, as far as that can be had."""
    git = record.snapshot.git
    sha = full_sha_or_none(git.sha) if git else None
    if git is None or sha is None or not git.remote_url:
        yield ProjectLocation(None, None)
        return
    with tempfile.TemporaryDirectory(prefix="mlflow-dvc-") as folder:
        repository = Repository.create(folder, sha)
        with suppress(GitError):  # the caller asks for the commit, and is told
            if repository.fetch(sha, git.remote_url) is None:
                repository.check_out(repository.tree(sha), sha)
        root = safe_join(folder, record.snapshot.root or ".")
        is_project = root is not None and os.path.isdir(f"{root}/.dvc")
        yield ProjectLocation(repository, root if is_project else None, untrusted=True)
