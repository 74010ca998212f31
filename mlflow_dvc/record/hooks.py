"""The methods of MLflow that are wrapped: what a context provider cannot do.

These are runs of ``MlflowClient``, resumed runs, artifacts, models. ``mlflow_api`` names each
method and looks for it; one that is not as expected is left alone, and the provider's tags work
without.
The wrappers run MLflow's own code outside our guard and hand its result on.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from typing import Any

from mlflow_dvc import mlflow_api, settings, tracking
from mlflow_dvc.guard import guard, warn_once
from mlflow_dvc.record import lifecycle, model_start, observing, run_start
from mlflow_dvc.wrapped_methods import WrappedMethods

_methods = WrappedMethods()


def install() -> None:
    """Wrap MLflow's client. Done when MLflow loads the plugin; a second call changes nothing."""
    _wrap(mlflow_api.CLIENT_MADE, _client_made)
    _wrap(mlflow_api.CREATE_RUN, _creating_run)
    _wrap(mlflow_api.SET_TERMINATED, _ending_run)
    seen = [
        _wrap(mlflow_api.SET_TAG, _setting_tag),
        _wrap(mlflow_api.LOG_BATCH, _logging_batch),
    ]
    lifecycle.registry.sees_tags = all(seen)
    _wrap(mlflow_api.LOG_METRIC, _logging_metric)
    _wrap(mlflow_api.CREATE_MODEL, _creating_model)
    _wrap(mlflow_api.FINALIZE_MODEL, _finalizing_model)
    for need, around in _LATE:
        if mlflow_api.is_loaded(need) and need.find():
            _wrap(need, around)
    with guard("observe what is read"):
        observe()


def observe() -> None:
    """Begin to observe what is read; what there is no time for now is done beside the training."""
    observing.begin()
    if observing.needs_rest():
        lifecycle.worker.submit("", "observe what is read", observing.watch_rest)


def wrap_late() -> None:
    """Wrap what is not there yet when MLflow loads us."""
    for need, around in _LATE:
        if _methods and mlflow_api.is_loaded(need):
            _wrap(need, around)


def uninstall() -> None:
    """Put MLflow's own methods back, wherever nobody has wrapped ours since."""
    _methods.restore()


def is_installed() -> bool:
    return bool(_methods)


def _creating_run(host: Callable[..., Any], client: Any, *args: Any, **kwargs: Any) -> Any:
    start: run_start.PendingRun | None = None
    if settings.is_enabled():
        with guard("tag the run"):
            start = run_start.prepare_run(host, client, args, kwargs)
    if start is None:
        return host(client, *args, **kwargs)
    run = run_start.create_run(host, start)
    with guard("record the run"):
        run_start.on_created(client, run, start)
    return run


def _activated(host: Callable[..., Any], active: Any, *args: Any, **kwargs: Any) -> None:
    host(active, *args, **kwargs)
    if settings.is_enabled():
        with guard("record the resumed run"):
            run_start.on_resumed(active)


def _ending_run(host: Callable[..., Any], client: Any, *args: Any, **kwargs: Any) -> Any:
    given: dict[str, Any] = {}
    with guard("wait for the record"):
        given = inspect.signature(host).bind(client, *args, **kwargs).arguments
        lifecycle.on_run_ending(given["run_id"])
    ended = host(client, *args, **kwargs)  # first: waiting for us is no part of the run's duration
    if given:
        with guard("wait for the record"):
            lifecycle.on_run_end(given["run_id"], given.get("status"))
    return ended


def _setting_tag(host: Callable[..., Any], client: Any, *args: Any, **kwargs: Any) -> Any:
    done = host(client, *args, **kwargs)
    with guard("see the tags of the run"):
        run_id, key, value = _arguments(("run_id", "key", "value"), args, kwargs)
        _written(run_id, {key: value})
    return done


def _logging_batch(host: Callable[..., Any], client: Any, *args: Any, **kwargs: Any) -> Any:
    done = host(client, *args, **kwargs)
    with guard("see the tags of the run"):
        run_id, _, _, tags = _arguments(("run_id", "metrics", "params", "tags"), args, kwargs)
        _written(run_id, {tag.key: tag.value for tag in tags or ()})
    return done


