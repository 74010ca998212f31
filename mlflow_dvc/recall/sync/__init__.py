"""Runs of ``dvc repro`` held against what DVC itself wrote when the stage had ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.capture.workspace import read_project
from mlflow_dvc.errors import NoDvcProjectError
from mlflow_dvc.project import find_project
from mlflow_dvc.recall.sync.judge import StageJudge
from mlflow_dvc.recall.sync.result import Difference as Difference
from mlflow_dvc.recall.sync.result import SyncResult as SyncResult

if TYPE_CHECKING:
    from mlflow.entities import Run


def sync(*refs: str, path: str | None = None, tracking_uri: str | None = None) -> list[SyncResult]:
    """Confirm, complete or contradict runs of the stages of the project at ``path``, or here.

    Without ``refs`` (see :func:`~mlflow_dvc.recall.show.show`) the runs of every stage. Only DVC's
    own lock confirms: the one on disk, and for older runs those in git's history. Raises
    :class:`~mlflow_dvc.errors.NoDvcProjectError`, and whatever ``show`` raises.
    """
    project = find_project(path)
    if project.dvc_root is None:
        raise NoDvcProjectError(os.path.abspath(path or "."))
    reading = read_project(project.dvc_root)
    asked = [tracking.get_run(ref, tracking_uri) for ref in refs]
    wanted = {run.info.run_id for run in asked}
    stages = {run.data.tags.get(tag.STAGE) for run in asked}
    found: list[SyncResult] = []
    for source in reading.dvc_files:
        for stage in source.stages:
            if stage.name is not None and (not refs or stage.address in stages):
                one = StageJudge(project, reading, source, stage, tracking_uri)
                found += one.sync(wanted or None)
    known = {result.run_id for result in found}
    found += [_not_here(run) for run in asked if run.info.run_id not in known]
    return found


def _not_here(run: Run) -> SyncResult:
    stage = run.data.tags.get(tag.STAGE)
    why = "it is of no stage that `dvc repro` ran"
    if stage:
        why = "its stage is not in this project, or has newer runs"
    return SyncResult(run.info.run_id, run.info.run_name or "", stage or "", "left", why)
