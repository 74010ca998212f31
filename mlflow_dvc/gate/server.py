"""The gate of a server: apps for ``mlflow server --app-name``.

What registers a model, or gives one an alias or a stage, is wrapped where MLflow handles it, behind
every address that leads there. Users and their rights are looked at before.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from mlflow_dvc import mlflow_api, settings
from mlflow_dvc.errors import (
    GateBusyError,
    MlflowDvcError,
    PolicyBrokenError,
    UnknownOriginError,
)
from mlflow_dvc.gate.judgement import ServerStores, judge, late
from mlflow_dvc.gate.refusal import refusal
from mlflow_dvc.gate.registry_lock import registry_lock
from mlflow_dvc.gate.subjects import SUBJECTS, Subject
from mlflow_dvc.gate.users import user_may_read
from mlflow_dvc.recall.check.origin import RegisteredFiles, find_run_id

if TYPE_CHECKING:
    from flask import Flask

View = Callable[..., Any]

# Requests after which another version may stand at the same name and number.
_MOVING = frozenset({"RenameRegisteredModel", "DeleteRegisteredModel", "DeleteModelVersion"})
_HARMLESS = frozenset({
    "CreateRegisteredModel", "UpdateRegisteredModel", "UpdateModelVersion", "SetRegisteredModelTag",
    "SetModelVersionTag", "DeleteRegisteredModelTag", "DeleteModelVersionTag",
    "DeleteRegisteredModelAlias", "GetRegisteredModel", "SearchRegisteredModels",
    "GetLatestVersions", "GetModelVersion", "SearchModelVersions", "GetModelVersionDownloadUri",
    "GetModelVersionByAlias",
})  # fmt: skip
_MARK = "mlflow-dvc-policy"
_HUSHED = (
    "the run behind it does not meet the policy, or is not known to; why is not for you to read"
)
_UNGATED = "Start the server with another --app-name to work without a gate"


def create_app() -> Any:
    """``--app-name dvc-policy``: MLflow's server behind the policy."""
    from mlflow.server import app

    put_up_gate(app)
    if os.environ.get(mlflow_api.SERVER_KIND) != "uvicorn":
        return app
    from mlflow.server.fastapi_app import create_fastapi_app

    return create_fastapi_app(app)


def create_basic_auth_app() -> Any:
    """``--app-name dvc-policy-basic-auth``: the same, for MLflow's users and their rights."""
    from mlflow.server import app
    from mlflow.server.auth import create_app as create_auth_app

    _require(mlflow_api.USER_NEEDS)
    put_up_gate(app, user_may_read)
    return create_auth_app(app)


def put_up_gate(app: Flask, may_read: Callable[[str], bool] = lambda _: True) -> None:
    """Wrap the views of ``app`` that change the registry; a second call changes nothing.

    ``may_read``: whether whoever asks may read the run of that id, and so what the policy says of
    it. A view that is not known is refused.

    Raises MlflowDvcError where none is found: nothing would be gated.
    """
    if _MARK in app.extensions:
        return
    _require_host()
    stores = ServerStores.of_server(os.environ)
    found = _registry_views(app)
    if lacking := SUBJECTS.keys() - set(found.values()):
        names = ", ".join(sorted(lacking))
        raise MlflowDvcError(f"this MLflow does not handle {names} as expected", _UNGATED)
    for endpoint, request in found.items():
        view = app.view_functions[endpoint]
        app.view_functions[endpoint] = _wrap(view, request, stores, may_read)
    app.extensions[_MARK] = stores


def _require_host() -> None:
    if os.environ.get(mlflow_api.WORKSPACES, "").lower() in ("1", "true"):
        raise MlflowDvcError(
            f"{mlflow_api.WORKSPACES} is set: a gate knows no workspaces", _UNGATED
        )
    _require(mlflow_api.SERVER_NEEDS)


def _require(needs: Iterable[mlflow_api.Need]) -> None:
    for need in needs:
        if need.find() is None:
            raise MlflowDvcError(need.said, _UNGATED)


def _registry_views(app: Flask) -> dict[str, str]:
    """The name of the request for each view that changes the registry, by its endpoint."""
    from mlflow.protos.model_registry_pb2 import ModelRegistryService
    from mlflow.server.handlers import get_service_endpoints

    known = get_service_endpoints(ModelRegistryService, lambda request: request)
    requests = {
        (path, method): request.DESCRIPTOR.name for path, request, methods in known
        for method in methods
    }  # fmt: skip
    found = {}
    for rule in app.url_map.iter_rules():
        for method in rule.methods or ():
            request = requests.get((rule.rule, method), "")
            if request and request not in _HARMLESS:
                found[rule.endpoint] = request
    return found


def _wrap(view: View, request: str, stores: ServerStores, may_read: Callable[[str], bool]) -> View:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, TEMPORARILY_UNAVAILABLE
    from mlflow.server.handlers import catch_mlflow_exception

    @functools.wraps(view)
    def gated(*args: Any, **kwargs: Any) -> Any:
        call = functools.partial(view, *args, **kwargs)
        try:
            return _pass(call, request, stores)
        except GateBusyError as error:  # MLflow's clients ask again by themselves
            raise MlflowException(str(error), error_code=TEMPORARILY_UNAVAILABLE) from error
        except PolicyBrokenError as error:
            said = error if not error.run_id or may_read(error.run_id) else _hushed(error)
            raise MlflowException(str(said), error_code=PERMISSION_DENIED) from error

    wrapped: View = catch_mlflow_exception(gated)
    return wrapped


def _hushed(error: PolicyBrokenError) -> PolicyBrokenError:
    return PolicyBrokenError(error.action, _HUSHED, "Ask who may read that run")


def _pass(call: View, request: str, stores: ServerStores) -> Any:
    """The answer of MLflow's own view. Raises PolicyBrokenError, or what MLflow itself raises."""
    deadline = time.monotonic() + settings.policy_seconds()
    find_subject = SUBJECTS.get(request)
    if find_subject is None and request not in _MOVING:
        reason = "this mlflow-dvc does not know what it does to the registry"
        raise PolicyBrokenError(request, reason, "Update mlflow-dvc")
    try:
        subject = find_subject() if find_subject else None
    except UnknownOriginError as error:
        raise refusal(request, error) from error
    if find_subject and subject is None:
        return call()
    action = subject[0] if subject else request
    with ExitStack() as stack:
        try:
            run_id = judge(*subject, stores, deadline) if subject else None
            lock = registry_lock(stores.registry, deadline, moves=subject is None)
            stack.enter_context(lock)
            if subject and find_subject:
                _require_same(run_id, subject, find_subject(), stores)
            if time.monotonic() > deadline:
                raise TimeoutError
        except TimeoutError as error:
            raise late(action) from error
        except GateBusyError:
            raise
        except (MlflowDvcError, OSError, ValueError) as error:
            raise refusal(action, error) from error
        return call()


def _require_same(
    run_id: str | None, judged: tuple[str, RegisteredFiles], now: Subject, stores: ServerStores
) -> None:
    """What was judged is what is registered: nobody may have moved another one there meanwhile."""
    if now != judged or find_run_id(judged[1], stores.tracking) != run_id:
        reason = "what was judged is not what stands there now"
        raise PolicyBrokenError(judged[0], reason, "Try again")
