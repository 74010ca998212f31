"""What a context provider cannot do: runs of ``MlflowClient``, resumed runs, artifacts, models.

A few methods of MLflow are wrapped, all of them private or half private, hence each is looked
for and left alone where it is not as expected; the provider's tags work without. The wrappers run
MLflow's own code outside our guard and hand its result on.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from mlflow_dvc import settings
from mlflow_dvc import tags as tag
from mlflow_dvc.capture import workspace
from mlflow_dvc.capture.run_capture import RunCapture
from mlflow_dvc.guard import first_line, guard, warn_once
from mlflow_dvc.record import lifecycle, stage_seal, write_record
from mlflow_dvc.record.lifecycle import registry, worker
from mlflow_dvc.record.run_records import RunRecordState

_SOURCE_TYPE = "mlflow.source.type"
_REUSE_WINDOW_SECONDS = 0.02  # seconds

_installed: dict[tuple[type, str], Any] = {}
# What the provider last told MLflow here, and in any thread (autologging asks in one thread and
# creates runs in another): among the tags of a new run these are not the user's.
_offered: ContextVar[dict[str, str] | None] = ContextVar("mlflow_dvc_offered", default=None)
_offered_last: dict[str, str] = {}
# And what it saw: MLflow creates the run right after it asked, and one look is enough for both.
_looked: ContextVar[tuple[float, RunCapture] | None] = ContextVar("mlflow_dvc_looked", default=None)


@dataclass(frozen=True)
class PendingRun:
    """A run about to be created: the arguments for MLflow, with and without our tags."""

    moment: RunCapture
    looked: int
    tags: dict[str, str]
    call: inspect.BoundArguments
    bare: inspect.BoundArguments


def install() -> None:
    """Wrap MLflow's client. Done when MLflow loads the plugin; a second call changes nothing."""
    from mlflow.tracking._tracking_service.client import TrackingServiceClient

    _wrap(TrackingServiceClient, "__init__", _client_made)
    _wrap(TrackingServiceClient, "create_run", _creating_run, needs="tags")
    _wrap(TrackingServiceClient, "set_terminated", _ending_run, needs="run_id")
    _wrap(TrackingServiceClient, "create_logged_model", _creating_model, needs="source_run_id")
    _wrap_active_run()


def uninstall() -> None:
    """Put MLflow's own methods back, wherever nobody has wrapped ours since."""
    for (owner, name), (original, wrapper) in list(_installed.items()):
        if owner.__dict__.get(name) is wrapper:
            setattr(owner, name, original)
        del _installed[owner, name]


def provider_tags() -> dict[str, str]:
    """What the provider tells MLflow: inside a run the record of that run, else of this moment."""
    global _offered_last
    import mlflow

    active = mlflow.active_run() if _installed else None
    record = registry.get(active.info.run_id) if active else None
    if record is None:
        moment = workspace.capture_run()
        _looked.set((time.monotonic(), moment))
    offered = tag.limit_size(record.tags if record else moment.tags)
    _offered.set(offered)
    _offered_last = offered
    return offered


def _creating_run(host: Callable[..., Any], client: Any, *args: Any, **kwargs: Any) -> Any:
    start: PendingRun | None = None
    if settings.is_enabled():
        with guard("tag the run"):
            start = _prepare(host, client, args, kwargs)
    if start is None:
        return host(client, *args, **kwargs)
    run = _create(host, start)
    with guard("record the run"):
        _on_created(client, run, start)
    return run


def _create(host: Callable[..., Any], start: PendingRun) -> Any:
    """A server that does not like a tag of ours must not cost the user the run."""
    from mlflow.exceptions import MlflowException

    try:
        return host(*start.call.args, **start.call.kwargs)
    except MlflowException as error:
        if not any(key in str(error) for key in start.tags):
            raise
        refusal = first_line(error)
    run = host(*start.bare.args, **start.bare.kwargs)
    warn_once(f"the server refused our tags, the run has none: {refusal}")
    start.tags.clear()
    return run


