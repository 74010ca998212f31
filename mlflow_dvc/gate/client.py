"""The gate of the client: methods of MLflow that register a model are wrapped, if a policy is set.

What is refused never reaches the server. This was asked for: what goes wrong here is raised, and
nothing is let through because of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from mlflow_dvc import mlflow_api, settings, tracking
from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.gate.refusal import refusal, refuse_unless_met
from mlflow_dvc.module_finder import ModuleFinder
from mlflow_dvc.recall.check import check_files
from mlflow_dvc.recall.check.origin import RegisteredFiles, find_run_id
from mlflow_dvc.wrapped_methods import WrappedMethods

# Stages that a version leaves the field by.
LESSER_STAGES = frozenset({"none", "archived"})
_methods = WrappedMethods()
# The run that `register_model` was allowed for, while it works.
_allowed: ContextVar[str | None] = ContextVar("mlflow_dvc_allowed", default=None)


def install() -> None:
    """Wrap what registers models, now or as soon as it is loaded; a second call changes nothing."""
    if not _methods:
        _finder.install()
    for module in {need.module for need in _AROUND} & sys.modules.keys():
        _wrap_module(module, sys.modules[module])


def _wrap_module(name: str, module: ModuleType) -> None:
    """Raises MlflowDvcError where this MLflow does it another way: nothing would be gated."""
    for need, around in _AROUND.items():
        if need.module == name and not _methods.wrap(need, around):
            remedy = "Unset MLFLOW_DVC_POLICY to work without the gate"
            raise MlflowDvcError(f"MLFLOW_DVC_POLICY is set, but {need.said}", remedy)


def uninstall() -> None:
    """Put MLflow's own back."""
    _finder.remove()
    _methods.restore()


def _registering(
    host: Callable[..., Any], model_uri: str, name: str, *args: Any, **kwargs: Any
) -> Any:
    """Before it makes a registered model without a version."""
    run_id = _require(f"registering {model_uri}", RegisteredFiles(str(model_uri)), None)
    token = _allowed.set(run_id)
    try:
        return host(model_uri, name, *args, **kwargs)
    finally:
        _allowed.reset(token)


def _creating(
    host: Callable[..., Any],
    client: Any,
    name: str,
    source: str,
    run_id: str | None = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    files = RegisteredFiles(str(source), run_id, kwargs.get("model_id"))
    _require(f"registering {source} as {name}", files, client.tracking_uri)
    return host(client, name, source, run_id, *args, **kwargs)


def _copying(host: Callable[..., Any], client: Any, src_mv: Any, dst_name: str) -> Any:
    action = f"copying models:/{src_mv.name}/{src_mv.version} to {dst_name}"
    _require_version(action, client, src_mv.name, src_mv.version)
    return host(client, src_mv, dst_name)


def _setting_alias(
    host: Callable[..., Any], client: Any, name: str, alias: str, version: str
) -> Any:
    _require_version(f"the alias {alias} of models:/{name}/{version}", client, name, version)
    return host(client, name, alias, version)


def _setting_stage(
    host: Callable[..., Any],
    client: Any,
    name: str,
    version: str,
    stage: str,
    *args: Any,
    **kwargs: Any,
) -> Any:
    if stage.strip().lower() not in LESSER_STAGES:
        action = f"the stage {stage} of models:/{name}/{version}"
        _require_version(action, client, name, version)
    return host(client, name, version, stage, *args, **kwargs)


def _require_version(action: str, client: Any, name: str, version: str) -> None:
    found = client.get_model_version(name, version)
    files = RegisteredFiles.of(found, lambda: client.get_model_version_download_uri(name, version))
    _require(action, files, client.tracking_uri)


def _require(action: str, files: RegisteredFiles, tracking_uri: str | None) -> str | None:
    """The run behind ``files``; raises PolicyBrokenError where it does not meet the policy."""
    if settings.policy() is None or files.is_prompt:
        return None
    try:
        with tracking.short_timeouts():
            if (allowed := _allowed.get()) and find_run_id(files, tracking_uri) == allowed:
                return allowed
            result = check_files(files, tracking_uri=tracking_uri)
    except Exception as error:
        raise refusal(action, error) from error
    refuse_unless_met(action, result)
    return result.run_id


_AROUND: dict[mlflow_api.Need, Callable[..., Any]] = {
    mlflow_api.REGISTER_MODEL: _registering,
    mlflow_api.CREATE_VERSION: _creating,
    mlflow_api.COPY_VERSION: _copying,
    mlflow_api.SET_ALIAS: _setting_alias,
    mlflow_api.SET_STAGE: _setting_stage,
}
_finder = ModuleFinder({need.module for need in _AROUND}, _wrap_module)
