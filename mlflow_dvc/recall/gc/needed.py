"""What must stay: what kept runs name, and what commits name of this project and of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mlflow_dvc import tracking
from mlflow_dvc.dvc_backend.storage.unneeded import CommitScope, Needed
from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.git.repository import GitError, Repository
from mlflow_dvc.git.tracked_hashes import hashes_in_commits, hashes_in_work_tree
from mlflow_dvc.project import find_git_root
from mlflow_dvc.recall.gc.needs import DataUser


def find_needed(projects: Iterable[str], commits: CommitScope, kept: Iterable[DataUser]) -> Needed:
    """Of the DVC projects at these roots. Raises MlflowDvcError where not all of it is known."""
    return Needed.of((*_named_by_users(kept), *_named_by_projects(projects, commits)))


def _named_by_users(kept: Iterable[DataUser]) -> Iterator[tuple[str, bool]]:
    for user in kept:
        yield from ((value, value not in user.read) for value in user.needs)


def _named_by_projects(projects: Iterable[str], commits: CommitScope) -> Iterator[tuple[str, bool]]:
    for project in projects:
        if tracking.has_leftovers(project):
            raise MlflowDvcError(
                f"some records of {project} were not written to their server yet",
                "Call `mlflow-dvc sync` there first: what they name is needed too",
            )
        git_root = find_git_root(project)
        if git_root is None:
            continue
        repository = Repository(git_root)
        try:
            yield from hashes_in_work_tree(repository)
            yield from hashes_in_commits(
                repository,
                commits=commits.all_commits,
                experiments=commits.all_experiments,
            )
        except GitError as error:
            remedy = "Fetch all of it (`git fetch --unshallow`), or say which commits count (-w)"
            raise MlflowDvcError(f"nothing was removed: {error}", remedy) from error
        except OSError as error:
            remedy = "Let it be read, and call it again"
            raise MlflowDvcError(f"nothing was removed: {error}", remedy) from error
