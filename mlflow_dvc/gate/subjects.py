"""What a request to the registry of a server is about: what is to be done, with which files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlflow_dvc.errors import PolicyBrokenError
from mlflow_dvc.gate.client import LESSER_STAGES
from mlflow_dvc.recall.check.origin import RegisteredFiles, resolve_copy

# What is to be done, of what files; None where the policy has no say.
Subject = tuple[str, RegisteredFiles] | None


def _message(request: str) -> Any:
    """The request, read as MLflow's own view reads it."""
    from mlflow.protos import model_registry_pb2
    from mlflow.server.handlers import _get_request_message

    return _get_request_message(getattr(model_registry_pb2, request)())


def _created() -> Subject:
    asked = _message("CreateModelVersion")
    model_id = getattr(asked, "model_id", "") or None
    files = RegisteredFiles(asked.source, asked.run_id or None, model_id)
    action = f"registering {asked.source} as {asked.name}"
    if asked.source.startswith("runs:") and not asked.run_id:  # whose rights nobody looked at
        raise PolicyBrokenError(action, "a source runs:/... needs its run_id", "Name the run")
    files = resolve_copy(files, _registered)
    return None if _is_prompt(asked.name, files) else (action, files)


def _aliased() -> Subject:
    asked = _message("SetRegisteredModelAlias")
    return _version(f"the alias {asked.alias}", asked.name, asked.version)


def _staged() -> Subject:
    asked = _message("TransitionModelVersionStage")
    if asked.stage.strip().lower() in LESSER_STAGES:
        return None
    return _version(f"the stage {asked.stage}", asked.name, asked.version)


def _registered(name: str, version: str) -> RegisteredFiles:
    from mlflow.server.handlers import _get_model_registry_store

    store = _get_model_registry_store()
    found = store.get_model_version(name, version)
    return RegisteredFiles.of(found, lambda: store.get_model_version_download_uri(name, version))


def _version(what: str, name: str, version: str) -> Subject:
    files = _registered(name, version)
    return None if _is_prompt(name, files) else (f"{what} of models:/{name}/{version}", files)


def _is_prompt(name: str, files: RegisteredFiles) -> bool:
    """Whether both are: files that call themselves so are no way to move an alias of a model."""
    if not files.is_prompt:
        return False
    from mlflow.server.handlers import _get_model_registry_store

    model = _get_model_registry_store().get_registered_model(name)
    ask = getattr(model, "_is_prompt", None)  # before MLflow 2.21 there are none
    return ask is not None and bool(ask())


# By the name of the request; each finder reads the one that is being answered.
SUBJECTS: dict[str, Callable[[], Subject]] = {
    "CreateModelVersion": _created,
    "SetRegisteredModelAlias": _aliased,
    "TransitionModelVersionStage": _staged,
}
