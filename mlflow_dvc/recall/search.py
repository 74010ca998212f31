"""Find the runs that saw some data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.recall.query import Seen, find_runs_with, parse_query
from mlflow_dvc.snapshot import DataEntry
from mlflow_dvc.tracking.runs import iso_time

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class Match:
    """One run that saw the data. ``data`` holds the entries that were asked for.

    ``started`` is ISO 8601 in UTC, empty where MLflow does not know it; ``status`` is MLflow's
    word, as in :class:`~mlflow_dvc.RunRecord`. ``stage`` is DVC's address of the run's stage.
    ``data_version`` is equal for runs that read the same data.
    """

    run_id: str
    run_name: str
    experiment: str
    started: str
    status: str
    git_sha: str | None
    git_branch: str | None
    stage: str | None
    data_version: str | None
    data: tuple[DataEntry, ...]


def search(what: str, *, tracking_uri: str | None = None) -> list[Match]:
    """The runs of every experiment that saw ``what``, newest first; none is an empty list.

    ``what`` is a hash or the beginning of one (4 hex digits at least), the path of a tracked
    output, a dataset of dvc.yaml (``ds://NAME``), the address of a dependency, ``path@hash``, or a
    file on disk that DVC does not track, which is looked for by its content. A path is seen from
    the working directory, or from the root of its DVC project. ``tracking_uri`` is the MLflow
    server, by default the one that MLflow itself would use.

    Raises :class:`~mlflow_dvc.TrackingUnavailableError`.

    >>> [match.run_name for match in mlflow_dvc.search("data/raw/train.csv@5afc23b9")]
    ['chill-tern-184']
    """
    found: list[Seen] = []
    for query in parse_query(what):
        if found := find_runs_with(query, tracking_uri):
            break
    names = tracking.experiment_names({run.info.experiment_id for run, _ in found}, tracking_uri)
    return [_match(run, names, entries) for run, entries in found]


def _match(run: Run, names: dict[str, str], entries: Iterable[DataEntry]) -> Match:
    tags = run.data.tags
    return Match(
        run_id=run.info.run_id,
        run_name=run.info.run_name or "",
        experiment=names[run.info.experiment_id],
        started=iso_time(run.info.start_time),
        status=str(run.info.status),
        git_sha=tags.get(tag.GIT_SHA),
        git_branch=tags.get(tag.GIT_BRANCH),
        stage=tags.get(tag.STAGE) or tags.get(tag.SCRIPT_STAGE),
        data_version=tags.get(tag.DATA_VERSION),
        data=tuple(entries),
    )
