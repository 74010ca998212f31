"""Compare the records of `dvc repro` runs with the lock that DVC wrote after the stage."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.capture.workspace import read_project
from mlflow_dvc.errors import NoDvcProjectError
from mlflow_dvc.project import find_project
from mlflow_dvc.recall.lock_memory import LockMemory
from mlflow_dvc.recall.sync.candidate import find_candidates
from mlflow_dvc.recall.sync.judge import StageJudge
from mlflow_dvc.recall.sync.locks import StageLocks
from mlflow_dvc.recall.sync.result import Difference as Difference
from mlflow_dvc.recall.sync.result import SyncResult as SyncResult

if TYPE_CHECKING:
    from mlflow.entities import Run


def sync(
    *runs: str, project: str | None = None, tracking_uri: str | None = None
) -> list[SyncResult]:
    """Hold runs of `dvc repro` against DVC's own lock: confirm, complete or correct their records.

    What an earlier process could not write in time is written first, without ``runs``. ``runs`` are
    named as for :func:`~mlflow_dvc.show`; without any, the runs of every stage of the
    project around the directory ``project`` (by default the working one). Only DVC's lock confirms:
    the one on disk, those of DVC's experiments, and those in every commit that git has.

    Raises :class:`~mlflow_dvc.NoDvcProjectError`, :class:`~mlflow_dvc.DvcUnavailableError`, and
    whatever :func:`~mlflow_dvc.show` raises.

    >>> [(result.run_name, result.verdict) for result in mlflow_dvc.sync()]
    [('chill-tern-184', 'confirmed')]
    """
    here = find_project(project)
    root = here.dvc_root or here.git_root
    late = [] if runs or root is None else [*map(_was_late, tracking.complete_leftovers(root))]
    if here.dvc_root is None:
        if late:
            return late
        raise NoDvcProjectError(os.path.abspath(project or "."))
    reading = read_project(here.dvc_root)
    asked = [tracking.find_run(run, tracking_uri) for run in runs]
    wanted = {run.info.run_id for run in asked}
    stages = {stage for run in asked for stage in tag.stages_in(run.data.tags)}
    memory = LockMemory()
    found: list[SyncResult] = []
    with tracking.one_client(tracking_uri):
        for source in reading.dvc_files:
            for stage in source.stages:
                if stage.name is not None and (not runs or stage.address in stages):
                    candidates = list(find_candidates(here, stage, tracking_uri, asked))
                    locks = StageLocks(reading.root, here.git_root, source, stage, memory)
                    judge = StageJudge(reading, locks, candidates)
                    found += judge.sync(wanted or None)
    known = {result.run_id for result in found}
    found += [_not_here(run) for run in asked if run.info.run_id not in known]
    return [*late, *found]


def _was_late(run: Run) -> SyncResult:
    why = "an earlier process had no time for all of its record"
    stage = run.data.tags.get(tag.STAGE, "")
    name = run.info.run_name or ""
    return SyncResult(run.info.run_id, name, stage, "completed", why, changed=True)


def _not_here(run: Run) -> SyncResult:
    stage = run.data.tags.get(tag.STAGE)
    why = "it is of no stage that `dvc repro` ran"
    if tag.RECONSTRUCTED in run.data.tags:
        why = "it was reconstructed from its commit: what its stage made is not known"
    elif stage:
        why = "it is of another project or another commit than git has here, or its stage is gone"
        if run.info.status in ("FAILED", "KILLED"):
            why = "it failed"
    return SyncResult(run.info.run_id, run.info.run_name or "", stage or "", "left", why)
