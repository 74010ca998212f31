"""Find runs: by a name that a person gave, by a filter."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc.errors import AmbiguousRunError, ExperimentNotFoundError, RunNotFoundError
from mlflow_dvc.tracking.models import logged_model, or_not_found, pages, version_at
from mlflow_dvc.tracking.server import client_for

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

_PAGE_RUNS = 1000
_RUN_ID = re.compile(r"[0-9a-f]{1,32}")


def find_runs(
    filter_string: str,
    tracking_uri: str | None = None,
    experiment_id: str | None = None,
    *,
    deleted: bool = False,
) -> Iterator[Run]:
    """Every run that ``filter_string`` (MLflow's syntax) matches, newest first.

    It is asked for in each active experiment, or in the one of ``experiment_id`` alone. With
    ``deleted`` those are among them that were deleted.
    """
    from mlflow.entities import ViewType

    view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    with client_for(tracking_uri) as client:
        experiments = [experiment_id] if experiment_id else list(_experiments(client))
        yield from map(_bounded, _runs(client, filter_string, view, experiments))


def has_runs(filter_string: str, tracking_uri: str | None = None) -> bool:
    """Whether ``filter_string`` matches any run of an active experiment, now or deleted."""
    from mlflow.entities import ViewType

    with client_for(tracking_uri) as client:
        ids = list(_experiments(client))
        return any(
            client.search_runs(ids[start : start + _PAGE_RUNS], filter_string, ViewType.ALL, 1)
            for start in range(0, len(ids), _PAGE_RUNS)
        )


def recorded_runs(tracking_uri: str | None = None) -> Iterator[Run]:
    """Every run with a record of ours, of code or of data."""
    queries = (f"tags.`{key}` LIKE '%'" for key in (tag.SEAL, tag.GIT_SHA))
    yield from _once(run for query in queries for run in find_runs(query, tracking_uri))


def all_runs(tracking_uri: str | None = None) -> Iterator[Run]:
    """Every run of every experiment with a tag of ours, those that were deleted among them: until
    ``mlflow gc`` they can be had back.
    """
    from mlflow.entities import ViewType

    with client_for(tracking_uri) as client:
        ids = [one.experiment_id for one in _all_experiments(client, ViewType.ALL)]
        for run in _runs(client, "", ViewType.ALL, ids):
            if tag.own_tags(run.data.tags):
                yield _bounded(run)


def experiment_names(ids: set[str], tracking_uri: str | None = None) -> dict[str, str]:
    with client_for(tracking_uri) as client:
        return {key: client.get_experiment(key).name for key in ids}


def find_runs_of_stage(address: str, tracking_uri: str | None = None) -> Iterator[Run]:
    """The runs that DVC ran in a stage, from the start or in a later part, newest first.

    The server is asked for no more of them than are taken.
    """
    if "'" in address:  # it would end the filter
        return
    # MLflow's filter has no OR.
    wanted = (f"tags.`{tag.STAGE}` = '{address}'", f"tags.`{tag.STAGES}` LIKE '%{address}%'")
    found = heapq.merge(*(find_runs(query, tracking_uri) for query in wanted), key=_age)
    yield from (run for run in _once(found) if address in tag.stages_in(run.data.tags))


def newest_first(runs: Iterable[Run]) -> list[Run]:
    return sorted(runs, key=_age)


def _age(run: Run) -> int:
    """Less for a newer one."""
    return -(run.info.start_time or 0)


def _once(runs: Iterable[Run]) -> Iterator[Run]:
    """Each run where it comes first."""
    seen = set()
    for run in runs:
        if run.info.run_id not in seen:
            seen.add(run.info.run_id)
            yield run


def get_experiment_id(name_or_id: str, tracking_uri: str | None = None) -> str:
    """The id of the active experiment of that name, else of the one with that id.

    Raises ExperimentNotFoundError or TrackingUnavailableError.
    """
    with client_for(tracking_uri) as client:
        active = {one.experiment_id: one.name for one in _active_experiments(client)}
        named = next((key for key, name in active.items() if name == name_or_id), None)
        if named is None and name_or_id not in active:
            raise ExperimentNotFoundError(name_or_id, client.tracking_uri, list(active.values()))
        return named or name_or_id


def get_run(ref: str, tracking_uri: str | None = None) -> Run:
    """The run that ``ref`` names: a run id or a unique beginning of one, ``models:/name/version``,
    ``models:/name@alias``, or the id of a logged model.

    Raises RunNotFoundError, AmbiguousRunError or TrackingUnavailableError.
    """
    with client_for(tracking_uri) as client:
        if ref.startswith("models:/"):
            run_id = _run_of_model(client, ref)
        elif ref.startswith("m-"):
            run_id = _run_of_logged_model(client, ref)
        elif _RUN_ID.fullmatch(ref):
            run_id = ref if len(ref) == 32 else _run_beginning(client, ref)
        else:
            raise RunNotFoundError(ref, client.tracking_uri, "neither an id nor a name of a run")
        if not run_id:
            reason = "that model was not logged in a run"
            raise RunNotFoundError(ref, client.tracking_uri, reason)
        return _bounded(or_not_found(client, ref, lambda: client.get_run(run_id)))


def _bounded(run: Run) -> Run:
    """Whoever may write to the server may set tags of any size and with any characters."""
    kept = tag.bounded(run.data.tags)
    run.data.tags.clear()
    run.data.tags.update(kept)
    return run


def _experiments(client: MlflowClient) -> Iterator[str]:
    yield from (experiment.experiment_id for experiment in _active_experiments(client))


def _active_experiments(client: MlflowClient) -> Iterator[Experiment]:
    from mlflow.entities import ViewType

    return _all_experiments(client, ViewType.ACTIVE_ONLY)


def _all_experiments(client: MlflowClient, view: int) -> Iterator[Experiment]:
    yield from pages(client.search_experiments, view_type=view, max_results=_PAGE_RUNS)


def _runs(
    client: MlflowClient, filter_string: str, view: int, experiments: Sequence[str]
) -> Iterator[Run]:
    # One request may name only so many experiments before the server or a proxy balks.
    some = (experiments[at : at + _PAGE_RUNS] for at in range(0, len(experiments), _PAGE_RUNS))
    yield from heapq.merge(*(_runs_in(client, filter_string, view, one) for one in some), key=_age)


def _runs_in(
    client: MlflowClient, filter_string: str, view: int, experiments: Sequence[str]
) -> Iterator[Run]:
    yield from pages(
        client.search_runs,
        experiment_ids=experiments,
        filter_string=filter_string,
        run_view_type=view,
        max_results=_PAGE_RUNS,
    )


def _run_beginning(client: MlflowClient, prefix: str) -> str:
    from mlflow.entities import ViewType

    runs = _runs(
        client, f"attributes.run_id LIKE '{prefix}%'", ViewType.ALL, list(_experiments(client))
    )
    ids = sorted(run.info.run_id for run in runs if run.info.run_id.startswith(prefix))
    if not ids:
        raise RunNotFoundError(prefix, client.tracking_uri, "no run id begins so")
    if len(ids) > 1:
        raise AmbiguousRunError(prefix, ids)
    return ids[0]


def _run_of_model(client: MlflowClient, ref: str) -> str | None:
    if ref.startswith("models:/m-") and "/" not in ref.removeprefix("models:/") and "@" not in ref:
        return _run_of_logged_model(client, ref.removeprefix("models:/"))
    version = version_at(client, ref)
    model_id = getattr(version, "model_id", None)
    return version.run_id or (_run_of_logged_model(client, model_id) if model_id else None)


def _run_of_logged_model(client: MlflowClient, model_id: str) -> str | None:
    run_id: str | None = logged_model(client, model_id).source_run_id
    return run_id


def iso_time(milliseconds: int | None) -> str:
    """MLflow's time stamp as ISO 8601 in UTC; empty where there is none."""
    if milliseconds is None:
        return ""
    moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
