"""List and read the artifacts of a run that is at hand, with few requests.

By a run's id MLflow asks for the run itself up to twice at each step, only to learn where its
artifacts are. A run that was found says so.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlflow_dvc.limits import MAX_ARTIFACT_BYTES
from mlflow_dvc.tracking.server import no_progress_bar, read_artifact

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import FileInfo, Run

_SERVED = "/api/2.0/mlflow-artifacts/artifacts"  # where a server has what it keeps itself
_DIRECT = frozenset({"", "file", "s3", "gs", "http", "https", "mlflow-artifacts"})


def list_artifacts(client: MlflowClient, run: Run, folder: str) -> list[FileInfo]:
    """What lies in ``folder``; empty where there is no such folder."""
    import mlflow
    from mlflow.entities import FileInfo

    where = _address(client, run)
    if where is None:
        return list(client.list_artifacts(run.info.run_id, folder))
    uri = f"{where}/{folder}"
    found = mlflow.artifacts.list_artifacts(artifact_uri=uri, tracking_uri=client.tracking_uri)
    # Their paths begin above the last folder of the address, wherever that is.
    named = ((f"{folder}/{one.path.rpartition('/')[2]}", one) for one in found)
    return [FileInfo(path, one.is_dir, one.file_size) for path, one in named]


def read_listed(
    client: MlflowClient, run: Run, path: str, listing: list[FileInfo] | None = None
) -> bytes | None:
    """The artifact ``path``; None where it is not there. ``listing`` is that of its folder."""
    import mlflow

    where = _address(client, run)
    if where is None:
        return read_artifact(client, run.info.run_id, path)
    if listing is None:
        listing = list_artifacts(client, run, path.rpartition("/")[0])
    sizes = {entry.path: entry.file_size for entry in listing}
    if path not in sizes:
        return None
    if (sizes[path] or 0) > MAX_ARTIFACT_BYTES:
        raise ValueError(f"larger than {MAX_ARTIFACT_BYTES >> 20} MiB")
    with tempfile.TemporaryDirectory(prefix="mlflow-dvc-") as directory, no_progress_bar():
        found = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{where}/{path}", dst_path=directory, tracking_uri=client.tracking_uri
        )
        return Path(found).read_bytes()


def _address(client: MlflowClient, run: Run) -> str | None:
    """Where the artifacts of ``run`` are; None where only MLflow itself can put that together."""
    uri = run.info.artifact_uri or ""
    parts = urlsplit(uri)
    if not uri or parts.query or parts.fragment or "%" in uri or parts.scheme not in _DIRECT:
        return None
    if parts.scheme != "mlflow-artifacts":
        return str(uri).rstrip("/")
    server = str(client.tracking_uri)
    if parts.netloc or not server.startswith(("http://", "https://")):
        return None
    # Older MLflow looks for a server's artifacts on the server of the process, whatever is said.
    return f"{server.rstrip('/')}{_SERVED}{parts.path.rstrip('/')}"