def _prepare(
    host: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> PendingRun | None:
    call = inspect.signature(host).bind(client, *args, **kwargs)
    given = dict(call.arguments.get("tags") or {})
    if given.get(_SOURCE_TYPE) == "PROJECT":
        return None  # `mlflow run` makes the run here; the process that resumes it saw the data
    theirs = _without_record(given)
    if tag.has_record(given) and tag.identity(given).items() <= theirs.items():
        return None  # a copy of another run, made by a tool: that run's record is in it
    looked = time.time_ns()
    moment = _latest_offer() or workspace.capture_run()
    write_record.log_warnings(moment)
    mine = moment.tags
    if not mine:
        return None
    fill = mine | tag.mlflow_git_tags(moment.git)
    tags = theirs | {key: value for key, value in fill.items() if key not in theirs}
    bare = inspect.signature(host).bind(client, *args, **kwargs)
    call.arguments["tags"] = tags
    bare.arguments["tags"] = theirs
    return PendingRun(
        moment, looked, {key: mine[key] for key in mine if key not in theirs}, call, bare
    )


def _without_record(tags: dict[str, Any]) -> dict[str, Any]:
    """Those of ``tags`` that are not what the provider offered."""
    offers = (_offered.get() or {}, _offered_last)
    return {
        key: value
        for key, value in tags.items()
        if not any(offer.get(key) == value for offer in offers)
    }


def _latest_offer() -> RunCapture | None:
    looked = _looked.get()
    _looked.set(None)
    return looked[1] if looked and time.monotonic() - looked[0] < _REUSE_WINDOW_SECONDS else None


def _on_created(client: Any, run: Any, start: PendingRun) -> None:
    run_id = run.info.run_id
    uri, experiment = client.tracking_uri, run.info.experiment_id
    record = RunRecordState(run_id, uri, start.moment, dict(start.tags), start.looked, experiment)
    registry.add(record)
    stage_seal.watch(record)
    parent = start.call.arguments["tags"].get(tag.MLFLOW_PARENT)
    artifacts = settings.artifacts_enabled()
    worker.submit(
        run_id,
        f"attach the record to run {run_id}",
        lambda: write_record.write_initial(record, parent, registry, artifacts=artifacts),
    )


def _activated(host: Callable[..., Any], active: Any, *args: Any, **kwargs: Any) -> None:
    host(active, *args, **kwargs)
    if settings.is_enabled():
        with guard("record the resumed run"):
            _on_resumed(active)


def _on_resumed(run: Any) -> None:
    import mlflow

    run_id = run.info.run_id
    known = registry.get(run_id)
    if known and known.awaiting_activation:
        known.awaiting_activation = False
        return
    looked = time.time_ns()
    moment = workspace.capture_run()
    write_record.log_warnings(moment)
    if not moment.tags:
        return
    existing = dict(run.data.tags)
    uri = known.tracking_uri if known else mlflow.get_tracking_uri()
    models = known.models if known else []
    experiment = run.info.experiment_id
    record = RunRecordState(
        run_id, uri, moment, tag.own_tags(existing), looked, experiment, awaiting_activation=False
    )
    record.models, record.previous = models, known
    registry.add(record)
    stage_seal.watch(record)
    artifacts = settings.artifacts_enabled()
    worker.submit(
        run_id,
        f"record the resumed run {run_id}",
        lambda: write_record.write_resumed(record, existing, known, artifacts=artifacts),
    )


def _ending_run(host: Callable[..., Any], client: Any, *args: Any, **kwargs: Any) -> Any:
    ended = host(client, *args, **kwargs)  # first: waiting for us is no part of the run's duration
    with guard("wait for the record"):
        given = inspect.signature(host).bind(client, *args, **kwargs).arguments
        lifecycle.on_run_end(given["run_id"], given.get("status"))
    return ended


def _creating_model(host: Callable[..., Any], client: Any, *args: Any, **kwargs: Any) -> Any:
    call: inspect.BoundArguments | None = None
    if settings.is_enabled():
        with guard("tag the model"):
            call = _with_record(host, client, args, kwargs)
    if call is None:
        return host(client, *args, **kwargs)
    model = host(*call.args, **call.kwargs)
    with guard("tag the model"):
        _on_model_logged(client, model, call.arguments["source_run_id"])
    return model


def _with_record(
    host: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> inspect.BoundArguments | None:
    """The call with the tags of the model's run in place of those of this moment."""
    call = inspect.signature(host).bind(client, *args, **kwargs)
    run_id = call.arguments.get("source_run_id")
    if not run_id:
        return None
    theirs = _without_record(call.arguments.get("tags") or {})
    record = registry.get(run_id)
    call.arguments["tags"] = {**(record.tags if record else {}), **theirs}
    return call


def _on_model_logged(client: Any, model: Any, run_id: str) -> None:
    """What becomes known of the run later goes to the model as well."""
    model_id, uri = model.model_id, client.tracking_uri
    record, there = registry.get(run_id), dict(model.tags or {})
    if record is not None:
        record.models.append(model_id)
    worker.submit(
        run_id,
        f"give model {model_id} the record of run {run_id}",
        lambda: write_record.tag_model(uri, run_id, model_id, there, record),
    )


def _client_made(host: Callable[..., Any], client: Any, *args: Any, **kwargs: Any) -> None:
    host(client, *args, **kwargs)
    with guard("hook into MLflow"):
        _wrap_active_run()


def _wrap_active_run() -> None:
    """``ActiveRun`` is not there yet when MLflow loads us; a client is made before any run is."""
    fluent = sys.modules.get("mlflow.tracking.fluent")
    active = getattr(fluent, "ActiveRun", None)
    if active is not None and _installed:
        _wrap(active, "__init__", _activated)


def _wrap(owner: type, name: str, around: Callable[..., Any], needs: str | None = None) -> None:
    original = owner.__dict__.get(name)
    if (owner, name) in _installed or not inspect.isfunction(original):
        return
    if needs and needs not in inspect.signature(original).parameters:
        warn_once(f"{owner.__name__}.{name} of this MLflow is not as expected and was left alone")
        return

    @functools.wraps(original)
    def mlflow_dvc_wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        if (owner, name) not in _installed:
            return original(self, *args, **kwargs)
        return around(original, self, *args, **kwargs)

    _installed[owner, name] = (original, mlflow_dvc_wrapper)
    setattr(owner, name, mlflow_dvc_wrapper)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=lifecycle.after_fork)