def _logging_metric(host: Callable[..., Any], client: Any, *args: Any, **kwargs: Any) -> Any:
    done = host(client, *args, **kwargs)
    with guard("see that the run goes on"):
        [run_id] = _arguments(("run_id",), args, kwargs)
        lifecycle.on_activity(run_id)
    return done


def _arguments(
    names: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[Any]:
    """By position or by name: it takes a tenth of the time of binding them to a signature."""
    for at, name in enumerate(names):
        yield args[at] if at < len(args) else kwargs.get(name)


def _written(run_id: Any, tags: dict[str, Any]) -> None:
    if not tracking.is_ours():
        if tags:
            lifecycle.on_tags_written(run_id, {str(key): str(tags[key]) for key in tags})
        lifecycle.on_activity(run_id)


def _reading_run(host: Callable[..., Any], store: Any, *args: Any, **kwargs: Any) -> Any:
    """MLflow reads a run from a server when it ends, to print its address."""
    run = host(store, *args, **kwargs)
    with guard("see the run as it is"):
        lifecycle.on_run_read(run)
    return run


def _creating_model(host: Callable[..., Any], client: Any, *args: Any, **kwargs: Any) -> Any:
    call: inspect.BoundArguments | None = None
    alone: run_start.PendingRun | None = None
    if settings.is_enabled():
        with guard("tag the model"):
            call = model_start.bind_run_tags(host, client, args, kwargs)
            alone = None if call else run_start.prepare_run(host, client, args, kwargs)
    if call is not None:
        model = host(*call.args, **call.kwargs)
        with guard("tag the model"):
            model_start.on_logged(client, model, call.arguments["source_run_id"])
    elif alone is not None:
        model = run_start.create_run(host, alone)
        with guard("record the model"):
            model_start.on_created_alone(client, model, alone)
    else:
        model = host(client, *args, **kwargs)
    return model


def _finalizing_model(host: Callable[..., Any], client: Any, *args: Any, **kwargs: Any) -> Any:
    model = host(client, *args, **kwargs)
    with guard("wait for the record of the model"):
        given = inspect.signature(host).bind(client, *args, **kwargs).arguments
        lifecycle.on_model_final(given["model_id"])
    return model


def _making_source(host: Callable[..., Any], source: Any, *args: Any, **kwargs: Any) -> None:
    """The source of a dataset that names none: MLflow freezes the tags of that moment in it.

    It stores one row per data, the first one's: ours would tell every later run the wrong record.
    """
    call: inspect.BoundArguments | None = None
    with guard("keep the record out of a dataset"):
        call = inspect.signature(host).bind(source, *args, **kwargs)
        if isinstance(tags := call.arguments["tags"], dict):
            call.arguments["tags"] = run_start.without_offer(tags)
    if call is not None:
        host(*call.args, **call.kwargs)
    else:
        host(source, *args, **kwargs)


def _client_made(host: Callable[..., Any], client: Any, *args: Any, **kwargs: Any) -> None:
    """A client is made before any run is."""
    host(client, *args, **kwargs)
    with guard("hook into MLflow"):
        wrap_late()


_LATE = (
    (mlflow_api.ACTIVE_RUN, _activated),
    (mlflow_api.CODE_SOURCE, _making_source),
    (mlflow_api.READ_RUN, _reading_run),
)


def _wrap(need: mlflow_api.Need, around: Callable[..., Any]) -> bool:
    """Whether it is wrapped now."""
    if _methods.wrap(need, around):
        return True
    if mlflow_api.is_expected(need):
        warn_once(need.said)
    return False


if hasattr(os, "register_at_fork"):  # not on Windows
    # The last comes first before a fork: the job that a fork waits for may need an observer.
    os.register_at_fork(
        before=observing.before_fork,
        after_in_parent=observing.after_fork_in_parent,
        after_in_child=observing.after_fork,
    )
    os.register_at_fork(
        before=lifecycle.worker.before_fork,
        after_in_parent=lifecycle.worker.after_fork_in_parent,
        after_in_child=lifecycle.after_fork,
    )
