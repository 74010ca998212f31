"""A server and a client of different versions of MLflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PYTHON, SECONDS, Project, make_home, missing
from servers import MLFLOW

pytestmark = pytest.mark.versions

RUN = """\
import mlflow
with mlflow.start_run():
    mlflow.log_param("a", 1)
    mlflow.log_metric("b", 2)
"""


@pytest.fixture(scope="session")
def other_python() -> str:
    """Of an environment with this package and another MLflow."""
    found = os.environ.get("OTHER_PYTHON") or missing("OTHER_PYTHON is not set, see .ci/run")
    ask = [found, "-c", "import mlflow, mlflow_dvc; print(mlflow.__version__)"]
    done = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=SECONDS)
    import mlflow

    assert done.stdout.strip() != mlflow.__version__
    return found


@pytest.mark.parametrize("server", ["this", "other"])
def test_versions(server: str, pipeline: Project, serve: Callable[..., str], other_python: str):
    """A run is recorded, found, told and verified, whichever of the two is the older."""
    pythons = {"this": (PYTHON, other_python), "other": (other_python, PYTHON)}
    host, client = pythons[server]

    def prepare(folder: Path) -> None:
        make_home(folder)

    address = serve(f"version-{server}", MLFLOW, prepare=prepare, python=host)
    env = {"MLFLOW_TRACKING_URI": address, "MLFLOW_EXPERIMENT_NAME": "versions"}
    pipeline.write("run.py", RUN)
    pipeline.run(client, "run.py", **env)
    for reader in (client, sys.executable):
        found = json.loads(
            pipeline.run(reader, "-m", "mlflow_dvc", "search", "data/raw.csv", "--json", **env)
        )
        [run_id] = [run["run_id"] for run in found["runs"]]
        told = json.loads(pipeline.run(reader, "-m", "mlflow_dvc", "show", run_id, "--json", **env))
        assert told["snapshot"]["git"]["sha"] == pipeline.git("rev-parse", "HEAD")
        done = pipeline.call(reader, "-m", "mlflow_dvc", "verify", run_id, "--json", **env)
        [judged] = json.loads(done.stdout)["runs"]
        assert not [one for one in judged["items"] if one["verdict"] not in ("PASS", "UNVERIFIED")]
