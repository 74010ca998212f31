"""What a run gets when it is created or resumed."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from mlflow_dvc import settings
from mlflow_dvc import tags as tag
from mlflow_dvc.capture import workspace
from mlflow_dvc.capture.run_capture import RunCapture
from mlflow_dvc.guard import first_line, warn_once
from mlflow_dvc.record import lifecycle, observing, stage_seal, write_record
from mlflow_dvc.record.lifecycle import registry, worker
from mlflow_dvc.record.run_registry import RunRecordState
from mlflow_dvc.secrets.urls import public_url

# They create a run and tag it later: what it saw is in the record that they bring.
_COPIERS = ("mlflow_export_import",)
_SOURCE_TYPE = "mlflow.source.type"
_REUSE_WINDOW_SECONDS = 0.02

# What the provider last told MLflow here, and in any thread (autologging asks in one thread and
# creates runs in another): among the tags of a new run these are not the user's.
_offered: ContextVar[dict[str, str] | None] = ContextVar("mlflow_dvc_offered", default=None)
_offered_last: dict[str, str] = {}
# And what it saw: MLflow creates the run right after it asked, and one look is enough for both.
_looked: ContextVar[tuple[float, RunCapture] | None] = ContextVar("mlflow_dvc_looked", default=None)


@dataclass(frozen=True)
class PendingRun:
    """A run, or a model without one, about to be created: MLflow's arguments with our tags, and
    without.
    """

    capture: RunCapture
    looked: int
    tags: dict[str, str]
    call: inspect.BoundArguments
    bare: inspect.BoundArguments


def provider_tags(*, in_run: bool) -> dict[str, str]:
    """What the provider tells MLflow: the record of the active run, else of this moment.

    Without ``in_run`` the active run is not looked for.
    """
    global _offered_last
    import mlflow

    active = mlflow.active_run() if in_run else None
    record = registry.get(active.info.run_id) if active else None
    if record is None:
        capture = workspace.capture_run()
        _looked.set((time.monotonic(), capture))
    offered = tag.limit_size(record.tags if record else capture.tags)
    _offered.set(offered)
    _offered_last = offered
    return offered


def create_run(host: Callable[..., Any], start: PendingRun) -> Any:
    """Create the run, or the model, that was prepared.

    A server that does not like a tag of ours must not cost the user either.
    """
    from mlflow.exceptions import MlflowException

    try:
        return host(*start.call.args, **start.call.kwargs)
    except MlflowException as error:
        if not any(key in str(error) for key in start.tags):
            raise
        refusal = first_line(error)
    run = host(*start.bare.args, **start.bare.kwargs)
    warn_once(f"the server refused our tags, there are none: {refusal}")
    start.tags.clear()
    return run


def prepare_run(
    host: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> PendingRun | None:
    """The call with our tags; None where the run gets no record here.

    ``host`` may create a logged model as well: its tags are given in the same way.
    """
    call = inspect.signature(host).bind(client, *args, **kwargs)
    given = dict(call.arguments.get("tags") or {})
    if given.get(_SOURCE_TYPE) == "PROJECT":
        return None  # `mlflow run` makes the run here; the process that resumes it saw the data
    if any(name in sys.modules for name in _COPIERS):
        return None
    theirs = _less_credentials(without_record(given))
    if tag.has_record(given) and tag.identity(given).items() <= theirs.items():
        return None  # a copy of another run, made by a tool: that run's record is in it
    looked = time.time_ns()
    capture = _latest_offer() or workspace.capture_run()
    write_record.log_warnings(capture)
    mine = capture.tags
    if not mine:
        return None
    fill = mine | tag.mlflow_git_tags(capture.git)
    tags = theirs | {key: value for key, value in fill.items() if key not in theirs}
    bare = inspect.signature(host).bind(client, *args, **kwargs)
    call.arguments["tags"] = tags
    bare.arguments["tags"] = theirs
    return PendingRun(
        capture, looked, {key: mine[key] for key in mine if key not in theirs}, call, bare
    )


def _less_credentials(tags: dict[str, Any]) -> dict[str, Any]:
    """MLflow takes the query of a git remote, and with it a token, into its own tag."""
    url = tags.get(tag.MLFLOW_GIT_URL)
    return tags | {tag.MLFLOW_GIT_URL: public_url(url)} if isinstance(url, str) else tags


def without_record(tags: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``tags`` that are not what the provider offered."""
    offers = (_offered.get() or {}, _offered_last)
    return {
        key: value
        for key, value in tags.items()
        if not any(offer.get(key) == value for offer in offers)
    }


def without_offer(tags: Mapping[str, Any]) -> dict[str, Any]:
    """``tags`` without the very objects that the provider has just handed over.

    Equal values that come from elsewhere stay, such as those of a source that was stored before.
    """
    offers = (_offered.get() or {}, _offered_last)
    return {
        key: value
        for key, value in tags.items()
        if not any(offer.get(key) is value for offer in offers)
    }


def _latest_offer() -> RunCapture | None:
    looked = _looked.get()
    _looked.set(None)
    return looked[1] if looked and time.monotonic() - looked[0] < _REUSE_WINDOW_SECONDS else None


def on_created(client: Any, run: Any, start: PendingRun) -> None:
    run_id = run.info.run_id
    uri, experiment = client.tracking_uri, run.info.experiment_id
    record = RunRecordState(run_id, uri, start.capture, dict(start.tags), start.looked, experiment)
    record.artifact_uri = run.info.artifact_uri
    if registry.sees_tags:
        record.server_tags = dict(start.call.arguments["tags"])
    registry.add(record)
    stage_seal.watch(record)
    observing.note_start(record)
    lifecycle.write_deferred()
    parent = start.call.arguments["tags"].get(tag.MLFLOW_PARENT)
    artifacts = settings.artifacts_enabled()
    worker.submit(
        run_id,
        f"attach the record to run {run_id}",
        lambda: write_record.write_initial(record, parent, registry, artifacts=artifacts),
    )


def on_resumed(run: Any) -> None:
    import mlflow

    run_id = run.info.run_id
    known = registry.get(run_id)
    if known and known.awaiting_activation:
        known.awaiting_activation = False
        return
    looked = time.time_ns()
    capture = workspace.capture_run()
    write_record.log_warnings(capture)
    if not capture.tags:
        return
    existing = dict(run.data.tags)
    uri = known.tracking_uri if known else mlflow.get_tracking_uri()
    models = known.models if known else []
    experiment = run.info.experiment_id
    record = RunRecordState(
        run_id, uri, capture, tag.own_tags(existing), looked, experiment, awaiting_activation=False
    )
    record.models, record.previous = models, known
    record.artifact_uri = run.info.artifact_uri
    if registry.sees_tags:
        record.server_tags = existing
    registry.add(record)
    stage_seal.watch(record)
    observing.note_start(record)
    artifacts = settings.artifacts_enabled()
    worker.submit(
        run_id,
        f"record the resumed run {run_id}",
        lambda: write_record.write_resumed(record, existing, registry, artifacts=artifacts),
    )
