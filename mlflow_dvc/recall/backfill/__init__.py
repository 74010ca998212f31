"""Give runs that were made before this package a record, read from their commits and marked so."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mlflow_dvc import tracking
from mlflow_dvc.capture.committed_project import CommittedProject
from mlflow_dvc.capture.workspace import read_project
from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.git.repository import GitError, Repository
from mlflow_dvc.progress import Work
from mlflow_dvc.project import Project, find_project
from mlflow_dvc.recall.backfill.candidate import commit_of, judge_tags, result_of
from mlflow_dvc.recall.backfill.reconstruction import Reconstruction
from mlflow_dvc.recall.backfill.result import BackfillResult as BackfillResult
from mlflow_dvc.recall.backfill.result import BackfillVerdict as BackfillVerdict
from mlflow_dvc.scratch_folder import scratch_folder

if TYPE_CHECKING:
    from mlflow.entities import Run

    from mlflow_dvc.dvcfiles.reading import ProjectReading


def backfill(
    *,
    experiment: str | None = None,
    dry_run: bool = False,
    project: str | None = None,
    tracking_uri: str | None = None,
) -> list[BackfillResult]:
    """Give each run without a record one that is read from its commit, and marked as such.

    The commit is the one that MLflow noted (``mlflow.source.git.commit``), in the repository around
    the directory ``project`` (by default the working one). Nothing is checked out. What a run has
    is never changed: one with tags or files of these names is left, and the result says why. A
    second call goes on where the first was interrupted, and changes nothing after that.

    ``experiment`` is a name or an id, by default the runs of all are looked at. With ``dry_run``
    nothing is written.

    Raises :class:`~mlflow_dvc.MlflowDvcError` where ``project`` is in no git repository,
    :class:`~mlflow_dvc.ExperimentNotFoundError`, and
    :class:`~mlflow_dvc.TrackingUnavailableError` where the server does not answer any more; what
    was written until then stays.

    >>> [one.reason for one in mlflow_dvc.backfill(experiment="churn") if one.verdict == "left"]
    ['it is deleted']
    """
    found = start_backfill(
        experiment=experiment, dry_run=dry_run, project=project, tracking_uri=tracking_uri
    )
    return list(found)


def start_backfill(
    *,
    experiment: str | None = None,
    dry_run: bool = False,
    project: str | None = None,
    tracking_uri: str | None = None,
) -> Backfill:
    """The runs of :func:`backfill`, of which none was looked at yet."""
    here = find_project(project)
    if here.git_root is None:
        raise MlflowDvcError(
            f"no git repository at or above {os.path.abspath(project or '.')}",
            "Call it inside the project whose runs are to get a record: it is read from git",
        )
    id_ = tracking.get_experiment_id(experiment, tracking_uri) if experiment is not None else None
    runs = list(tracking.find_runs("", tracking_uri, id_, deleted=True))
    return Backfill(runs, here, tracking_uri, dry_run=dry_run)


class Backfill:
    """Runs that get a record while this is iterated; ``total`` is how many there are."""

    def __init__(
        self, runs: Sequence[Run], here: Project, tracking_uri: str | None, *, dry_run: bool
    ) -> None:
        self.total = len(runs)
        self._runs = runs
        self._here = here
        self._uri = tracking_uri
        self._dry_run = dry_run

    def __iter__(self) -> Iterator[BackfillResult]:
        doing = "reading commits" if self._dry_run else "writing records"
        kept = "" if self._dry_run else "what is written stays, and the same command goes on"
        with (
            Work(doing, "runs", self.total, kept=kept) as work,
            tracking.one_client(self._uri),
        ):
            for result in self._results():
                work.advance()
                yield result

    def _results(self) -> Iterator[BackfillResult]:
        """Those first of which tags say all; then commit by commit, each read once."""
        by_commit: dict[str, list[Run]] = {}
        recorded: list[Run] = []
        for run in reversed(self._runs):  # a parent before its children
            result = judge_tags(run)
            if result is None:
                by_commit.setdefault(commit_of(run), []).append(run)
                continue
            if result.verdict == "recorded":
                recorded.append(run)
            yield result
        repository = Repository(self._here.git_root or "")
        records = Reconstruction(
            repository.root, recorded, self._tracked(), self._uri, dry_run=self._dry_run
        )
        for sha, runs in by_commit.items():
            with scratch_folder() as folder:
                try:
                    commit = _read_commit(repository, sha, folder)
                except (GitError, OSError) as error:
                    yield from (result_of(run, "left", str(error)) for run in runs)
                else:
                    yield from (records.fill(run, commit) for run in runs)

    def _tracked(self) -> ProjectReading | None:
        """What DVC tracks here: a tracking store may be among it."""
        return read_project(self._here.dvc_root) if self._here.dvc_root else None


def _read_commit(repository: Repository, sha: str, folder: str) -> CommittedProject:
    """Raises GitError or OSError."""
    if repository.has(sha):
        return CommittedProject(repository, sha, folder)
    where = "fetch it, or call this in the project of the run"
    raise GitError(f"this repository does not have its commit {sha}: {where}")
