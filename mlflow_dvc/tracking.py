"""The only reader and writer of the MLflow tracking server.

Functions that recall uses raise the errors of ``mlflow_dvc.errors``; those that record uses let
MLflow's own through, to the guard.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mlflow_dvc import tags as tag
from mlflow_dvc.errors import AmbiguousRunError, RunNotFoundError, TrackingUnavailableError
from mlflow_dvc.guard import first_line
from mlflow_dvc.snapshot import Snapshot

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SNAPSHOT = "dvc/snapshot.json"
_PAGE = 1000
_NO_PATHS = frozenset({"databricks", "databricks-uc", "uc"})
_SNAPSHOT_BYTES = 100 * 1024 * 1024
_RUN_ID = re.compile(r"[0-9a-f]{1,32}")
_MODEL = re.compile(r"models:/(?P<name>.+?)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/]+))")


def uri(tracking_uri: str | None = None) -> str:
    """The server that will be asked: ``tracking_uri``, else the one MLflow would log to here."""
    import mlflow

    return tracking_uri or mlflow.get_tracking_uri()


# --- record ------------------------------------------------------------------------------------
#
# These run beside the training, which may fork at any moment. A child that is made while a request
# of ours is under way inherits the locks of that request, held by a thread that it does not have:
# so a fork waits for one request to end, but not for long.

_requesting = threading.Lock()
_FORK_WAITS = 2.0  # seconds
_forking = threading.local()
_hangs = False


def _before_fork() -> None:
    """A request that hangs is waited for at one fork, not at each of a pool of workers."""
    global _hangs
    _forking.holds = _requesting.acquire(timeout=0 if _hangs else _FORK_WAITS)
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


def set_run_tags(tracking_uri: str, run_id: str, tags: Mapping[str, str]) -> None:
    """Add ``tags`` to the run; what it has already under another name stays."""
    from mlflow.entities import RunTag

    with _requesting:
        _client(tracking_uri).log_batch(run_id, tags=[RunTag(*pair) for pair in tags.items()])


def run_tags(tracking_uri: str, run_id: str) -> dict[str, str]:
    with _requesting:
        return dict(_client(tracking_uri).get_run(run_id).data.tags)


def delete_run_tag(tracking_uri: str, run_id: str, key: str) -> None:
    with _requesting:
        _client(tracking_uri).delete_tag(run_id, key)


def delete_model_tag(tracking_uri: str, model_id: str, key: str) -> None:
    """From a logged model (MLflow 3)."""
    with _requesting:
        _client(tracking_uri).delete_logged_model_tag(model_id, key)


def set_model_tags(tracking_uri: str, model_id: str, tags: Mapping[str, str]) -> None:
    """Add ``tags`` to a logged model (MLflow 3)."""
    with _requesting:
        _client(tracking_uri).set_logged_model_tags(model_id, dict(tags))


def attach(tracking_uri: str, run_id: str, directory: str, folder: str) -> None:
    """Copy everything in the local ``directory`` to ``folder`` among the run's artifacts.

    File by file: ``log_artifacts`` draws progress bars into the user's terminal on some stores.
    """
    with _requesting:
        client = _client(tracking_uri)
    for here, _, names in os.walk(directory):
        inside = os.path.relpath(here, directory).replace(os.sep, "/")
        target = posixpath.normpath(f"{folder}/{inside}")
        for name in sorted(names):
            with _requesting:
                client.log_artifact(run_id, os.path.join(here, name), target)


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
        found = _client(tracking_uri).get_run(run_id).inputs.dataset_inputs
    datasets = (entry.dataset for entry in found)
    return [Input(one.name, one.digest, one.source, one.profile or "") for one in datasets]


def log_inputs(
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
        _client(tracking_uri).log_inputs(run_id, datasets)


def count_artifacts(tracking_uri: str, run_id: str, folder: str, prefix: str) -> int:
    """How many entries of ``folder`` have a name that begins with ``prefix``."""
    with _requesting:
        found = _client(tracking_uri).list_artifacts(run_id, folder)
    return sum(entry.path.rpartition("/")[2].startswith(prefix) for entry in found)


def read_changes(tracking_uri: str, run_id: str) -> str | None:
    """The name of the uncommitted code in the attached record of a run, if it has one."""
    with _requesting:
        content = _artifact(_client(tracking_uri), run_id, SNAPSHOT)
    try:
        git = Snapshot.from_dict(json.loads(content or b"")).git
    except ValueError:
        return None
    return git.changes if git else None


# --- recall ------------------------------------------------------------------------------------


def find_runs(filter_string: str, tracking_uri: str | None = None) -> Iterator[Run]:
    """Every run of every active experiment that ``filter_string`` (MLflow's syntax) matches."""
    from mlflow.entities import ViewType

    with _asking(tracking_uri) as client:
        yield from _runs(client, filter_string, ViewType.ACTIVE_ONLY)


def experiment_names(ids: set[str], tracking_uri: str | None = None) -> dict[str, str]:
    with _asking(tracking_uri) as client:
        return {key: client.get_experiment(key).name for key in ids}


def get_run(ref: str, tracking_uri: str | None = None) -> Run:
    """The run that ``ref`` names: a run id or a unique beginning of one, ``models:/name/version``,
    ``models:/name@alias``, or the id of a logged model.

    Raises RunNotFoundError, AmbiguousRunError or TrackingUnavailableError.
    """
    with _asking(tracking_uri) as client:
        if ref.startswith("models:/"):
            run_id = _run_of_model(client, ref)
        elif ref.startswith("m-"):
            run_id = _logged_model(client, ref).source_run_id
        elif _RUN_ID.fullmatch(ref):
            run_id = ref if len(ref) == 32 else _run_beginning(client, ref)
        else:
            raise RunNotFoundError(ref, client.tracking_uri, "not the form of a run id")
        if not run_id:
            raise RunNotFoundError(ref, client.tracking_uri, "that model was not logged in a run")
        return _found(client, ref, lambda: client.get_run(run_id))


def load_snapshot(run: Run, tracking_uri: str | None = None) -> Snapshot:
    """The Snapshot of a run: the attached one, else what its tags tell. Falsy where there is none.

    What is attached comes from a shared server: one that cannot be read as a snapshot is passed
    over, and ``warnings`` says so.
    """
    by_tags = tag.from_tags(run.data.tags)
    if not tag.ours(run.data.tags):
        return Snapshot()
    with _asking(tracking_uri) as client:
        try:
            content = _artifact(client, run.info.run_id, SNAPSHOT)
        except Exception as error:
            return _doubtful(by_tags, f"{SNAPSHOT} could not be downloaded: {error}")
    if content is None:
        return _doubtful(by_tags, f"the run has no {SNAPSHOT}; this is what its tags say")
    try:
        attached = Snapshot.from_dict(json.loads(content))
    except ValueError as error:
        return _doubtful(by_tags, f"{SNAPSHOT} is not readable: {error}")
    # What became known after the start is in the tags alone.
    return replace(
        attached,
        data_version=by_tags.data_version or attached.data_version,
        data_status=by_tags.data_status or attached.data_status,
        seal=by_tags.seal or attached.seal,
    )


def load_resumed(run: Run, tracking_uri: str | None = None) -> list[Snapshot]:
    """The Snapshots that a run got when it was resumed on other code or data, in no order."""
    found = []
    with _asking(tracking_uri) as client:
        for entry in client.list_artifacts(run.info.run_id, "dvc"):
            if entry.is_dir and entry.path.startswith("dvc/resume-"):
                content = _artifact(client, run.info.run_id, f"{entry.path}/snapshot.json")
                with suppress(ValueError):  # not ours, or damaged: it answers nothing
                    found.append(Snapshot.from_dict(json.loads(content or b"")))
    return found


def read_attached(run: Run, path: str, tracking_uri: str | None = None) -> bytes | None:
    """The attached file ``path`` of the record; None where there is none that could be had."""
    if path.startswith(("/", "../")):
        return None
    with _asking(tracking_uri) as client:
        try:
            return _artifact(client, run.info.run_id, f"dvc/{path}")
        except Exception:  # larger than any record, or its store is gone
            return None


def amend(
    run: Run,
    before: Snapshot,
    after: Snapshot,
    files: Mapping[str, bytes],
    tracking_uri: str | None = None,
) -> None:
    """Let ``run``, recorded as ``before``, say ``after``; ``files`` replace what is attached.

    What the user has put under a name of ours stays. Models logged in the run get the same tags.
    """
    old, new = tag.data_tags(before), tag.data_tags(after)
    there = run.data.tags
    late = {key: new[key] for key in new if there.get(key) in (None, old.get(key))}
    late = {key: value for key, value in late.items() if there.get(key) != value}
    gone = [key for key in old if key not in new and there.get(key) == old[key]]
    attached = {**files, "snapshot.json": json.dumps(after.to_dict(), indent=1).encode()}
    with _asking(tracking_uri) as client:
        where, run_id = client.tracking_uri, run.info.run_id
        with tempfile.TemporaryDirectory(prefix="mlflow-dvc-") as directory:
            write_files(directory, attached)
            attach(where, run_id, directory, "dvc")
        set_run_tags(where, run_id, late)
        for key in gone:
            delete_run_tag(where, run_id, key)
        outputs = getattr(run, "outputs", None)
        for model in getattr(outputs, "model_outputs", None) or ():
            set_model_tags(where, model.model_id, late)


def list_attached(run: Run, tracking_uri: str | None = None) -> list[str]:
    """The paths of every artifact below ``dvc/``."""
    with _asking(tracking_uri) as client:
        return sorted(_walk(client, run.info.run_id, "dvc"))


def _doubtful(snapshot: Snapshot, warning: str) -> Snapshot:
    return replace(snapshot, warnings=(*snapshot.warnings, warning))


def _client(tracking_uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri)


@contextmanager
def _asking(tracking_uri: str | None) -> Iterator[MlflowClient]:
    """A client; whatever MLflow raises meanwhile says that the server cannot answer."""
    where = uri(tracking_uri)
    _refuse_to_create(where)
    try:
        yield _client(where)
    except _store_errors() as error:
        raise TrackingUnavailableError(where, first_line(error)) from error


def _store_errors() -> tuple[type[Exception], ...]:
    """What MLflow's stores raise: its own errors, the network's and those of databases."""
    from mlflow.exceptions import MlflowException

    database = sys.modules.get("sqlalchemy.exc")
    found = (MlflowException, OSError, ImportError)
    return (*found, database.SQLAlchemyError) if database else found


def _refuse_to_create(where: str) -> None:
    """MLflow makes a new, empty store where a local one is missing: looking must not."""
    from mlflow.utils.uri import is_local_uri

    parts = urlsplit(where)
    if parts.scheme == "sqlite":
        path = unquote(where[len("sqlite:///") :]).partition("?")[0]
    elif where not in _NO_PATHS and is_local_uri(where):
        path = unquote(parts.path) if parts.scheme else where
    else:
        return
    if path and not os.path.exists(path):
        raise TrackingUnavailableError(where, "there is no such file or directory")


def _experiments(client: MlflowClient) -> Iterator[str]:
    token: str | None = None
    while True:
        page = client.search_experiments(max_results=_PAGE, page_token=token)
        yield from (experiment.experiment_id for experiment in page)
        token = page.token
        if not token:
            return


def _runs(client: MlflowClient, filter_string: str, view: int) -> Iterator[Run]:
    experiments = list(_experiments(client))
    # One request may name only so many experiments before the server or a proxy balks.
    for start in range(0, len(experiments), _PAGE):
        token: str | None = None
        while True:
            page = client.search_runs(
                experiments[start : start + _PAGE],
                filter_string,
                run_view_type=view,
                max_results=_PAGE,
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                break


def _run_beginning(client: MlflowClient, prefix: str) -> str:
    from mlflow.entities import ViewType

    runs = _runs(client, f"attributes.run_id LIKE '{prefix}%'", ViewType.ALL)
    found = sorted(run.info.run_id for run in runs if run.info.run_id.startswith(prefix))
    if not found:
        raise RunNotFoundError(prefix, client.tracking_uri, "no run id begins so")
    if len(found) > 1:
        raise AmbiguousRunError(prefix, found)
    return found[0]


def _run_of_model(client: MlflowClient, ref: str) -> str | None:
    match = _MODEL.fullmatch(ref)
    if match is None:
        if ref.startswith("models:/m-"):
            return _logged_model(client, ref.removeprefix("models:/")).source_run_id
        raise RunNotFoundError(
            ref, client.tracking_uri, "write models:/NAME/VERSION or models:/NAME@ALIAS"
        )
    if match["alias"]:
        version = _found(
            client, ref, lambda: client.get_model_version_by_alias(match["name"], match["alias"])
        )
    else:
        version = _found(
            client, ref, lambda: client.get_model_version(match["name"], match["version"])
        )
    model_id = getattr(version, "model_id", None)
    return version.run_id or (_logged_model(client, model_id).source_run_id if model_id else None)


def _logged_model(client: MlflowClient, model_id: str) -> Any:
    get = getattr(client, "get_logged_model", None)
    if get is None:
        raise RunNotFoundError(model_id, client.tracking_uri, "logged models came with MLflow 3")
    return _found(client, model_id, lambda: get(model_id))


def _found(client: MlflowClient, ref: str, ask: Any) -> Any:
    """The answer; RunNotFoundError where the server says that there is no such thing."""
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise RunNotFoundError(ref, client.tracking_uri) from error
        raise


def _artifact(client: MlflowClient, run_id: str, path: str) -> bytes | None:
    """None where the run has no such artifact."""
    folder = path.rpartition("/")[0]
    sizes = {entry.path: entry.file_size for entry in client.list_artifacts(run_id, folder)}
    if path not in sizes:
        return None
    if (sizes[path] or 0) > _SNAPSHOT_BYTES:
        raise ValueError(f"larger than {_SNAPSHOT_BYTES >> 20} MiB")
    with tempfile.TemporaryDirectory(prefix="mlflow-dvc-") as directory, _no_progress_bar():
        return Path(client.download_artifacts(run_id, path, directory)).read_bytes()


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """MLflow draws one for the smallest file; it looks for the variable at every download."""
    name = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _walk(client: MlflowClient, run_id: str, folder: str) -> Iterator[str]:
    for entry in client.list_artifacts(run_id, folder):
        if entry.is_dir:
            yield from _walk(client, run_id, entry.path)
        else:
            yield entry.path
