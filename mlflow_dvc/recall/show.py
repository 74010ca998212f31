"""One run's record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.snapshot import Snapshot
from mlflow_dvc.tracking.runs import iso_time


@dataclass(frozen=True)
class RunRecord:
    """What a run says of its code and data. ``snapshot`` is falsy for a run without a record.

    ``tags`` are ours among the run's tags, ``artifacts`` the paths of what is attached below
    ``dvc/``.
    """

    run_id: str
    run_name: str
    experiment_id: str
    experiment: str
    started: str
    status: str
    snapshot: Snapshot
    tags: Mapping[str, str]
    artifacts: tuple[str, ...]


def show(ref: str, *, tracking_uri: str | None = None) -> RunRecord:
    """The record of the run that ``ref`` names.

    ``ref`` is a run id or a unique beginning of one, ``models:/name/version``,
    ``models:/name@alias``, or the id of a logged model. Raises
    :class:`~mlflow_dvc.errors.RunNotFoundError`, :class:`~mlflow_dvc.errors.AmbiguousRunError` or
    :class:`~mlflow_dvc.errors.TrackingUnavailableError`.
    """
    run = tracking.get_run(ref, tracking_uri)
    experiment_id = run.info.experiment_id
    return RunRecord(
        run_id=run.info.run_id,
        run_name=run.info.run_name or "",
        experiment_id=experiment_id,
        experiment=tracking.experiment_names({experiment_id}, tracking_uri)[experiment_id],
        started=iso_time(run.info.start_time),
        status=str(run.info.status),
        snapshot=tracking.load_snapshot(run, tracking_uri),
        tags=tag.own_tags(run.data.tags),
        artifacts=tuple(tracking.list_attached(run, tracking_uri)),
    )
