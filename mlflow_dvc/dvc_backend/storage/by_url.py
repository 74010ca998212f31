"""Open a DVC remote by its address alone, in a process without the project."""

from __future__ import annotations

from typing import Any

from mlflow_dvc.addresses import environment_endpoint
from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.hash_query import LEGACY


def open_remote_url(url: str, algorithm: str, endpoint: str | None = None) -> Any:
    """DVC's object database there, of the hashes of that algorithm. Imports DVC.

    Credentials are those of the environment, and so is the server of a bucket where it names one:
    the same server may have another address there. Else it is ``endpoint``.
    """
    where = {"endpointurl": endpoint} if endpoint and not environment_endpoint("s3") else {}
    cls, config, path = api.get_cloud_fs({}, url=url, **where)
    fs = cls(**config)
    # As dvc.data_cloud lays a remote out.
    path = path if algorithm == LEGACY else fs.join(path, "files", "md5")
    return api.get_odb(fs, path, hash_name=algorithm)
