"""Restore a run: its code, its lock and its data, in a tree of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.git.repository import GitError, full_sha_or_none
from mlflow_dvc.progress import Work
from mlflow_dvc.recall.locate import ProjectLocation, locate_project
from mlflow_dvc.recall.restore.code import restore_code
from mlflow_dvc.recall.restore.data import restore_data, restore_dvc_files
from mlflow_dvc.recall.restore.drift import check_drift
from mlflow_dvc.recall.restore.target import RestoreTarget, plan_target, prepare_target
from mlflow_dvc.recall.stored_record import StoredRecord, load_record
from mlflow_dvc.recall.verdict import Check, Verdict, overall
from mlflow_dvc.recall.verify.record import check_record
from mlflow_dvc.recall.withheld import fill_withheld


@dataclass(frozen=True)
class RestoreResult:
    """What was restored, into ``directory`` (an absolute path), on the commit ``sha``.

    ``sha`` is empty for a run from before the first commit: all of its code is in the patch.
    ``verdict`` is PASS where what lies there is what the run saw; ``items`` tell of each part.
    """

    run_id: str
    run_name: str
    directory: str
    sha: str
    verdict: Verdict
    items: tuple[Check, ...]


def restore(
    run: str,
    to: str | None = None,
    *,
    at: str | None = None,
    project: str | None = None,
    tracking_uri: str | None = None,
) -> RestoreResult:
    """Lay out the code, the lock and the data of a run in the directory ``to``.

    ``run`` is named as for :func:`~mlflow_dvc.show`. The tree is a work tree of the repository
    around the directory ``project`` (by default the working one) if the run is of it, else a clone
    of the run's remote. Without ``to`` it is a new directory beside that repository, or in the
    working directory. Nothing that exists is overwritten; an interrupted restore continues.
    ``at`` is a revision to take in place of a commit that is lost. Nothing of the run is executed.

    Raises :class:`~mlflow_dvc.CommitLostError`, :class:`~mlflow_dvc.TargetExistsError`,
    :class:`~mlflow_dvc.DvcUnavailableError`, and whatever :func:`~mlflow_dvc.show` raises.

    >>> mlflow_dvc.restore("907167c9", "../first-model").verdict
    'PASS'
    """
    record = load_record(run, tracking_uri)
    location = locate_project(record, project, at=at)
    return restore_record(record, location, to, at=at, outputs=True)


def restore_record(
    run: StoredRecord, location: ProjectLocation, to: str | None, *, at: str | None, outputs: bool
) -> RestoreResult:
    """Restore a record that was read already; without ``outputs`` not what the run made."""
    _refuse_without_commit(run)
    target = plan_target(run, location, to, at)
    try:
        prepare_target(target)
        target.run = fill_withheld(run, target.repository if target.sha else None)
        items = [check_record(run), *_steps(target, outputs), *check_drift(target)]
    except GitError as error:
        remedy = f"Remove {target.directory}, call `git worktree prune`, and try again"
        raise MlflowDvcError(f"in {target.directory} git said {error.problem!r}", remedy) from error
    return RestoreResult(
        run.run_id, run.name, target.directory, target.sha, overall(items), tuple(items)
    )


def _refuse_without_commit(run: StoredRecord) -> None:
    git = run.snapshot.git
    if git is None or (git.sha is None and not run.code_files):
        raise MlflowDvcError(
            f"run {run.run_id} has recorded no commit and no code",
            "Its data can be loaded from its inputs",
        )
    if git.sha is not None and full_sha_or_none(git.sha) is None:
        raise MlflowDvcError(
            f"run {run.run_id}: {git.sha!r} is no commit", "`mlflow-dvc verify` it"
        )


def _steps(target: RestoreTarget, outputs: bool) -> Iterator[Check]:
    """What is in the tree already from an attempt before is left as it is."""
    with Work("bringing the code back", "", kept=target.half_done):
        yield from target.run_step("code", lambda: restore_code(target))
        if target.dvc_root is not None:
            yield from target.run_step("files", lambda: restore_dvc_files(target))
    if target.dvc_root is not None:
        yield from restore_data(target, outputs=outputs)
    elif target.run.snapshot.root is not None:
        yield Check("file", target.run.snapshot.root, "TAMPERED", "it leads out of the tree")
