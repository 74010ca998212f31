"""Programs of others that read the runs of a server, or move them to another one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import PYTHON, SECONDS, Project, missing

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


def told(project: Project, uri: str, run: Any) -> dict[str, Any]:
    """What each command says of a run, less what is of the server."""

    def ask(*words: str) -> Any:
        done = project.cli(*words, "--json", MLFLOW_TRACKING_URI=uri)
        assert done.returncode in (0, 1, 2), done.stderr
        return json.loads(done.stdout)

    [verified] = ask("verify", run.info.run_id)["runs"]
    lineage = ask("lineage", run.info.run_id)
    found = ask("search", "data/prepared.csv")["runs"]
    return {
        "show": ask("show", run.info.run_id)["snapshot"],
        "verify": [(one["part"], one["name"], one["verdict"]) for one in verified["items"]],
        "search": run.info.run_id in [one["run_id"] for one in found],
        "lineage": sorted(
            (one["kind"], one["name"])
            for one in lineage["nodes"]
            if one["kind"] in ("run", "data", "code")
        ),
    }


@pytest.mark.parametrize("with_plugin", [False, True])
def test_moved_by_export_import(  # noqa: PLR0917
    recorded: Project, tracking_uri: str, mlflow_server: str, tools, tmp_path: Path, with_plugin
):
    """Runs that mlflow-export-import took to another server answer as before, also where the
    program that takes them there has this package."""
    before = newest()
    kept = told(recorded, tracking_uri, before)
    folder = str(tmp_path / "exported")
    package = "mlflow_export_import.experiment"
    words = ("--experiment", "tests", "--output-dir", folder)
    done = tools("-m", f"{package}.export_experiment", *words)
    assert done.returncode == 0, done.stderr[-3000:]
    words = ("-m", f"{package}.import_experiment", "--input-dir", folder)
    words = (*words, "--experiment-name", tmp_path.name)
    if with_plugin:
        [there] = tools(
            "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
        ).stdout.split()
        recorded.write("src/train.py", "# of today\n")
        env = {"MLFLOW_TRACKING_URI": mlflow_server, "PYTHONPATH": there}
        done = recorded.call(PYTHON, *words, **env)
        recorded.git("checkout", "--quiet", "src/train.py")
    else:
        done = tools(*words, MLFLOW_TRACKING_URI=mlflow_server)
    assert done.returncode == 0, done.stderr[-3000:]
    mlflow.set_tracking_uri(mlflow_server)
    found = mlflow.search_runs(experiment_names=[tmp_path.name], output_format="list")
    [after] = [run for run in found if run.info.run_name == before.info.run_name]
    assert told(recorded, mlflow_server, after) == kept
    restored = recorded.cli(
        "restore", after.info.run_id, "--to", str(tmp_path / "back"),
        MLFLOW_TRACKING_URI=mlflow_server,
    )  # fmt: skip
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert (tmp_path / "back/models/model.txt").read_bytes() == (
        recorded.root / "models/model.txt"
    ).read_bytes()
