"""The project of a run: the checkout around the working directory, or a clone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from mlflow_dvc.capture.claims import checkout_id
from mlflow_dvc.git.head import is_relative_path
from mlflow_dvc.git.repository import GitError, Repository, full_sha_or_none
from mlflow_dvc.paths import safe_join
from mlflow_dvc.project import find_project
from mlflow_dvc.recall.stored_record import StoredRecord

# Parameters may be the same by chance.
_DVC_FILES = (".dvc", "dvc.lock", "dvc.yaml")


@dataclass(frozen=True)
class ProjectLocation:
    """A git repository, None where there is none, and the DVC project whose stores are asked.

    ``untrusted``: it is not the user's, but what a record names.
    """

    repository: Repository | None
    dvc_root: str | None
    untrusted: bool = False


def locate_project(
    record: StoredRecord, directory: str | None = None, *, at: str | None = None
) -> ProjectLocation:
    """The project of the run around ``directory`` (default: the working directory).

    The repository there counts if it has the run's commit, if it is, or is a clone of, the run's
    remote, or if the run was in this very checkout; where one of both has no remote, if it has one
    of DVC's files of the run. It also counts if it has the revision ``at``, which was asked for.
    """
    project = find_project(directory)
    if project.git_root is None:
        return ProjectLocation(None, project.dvc_root if record.snapshot.git is None else None)
    inside = os.path.normpath(os.path.join(project.git_root, record.snapshot.root or "."))
    dvc_root = inside if os.path.isdir(os.path.join(inside, ".dvc")) else project.dvc_root
    if record.snapshot.git is None:
        return ProjectLocation(None, dvc_root)
    repository = Repository(project.git_root)
    is_asked_for = at is not None and repository.resolve(at) is not None
    if is_asked_for or _is_project_of(record, repository, dvc_root):
        return ProjectLocation(repository, dvc_root)
    return ProjectLocation(None, None)


def _is_project_of(record: StoredRecord, repository: Repository, dvc_root: str | None) -> bool:
    snapshot = record.snapshot
    sha = full_sha_or_none(snapshot.git.sha) if snapshot.git else None
    url = snapshot.git.remote_url if snapshot.git else None
    if (sha and repository.has(sha)) or (url and repository.is_of_remote(url)):
        return True
    if dvc_root and snapshot.workspace and snapshot.workspace == checkout_id(dvc_root):
        return True
    if url and not is_relative_path(url) and repository.remotes():
        return False  # both say where they belong, and it is not the same
    # Its commit may be lost: a pull request was squashed, history was written anew.
    files = record.project_files.items()
    ours = (content for path, content in files if content and path.endswith(_DVC_FILES))
    return repository.has_any_blob(ours)


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
