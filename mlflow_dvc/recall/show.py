"""Show one run's record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.errors import UnreadableRecordError
from mlflow_dvc.snapshot import Snapshot
from mlflow_dvc.tracking import RunPart
from mlflow_dvc.tracking.runs import iso_time


@dataclass(frozen=True)
class RunRecord:
    """What a run says of its code and data.

    ``snapshot`` is falsy for a run without a record. ``tags`` are ours among the run's tags,
    ``artifacts`` the paths of what is attached below ``dvc/``. ``started`` is ISO 8601 in UTC
    (``2026-11-23T21:23:05Z``, empty where MLflow does not know it); ``status`` is MLflow's word:
    RUNNING, FINISHED, FAILED, KILLED or SCHEDULED. ``later`` are the parts in which the run went on
    with other code or data, each with its ``snapshot`` and the ``folder`` of its artifacts.
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
    later: tuple[RunPart, ...] = ()


def show(run: str, *, tracking_uri: str | None = None) -> RunRecord:
    """The record of one run.

    ``run`` is a run id or a unique beginning of one, the name of a run, ``runs:/ID``,
    ``models:/name/version``, ``models:/name@alias``, the id of a logged model, or the address of
    MLflow's page of one of these. ``tracking_uri`` is the MLflow server, by default the one that
    MLflow itself would use.

    Raises :class:`~mlflow_dvc.RunNotFoundError`, :class:`~mlflow_dvc.AmbiguousRunError` where
    several runs begin so, or are called so, and :class:`~mlflow_dvc.TrackingUnavailableError`.

    >>> record = mlflow_dvc.show("models:/churn@production")
    >>> record.snapshot.git.sha, record.snapshot.data_version
    ('66c00b78...', '3f453e35745f')
    """
    found = tracking.find_run(run, tracking_uri)
    experiment_id = found.info.experiment_id
    parts = tracking.load_parts(found, tracking_uri)
    snapshot = parts[0].snapshot if parts else Snapshot()
    artifacts: list[str] = []
    try:
        artifacts = tracking.list_attached(found, tracking_uri)
    except UnreadableRecordError as error:
        warning = f"what is attached is not listed: {error.reason}"
        snapshot = replace(snapshot, warnings=(*snapshot.warnings, warning))
    return RunRecord(
        run_id=found.info.run_id,
        run_name=found.info.run_name or "",
        experiment_id=experiment_id,
        experiment=tracking.experiment_names({experiment_id}, tracking_uri)[experiment_id],
        started=iso_time(found.info.start_time),
        status=str(found.info.status),
        snapshot=snapshot,
        tags=tag.own_tags(found.data.tags),
        artifacts=tuple(artifacts),
        later=tuple(parts[1:]),
    )
