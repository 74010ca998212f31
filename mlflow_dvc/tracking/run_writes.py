"""Write tags, files and inputs to a run; MLflow's errors go through to the guard."""

from __future__ import annotations

import os
import posixpath
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_dvc.snapshot import read_snapshot
from mlflow_dvc.tracking.server import SNAPSHOT, client_of, read_artifact

if TYPE_CHECKING:
    from mlflow import MlflowClient

# These run beside the training, which may fork at any moment. A child that is made while a request
# of ours is under way inherits the locks of that request, held by a thread that it does not have:
# so a fork waits for one request to end, but not for long.

_requesting = threading.Lock()
_MAX_FORK_WAIT_SECONDS = 2.0
_forking = threading.local()
_hangs = False


def _before_fork() -> None:
    """A request that hangs is waited for at one fork, not at each of a pool of workers."""
    global _hangs
    _forking.holds = _requesting.acquire(timeout=0 if _hangs else _MAX_FORK_WAIT_SECONDS)
    _hangs = not _forking.holds


def _after_fork_in_parent() -> None:
    if _forking.holds:
        _requesting.release()


def _after_fork_in_child() -> None:
    global _requesting
    _requesting = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )


def one_request() -> AbstractContextManager[Any]:
    """What stands around each request that is made beside the training."""
    return _requesting


def set_run_tags(tracking_uri: str, run_id: str, tags: Mapping[str, str]) -> None:
    """Add ``tags`` to the run; what it has already under another name stays."""
    from mlflow.entities import RunTag

    with _requesting:
        client_of(tracking_uri).log_batch(run_id, tags=[RunTag(*pair) for pair in tags.items()])


def run_tags(tracking_uri: str, run_id: str) -> dict[str, str]:
    with _requesting:
        return dict(client_of(tracking_uri).get_run(run_id).data.tags)


def model_tags(tracking_uri: str, model_id: str) -> dict[str, str]:
    """Of a logged model (MLflow 3)."""
    with _requesting:
        return dict(client_of(tracking_uri).get_logged_model(model_id).tags)


def is_run_active(tracking_uri: str, run_id: str) -> bool:
    """Whether the run is there, and not deleted."""
    run = _found(lambda client: client.get_run(run_id), tracking_uri)
    return run is not None and bool(run.info.lifecycle_stage == "active")


def is_model_there(tracking_uri: str, model_id: str) -> bool:
    """Whether the logged model is there (MLflow 3)."""
    return _found(lambda client: client.get_logged_model(model_id), tracking_uri) is not None


def _found(ask: Callable[[MlflowClient], Any], tracking_uri: str) -> Any:
    """The answer; None where the server says that there is no such thing."""
    from mlflow.exceptions import MlflowException

    try:
        with _requesting:
            return ask(client_of(tracking_uri))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def delete_run_tag(tracking_uri: str, run_id: str, key: str) -> None:
    with _requesting:
        client_of(tracking_uri).delete_tag(run_id, key)


def delete_model_tag(tracking_uri: str, model_id: str, key: str) -> None:
    """From a logged model (MLflow 3)."""
    with _requesting:
        client_of(tracking_uri).delete_logged_model_tag(model_id, key)


def set_model_tags(tracking_uri: str, model_id: str, tags: Mapping[str, str]) -> None:
    """Add ``tags`` to a logged model (MLflow 3)."""
    with _requesting:
        client_of(tracking_uri).set_logged_model_tags(model_id, dict(tags))


def attach(tracking_uri: str, run_id: str, directory: str, folder: str) -> None:
    """Copy everything in the local ``directory`` to ``folder`` among the run's artifacts.

    File by file: ``log_artifacts`` draws progress bars into the user's terminal on some stores.
    """
    with _requesting:
        client = client_of(tracking_uri)
    for here, _, names in os.walk(directory):
        inside = os.path.relpath(here, directory).replace(os.sep, "/")
        target = posixpath.normpath(f"{folder}/{inside}")
        for name in sorted(names):
            with _requesting:
                client.log_artifact(run_id, os.path.join(here, name), target)


def attach_files(tracking_uri: str, run_id: str, files: Mapping[str, bytes], folder: str) -> None:
    """Attach ``files``, by their path in the ``folder`` of the run's artifacts."""
    with tempfile.TemporaryDirectory(prefix="mlflow-dvc-") as directory:
        write_files(directory, files)
        attach(tracking_uri, run_id, directory, folder)


def write_files(directory: str, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        target = os.path.join(directory, *path.split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(content)


@dataclass(frozen=True)
class Input:
    """A dataset of a run as MLflow stores it; ``source`` and ``profile`` are JSON."""

    name: str
    digest: str
    source: str
    profile: str


def inputs_of(tracking_uri: str, run_id: str) -> list[Input]:
    """What is logged already, by the user too. Raises MLflow's errors."""
    with _requesting:
        found = client_of(tracking_uri).get_run(run_id).inputs.dataset_inputs
    datasets = (entry.dataset for entry in found)
    return [Input(one.name, one.digest, one.source, one.profile or "") for one in datasets]


def send_inputs(
    tracking_uri: str, run_id: str, inputs: Sequence[Input], source_type: str, context: str
) -> None:
    """All in one request."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    datasets = [
        DatasetInput(
            Dataset(one.name, one.digest, source_type, one.source, profile=one.profile),
            [InputTag("mlflow.data.context", context)],
        )
        for one in inputs
    ]
    with _requesting:
        client_of(tracking_uri).log_inputs(run_id, datasets)


def count_artifacts(tracking_uri: str, run_id: str, folder: str, prefix: str) -> int:
    """How many entries of ``folder`` have a name that begins with ``prefix``."""
    with _requesting:
        found = client_of(tracking_uri).list_artifacts(run_id, folder)
    return sum(entry.path.rpartition("/")[2].startswith(prefix) for entry in found)


def read_changes(tracking_uri: str, run_id: str) -> str | None:
    """The name of the uncommitted code in the attached record of a run, if it has one."""
    with _requesting:
        content = read_artifact(client_of(tracking_uri), run_id, SNAPSHOT)
    try:
        git = read_snapshot(content or b"").git
    except ValueError:
        return None
    return git.changes if git else None
