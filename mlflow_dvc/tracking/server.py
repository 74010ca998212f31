"""A client for a tracking server, and access to a run's artifacts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from mlflow_dvc.errors import TrackingUnavailableError
from mlflow_dvc.guard import first_line
from mlflow_dvc.limits import MAX_ARTIFACT_BYTES
from mlflow_dvc.scratch_folder import scratch_folder
from mlflow_dvc.secrets.urls import public_url
from mlflow_dvc.tracking.health import require_answer

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SNAPSHOT = "dvc/snapshot.json"
_NO_PATHS = frozenset({"databricks", "databricks-uc", "uc"})
_PROGRESS_BAR = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
_PAGE = 1000  # experiments; more are not looked at
_SHORT_TIMEOUT_VARIABLES = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}


def uri(tracking_uri: str | None = None) -> str:
    """The server that will be asked: ``tracking_uri``, else the one MLflow would log to here."""
    import mlflow

    return tracking_uri or mlflow.get_tracking_uri()


def shown_uri(tracking_uri: str | None = None) -> str:
    """That server, as it may be shown: without a user and a password."""
    return public_url(uri(tracking_uri))


def absolute_uri(tracking_uri: str) -> str:
    """The URI of a server as it holds in any working directory."""
    path = store_path(tracking_uri)
    if path is None or os.path.isabs(path):
        return tracking_uri
    where = os.path.abspath(path)
    return f"sqlite:///{where}" if tracking_uri.startswith("sqlite:") else Path(where).as_uri()


def client_of(tracking_uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri)


_held: dict[str, MlflowClient] = {}


@contextmanager
def one_client(tracking_uri: str | None) -> Iterator[None]:
    """Inside of it, in all threads, a server is asked by one client. Making one takes MLflow as
    long as reading a record.
    """
    where = uri(tracking_uri)
    before = _held.get(where)
    with client_for(tracking_uri) as client:
        _held[where] = client
    try:
        yield
    finally:
        if before is None:
            _held.pop(where, None)


@contextmanager
def client_for(tracking_uri: str | None) -> Iterator[MlflowClient]:
    """A client; whatever MLflow raises meanwhile says that the server cannot answer."""
    where = uri(tracking_uri)
    _refuse_to_create(where)
    require_answer(where)
    try:
        yield _held.get(where) or client_of(where)
    except store_errors() as error:
        raise TrackingUnavailableError(where, first_line(error)) from error


def read_artifact(client: MlflowClient, run_id: str, path: str) -> bytes | None:
    """None where the run has no such artifact."""
    folder = path.rpartition("/")[0]
    sizes = {entry.path: entry.file_size for entry in client.list_artifacts(run_id, folder)}
    if path not in sizes:
        return None
    if (sizes[path] or 0) > MAX_ARTIFACT_BYTES:
        raise ValueError(f"larger than {MAX_ARTIFACT_BYTES >> 20} MiB")
    with scratch_folder() as directory, no_progress_bar():
        return Path(client.download_artifacts(run_id, path, directory)).read_bytes()


def store_errors() -> tuple[type[Exception], ...]:
    """What MLflow's stores raise: its own errors, the network's and those of databases."""
    from mlflow.exceptions import MlflowException

    database = sys.modules.get("sqlalchemy.exc")
    found = (MlflowException, OSError, ImportError)
    return (*found, database.SQLAlchemyError) if database else found


def store_path(tracking_uri: str) -> str | None:
    """Where a store on this machine keeps its runs; None for a server, and in memory."""
    parts = urlsplit(tracking_uri)
    if parts.scheme == "sqlite":
        return unquote(tracking_uri[len("sqlite:///") :]).partition("?")[0] or None
    if parts.scheme == "file":
        return unquote(parts.path) or None
    is_path = len(parts.scheme) < 2  # of one letter it is a drive
    return tracking_uri if is_path and tracking_uri not in _NO_PATHS else None


def is_local(run: Run) -> bool:
    """Whether the artifacts of ``run`` are files of this machine."""
    return _local_path(run.info.artifact_uri) is not None


def written_places(run: Run, tracking_uri: str | None = None) -> list[str]:
    """Where on this machine the record of ``run`` is written: files and folders, absolute.

    Nothing is told of what a server writes, as it may be this machine's.
    """
    where, info = uri(tracking_uri), run.info
    store, artifacts = store_path(where), _local_path(info.artifact_uri)
    found = [os.path.join(artifacts, "dvc")] if artifacts else []
    if store and where.startswith("sqlite:"):
        found.append(store)
    elif store:
        experiment = os.path.join(store, info.experiment_id)
        outputs = getattr(getattr(run, "outputs", None), "model_outputs", None) or ()
        found += [os.path.join(experiment, "models", one.model_id, "tags") for one in outputs]
        found.append(os.path.join(experiment, info.run_id, "tags"))
    return [os.path.abspath(path) for path in found]


def artifact_roots(tracking_uri: str | None = None) -> list[str]:
    """Where on this machine experiments keep the artifacts of their runs."""
    with client_for(tracking_uri) as client:
        places = (one.artifact_location for one in client.search_experiments(max_results=_PAGE))
        return [path for path in map(_local_path, places) if path]


def _local_path(address: str | None) -> str | None:
    """Of artifacts; None where they are kept elsewhere."""
    is_database = (address or "").startswith("sqlite:")
    return store_path(address) if address and not is_database else None


def _refuse_to_create(where: str) -> None:
    """MLflow makes a new, empty store where a local one is missing: looking must not."""
    path = store_path(where)
    if path and not os.path.exists(path):
        raise TrackingUnavailableError(where, "there is no such file or directory")


@contextmanager
def short_timeouts() -> Iterator[None]:
    """A server that does not answer is given up after seconds: MLflow tries for minutes."""
    with ExitStack() as stack:
        for name, value in _SHORT_TIMEOUT_VARIABLES.items():
            stack.enter_context(_variable(name, os.environ.get(name) or value))
        yield


def no_progress_bar() -> AbstractContextManager[None]:
    """MLflow draws one for the smallest file; it looks for the variable at every download.

    Where several threads download, all of it stands in one such block: the environment is theirs
    together, so that none may set the variable back.
    """
    if os.environ.get(_PROGRESS_BAR) == "false":
        return nullcontext()
    return _variable(_PROGRESS_BAR, "false")


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
