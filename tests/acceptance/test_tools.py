"""Programs of others that read the runs of a server, or move them to another one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import SECONDS, Project, missing

pytestmark = pytest.mark.tools

TRAIN = """\
import mlflow
from pathlib import Path

with mlflow.start_run() as run:
    mlflow.log_param("lr", 0.1)
    mlflow.log_metric("x", 1)
    mlflow.log_text("weights", "model/weights.txt")
Path("models").mkdir(exist_ok=True)
Path("models/model.txt").write_text("model of " + Path("data/prepared.csv").read_text())
Path("metrics.json").write_text('{"x": 1}')
"""
INGEST = """\
import sys
from datahub.ingestion.run.pipeline import Pipeline

source = {"type": "mlflow", "config": {"tracking_uri": sys.argv[1]}}
sink = {"type": "file", "config": {"filename": sys.argv[2]}}
pipeline = Pipeline.create({"source": source, "sink": sink})
pipeline.run()
pipeline.raise_from_status()
"""


@pytest.fixture(scope="session")
def tools() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the Python of an environment with these programs and without this package."""
    python = os.environ.get("TOOLS_PYTHON") or missing("TOOLS_PYTHON is not set, see .ci/run")

    def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, *words],
            env=os.environ | {"DATAHUB_TELEMETRY_ENABLED": "false"} | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    return run


@pytest.fixture
def recorded(pipeline: Project) -> Project:
    """A run without a stage, and two of a stage; the model of the last one is registered."""
    pipeline.write("src/train.py", TRAIN)
    pipeline.python("run.py")
    for number in (1, 2):
        pipeline.write("data/raw.csv", f"a,b\n{number},2\n")
        pipeline.dvc("repro", "--quiet", "train")
        pipeline.commit(f"data {number}")
        pipeline.cli("sync")
    run = newest()
    client = mlflow.MlflowClient()
    client.create_registered_model("model")
    client.create_model_version("model", f"{run.info.artifact_uri}/model", run.info.run_id)
    return pipeline


def newest(experiment: str = "tests") -> Any:
    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return client.search_runs([found.experiment_id], order_by=["start_time DESC"])[0]


def aspects(path: Path) -> dict[tuple[str, str], Any]:
    """What a catalogue was told last of each thing, by its name and the kind of fact."""
    rows = json.loads(path.read_text("utf-8"))
    return {(row["entityUrn"], row["aspectName"]): row["aspect"]["json"] for row in rows}


def test_datahub(recorded: Project, tracking_uri: str, tools, tmp_path: Path):
    """DataHub has our data with its hash and columns, linked to the run, and that to the model."""
    done = tools("-c", INGEST, tracking_uri, str(tmp_path / "catalogue.json"))
    assert done.returncode == 0, done.stderr[-3000:]
    found = aspects(tmp_path / "catalogue.json")
    prefix = "urn:li:dataset:(urn:li:dataPlatform:mlflow"
    run = newest()
    [entry] = run.inputs.dataset_inputs
    tags = {tag.key: tag.value for tag in entry.tags}
    prepared = found[f"{prefix},data/prepared.csv,PROD)", "datasetProperties"]["customProperties"]
    assert tags["dvc.hash"] == entry.dataset.digest
    assert prepared.keys() >= tags.keys()
    assert prepared["schema"] == "{}", "its header stands in it twice"
    fields = found[f"{prefix},data/raw.csv,PROD)", "schemaMetadata"]["fields"]
    assert [(one["fieldPath"], one["nativeDataType"]) for one in fields] == [
        ("a", "long"), ("b", "long"),
    ]  # fmt: skip
    [instance] = [
        urn
        for (urn, kind), aspect in found.items()
        if kind == "mlTrainingRunProperties" and aspect["id"] == run.info.run_id
    ]
    edges = found[instance, "dataProcessInstanceInput"]["inputEdges"]
    assert [one["destinationUrn"] for one in edges] == [f"{prefix},data/prepared.csv,PROD)"]
    [edge] = found[instance, "dataProcessInstanceOutput"]["outputEdges"]
    assert found[edge["destinationUrn"], "mlModelProperties"]["trainingJobs"] == [instance]


def told(project: Project, uri: str, run_id: str) -> dict[str, Any]:
    """What each command says of a run, less what a server gives to a run."""

    def ask(*words: str) -> Any:
        done = project.cli(*words, "--json", MLFLOW_TRACKING_URI=uri)
        assert done.returncode in (0, 1, 2), done.stderr
        return json.loads(done.stdout)

    verified = ask("verify", run_id)["runs"][0]
    lineage = ask("lineage", run_id)
    return {
        "show": ask("show", run_id)["snapshot"],
        "verify": [(one["part"], one["name"], one["verdict"]) for one in verified["items"]],
        "search": run_id in [one["run_id"] for one in ask("search", "data/prepared.csv")["runs"]],
        "lineage": lineage,
    }


def test_moved_by_export_import(
    recorded: Project, tracking_uri: str, tools, tmp_path, empty_database
):
    """Runs that mlflow-export-import took to another server answer as before."""
    shutil.copy(empty_database, tmp_path / "moved.db")
    there = f"sqlite:///{tmp_path}/moved.db"
    before = newest()
    kept = told(recorded, tracking_uri, before.info.run_id)
    package = "mlflow_export_import.experiment"
    folder = str(tmp_path / "exported")
    words = ("--experiment", "tests", "--output-dir", folder)
    done = tools("-m", f"{package}.export_experiment", *words)
    assert done.returncode == 0, done.stderr[-3000:]
    words = ("--input-dir", folder, "--experiment-name", "moved")
    done = tools("-m", f"{package}.import_experiment", *words, MLFLOW_TRACKING_URI=there)
    assert done.returncode == 0, done.stderr[-3000:]
    mlflow.set_tracking_uri(there)
    found = mlflow.search_runs(experiment_names=["moved"], output_format="list")
    [after] = [run for run in found if run.data.tags["mlflow.runName"] == before.info.run_name]
    print(json.dumps(told(recorded, there, after.info.run_id), indent=1)[:9000])
    print(json.dumps(kept["lineage"], indent=1)[:3000])
    assert told(recorded, there, after.info.run_id) == kept
