"""What this package uses of MLflow beside its public interface: one table, one check.

MLflow promises none of it. Where a newer MLflow lacks something, that part of a record is off, with
one line in the log, and ``doctor`` says so; MLflow's own work goes on untouched. Nothing of it is
imported here until it is asked for.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

# From the first one on, and below the second one; README.md says the same.
SUPPORTED_VERSIONS = ((2, 14), (4,))

_CLIENT = "mlflow.tracking._tracking_service.client"


@dataclass(frozen=True)
class Need:
    """A method, or a function, that must be there with these ``parameters``.

    ``loss``: in words what is off without it. ``since``: the first MLflow that has it.
    """

    module: str
    name: str
    parameters: tuple[str, ...]
    loss: str
    since: tuple[int, ...] = ()

    @property
    def said(self) -> str:
        """What a person is told where it is gone."""
        words = f"({', '.join(self.parameters)})" if self.parameters else ""
        return f"this MLflow has no {self.name}{words}: {self.loss}"

    def find(self) -> tuple[Any, Any] | None:
        """What holds it, and itself as it stands there; None where it is not as expected."""
        try:
            owner: Any = import_module(self.module)
        except ImportError:
            return None
        *classes, last = self.name.split(".")
        for name in classes:
            owner = getattr(owner, name, None)
        found = getattr(owner, "__dict__", {}).get(last)
        if not inspect.isfunction(found):
            return None
        if self.parameters:  # each client that MLflow makes comes by here; a signature is slow
            known = inspect.signature(found).parameters
            if not all(name in known for name in self.parameters):
                return None
        return owner, found


CLIENT_MADE = Need(_CLIENT, "TrackingServiceClient.__init__", (), "resumed runs get no record")
CREATE_RUN = Need(
    _CLIENT, "TrackingServiceClient.create_run", ("tags",),
    "fluent runs get tags only, and runs of MlflowClient no record",
)  # fmt: skip
SET_TERMINATED = Need(
    _CLIENT, "TrackingServiceClient.set_terminated", ("run_id",),
    "what becomes known of a run at its end is not recorded",
)  # fmt: skip
SET_TAG = Need(
    _CLIENT, "TrackingServiceClient.set_tag", ("run_id", "key", "value"),
    "what a run is tagged with must be read from the server",
)  # fmt: skip
LOG_BATCH = Need(
    _CLIENT, "TrackingServiceClient.log_batch", ("run_id", "metrics", "params", "tags"),
    "what a run is tagged with must be read from the server",
)  # fmt: skip
LOG_METRIC = Need(
    _CLIENT, "TrackingServiceClient.log_metric", ("run_id",),
    "what becomes known during a run is recorded at its end",
)  # fmt: skip
READ_RUN = Need(
    "mlflow.store.tracking.rest_store", "RestStore.get_run", ("run_id",),
    "each run is read from the server once more",
)  # fmt: skip
CREATE_MODEL = Need(
    _CLIENT, "TrackingServiceClient.create_logged_model", ("source_run_id",),
    "logged models get tags of their own time, not those of their run", since=(3,),
)  # fmt: skip
FINALIZE_MODEL = Need(
    _CLIENT, "TrackingServiceClient.finalize_logged_model", ("model_id",),
    "what becomes known of a model without a run is recorded at the end of the process",
    since=(3,),
)  # fmt: skip
ACTIVE_RUN = Need("mlflow.tracking.fluent", "ActiveRun.__init__", (), "resumed runs get no record")
CODE_SOURCE = Need(
    "mlflow.data.code_dataset_source", "CodeDatasetSource.__init__", ("tags",),
    "datasets without a source carry our tags as they were at that moment",
)  # fmt: skip
RUN_CONTEXT = Need(
    "mlflow.tracking.context.system_environment_context", "SystemEnvironmentContext.tags", (),
    "the run of `reproduce` is found by its stage alone",
)  # fmt: skip
_REGISTRY = "mlflow.tracking._model_registry"
_UNGATED = "models are registered without a look at MLFLOW_DVC_POLICY"
REGISTER_MODEL = Need(
    f"{_REGISTRY}.fluent", "_register_model", ("model_uri", "name"), _UNGATED,
)  # fmt: skip
CREATE_VERSION = Need(
    f"{_REGISTRY}.client", "ModelRegistryClient.create_model_version", ("source", "run_id"),
    _UNGATED,
)  # fmt: skip
COPY_VERSION = Need(
    f"{_REGISTRY}.client", "ModelRegistryClient.copy_model_version", ("src_mv",), _UNGATED,
)  # fmt: skip
SET_ALIAS = Need(
    f"{_REGISTRY}.client", "ModelRegistryClient.set_registered_model_alias", ("name", "version"),
    _UNGATED,
)  # fmt: skip
SET_STAGE = Need(
    f"{_REGISTRY}.client", "ModelRegistryClient.transition_model_version_stage",
    ("name", "version", "stage"), _UNGATED,
)  # fmt: skip
# Of a server; looked for when one starts, as to import them takes long.
_HANDLERS, _OPEN = "mlflow.server.handlers", "there is no gate for its server"
SERVER_NEEDS = (
    Need(_HANDLERS, "get_service_endpoints", ("service", "get_handler"), _OPEN),
    Need(_HANDLERS, "catch_mlflow_exception", ("func",), _OPEN),
    Need(_HANDLERS, "_get_request_message", ("request_message",), _OPEN),
    Need(_HANDLERS, "_get_model_registry_store", (), _OPEN),
)
_AUTH = "mlflow.server.auth"
USER_NEEDS = (
    Need(_AUTH, "sender_is_admin", (), _OPEN),
    Need(_AUTH, "validate_can_read_run", (), _OPEN),
)
# The variables by which ``mlflow server`` tells its workers what they run in, and how.
SERVER_KIND, WORKSPACES = "_MLFLOW_SGI_NAME", "MLFLOW_ENABLE_WORKSPACES"
NEEDS = (
    CLIENT_MADE, CREATE_RUN, SET_TERMINATED, SET_TAG, LOG_BATCH, LOG_METRIC, READ_RUN, CREATE_MODEL,
    FINALIZE_MODEL, ACTIVE_RUN, CODE_SOURCE, RUN_CONTEXT,
    REGISTER_MODEL, CREATE_VERSION, COPY_VERSION, SET_ALIAS, SET_STAGE,
)  # fmt: skip


def find_missing() -> Iterator[Need]:
    """What this MLflow should have and does not. Imports MLflow."""
    for need in NEEDS:
        if is_expected(need) and need.find() is None:
            yield need


def is_expected(need: Need) -> bool:
    """Whether this MLflow is of a version that has it."""
    return _version() >= need.since


def is_loaded(need: Need) -> bool:
    """Whether its module was imported, by whomever."""
    return need.module in sys.modules


def _version() -> tuple[int, ...]:
    from mlflow.version import VERSION

    return tuple(int(part) for part in str(VERSION).split(".")[:2] if part.isdigit())
