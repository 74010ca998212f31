"""Write tags, files and inputs to a run; MLflow's errors go through to the guard."""

from __future__ import annotations

import os
import posixpath
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow_dvc.scratch_folder import scratch_folder
from mlflow_dvc.tags import INPUT_CONTEXT
from mlflow_dvc.tracking.run_artifacts import artifact_repository
from mlflow_dvc.tracking.server import client_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# These run beside the training, which may fork at any moment. A child that is made while a request
# of ours is under way inherits the locks of that request, held by a thread that it does not have:
# so a fork waits for one request to end, but not for long.

_requesting = threading.Lock()
_MAX_FORK_WAIT_SECONDS = 2.0
_forking = threading.local()
_hangs = False
_this_thread = threading.local()


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


@contextmanager
def one_request() -> Iterator[None]:
    """What stands around each request that is made beside the training."""
    with _requesting:
        _this_thread.requests = True
        try:
            yield
        finally:
            _this_thread.requests = False


def is_ours() -> bool:
    """Whether the request that this thread makes just now is ours, and not the user's."""
    return getattr(_this_thread, "requests", False)


def set_run_tags(tracking_uri: str, run_id: str, tags: Mapping[str, str]) -> None:
    """Add ``tags`` to the run; what it has already under another name stays."""
    from mlflow.entities import RunTag

    with one_request():
        client_of(tracking_uri).log_batch(run_id, tags=[RunTag(*pair) for pair in tags.items()])


def read_run(tracking_uri: str, run_id: str) -> Run | None:
    """The run as the server has it now; None where it is gone, or deleted."""
    run = _found(lambda client: client.get_run(run_id), tracking_uri)
    return run if run is not None and run.info.lifecycle_stage == "active" else None


def run_tags(tracking_uri: str, run_id: str) -> dict[str, str]:
    with one_request():
        return dict(client_of(tracking_uri).get_run(run_id).data.tags)


def model_tags(tracking_uri: str, model_id: str) -> dict[str, str]:
    """Of a logged model (MLflow 3)."""
    with one_request():
        return dict(client_of(tracking_uri).get_logged_model(model_id).tags)


def is_model_there(tracking_uri: str, model_id: str) -> bool:
    """Whether the logged model is there (MLflow 3)."""
    return _found(lambda client: client.get_logged_model(model_id), tracking_uri) is not None


def _found(ask: Callable[[MlflowClient], Any], tracking_uri: str) -> Any:
    """The answer; None where the server says that there is no such thing."""
    from mlflow.exceptions import MlflowException

    try:
        with one_request():
            return ask(client_of(tracking_uri))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def delete_run_tag(tracking_uri: str, run_id: str, key: str) -> None:
    with one_request():
        client_of(tracking_uri).delete_tag(run_id, key)


def delete_model_tag(tracking_uri: str, model_id: str, key: str) -> None:
    """From a logged model (MLflow 3)."""
    with one_request():
        client_of(tracking_uri).delete_logged_model_tag(model_id, key)


def set_model_tags(tracking_uri: str, model_id: str, tags: Mapping[str, str]) -> None:
    """Add ``tags`` to a logged model (MLflow 3)."""
    with one_request():
        client_of(tracking_uri).set_logged_model_tags(model_id, dict(tags))


def attach_files(
    tracking_uri: str,
    run_id: str,
    files: Mapping[str, bytes],
    folder: str,
    artifact_uri: str | None = None,
) -> None:
    """Attach ``files``, by their path in the ``folder`` of the run's artifacts.

    ``artifact_uri`` is where these are, if that is known: by a run's id MLflow asks the server.
    File by file: ``log_artifacts`` draws progress bars into the user's terminal on some stores.
    """
    log = _log_artifact(tracking_uri, run_id, artifact_uri)
    with scratch_folder() as directory:
        write_files(directory, files)
        for path in sorted(files):
            inside = posixpath.normpath(f"{folder}/{posixpath.dirname(path)}")
            with one_request():
                log(os.path.join(directory, *path.split("/")), inside)


def _log_artifact(
    tracking_uri: str, run_id: str, artifact_uri: str | None
) -> Callable[[str, str], object]:
    repository = artifact_repository(tracking_uri, artifact_uri) if artifact_uri else None
    if repository is not None:
        return repository.log_artifact
    client = client_of(tracking_uri)
    return lambda path, folder: client.log_artifact(run_id, path, folder)


def write_files(directory: str, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        target = os.path.join(directory, *path.split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(content)


@dataclass(frozen=True)
class Input:
    """A dataset of a run as MLflow stores it; ``source``, ``profile`` and ``schema`` are JSON.

    ``tags`` are of this run alone.
    """

    name: str
    digest: str
    source: str
    profile: str
    schema: str = "{}"
    tags: Mapping[str, str] = field(default_factory=dict)


def inputs_of(run: Run) -> list[Input]:
    """What is logged already, by the user too."""
    datasets = (entry.dataset for entry in run.inputs.dataset_inputs)
    return [Input(one.name, one.digest, one.source, one.profile or "") for one in datasets]


def send_inputs(
    tracking_uri: str, run_id: str, inputs: Sequence[Input], source_type: str, context: str
) -> None:
    """All in one request."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    datasets = [
        DatasetInput(
            Dataset(one.name, one.digest, source_type, one.source, one.schema, one.profile),
            [InputTag(*pair) for pair in {INPUT_CONTEXT: context, **one.tags}.items()],
        )
        for one in inputs
    ]
    with one_request():
        client_of(tracking_uri).log_inputs(run_id, datasets)


def count_artifacts(tracking_uri: str, run_id: str, folder: str, prefix: str) -> int:
    """How many entries of ``folder`` have a name that begins with ``prefix``."""
    with one_request():
        found = client_of(tracking_uri).list_artifacts(run_id, folder)
    return sum(entry.path.rpartition("/")[2].startswith(prefix) for entry in found)
