"""Runs and commands in a slim image, which has neither DVC nor all of MLflow."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import PYTHON, SECONDS, Project, missing

from mlflow_dvc.cli.main import cli

ROOT = Path(__file__).parents[2]
SECTION = (
    (ROOT / "docs/images-and-ci.md")
    .read_text("utf-8")
    .partition("## Slim images")[2]
    .partition("\n## ")[0]
)
RUN = """\
import mlflow

with mlflow.start_run() as run:
    mlflow.log_metric("x", 1)
print(run.info.run_id)
"""
Call = Callable[..., subprocess.CompletedProcess[str]]
# Each command as it is called in the project, with RUN for the id of a run.
CALLS = {
    "backfill": [],
    "check": ["RUN"],
    "completion": ["bash"],
    "demo": ["story"],
    "diff": ["RUN", "RUN"],
    "doctor": ["--local"],
    "gc": ["--dry-run"],
    "lineage": ["RUN"],
    "pin": ["RUN"],
    "reproduce": ["RUN"],
    "restore": ["RUN", "--to", "restored"],
    "search": ["data/raw.csv"],
    "show": ["RUN"],
    "snapshot": [],
    "status": [],
    "sync": [],
    "verify": ["RUN"],
}
READ_ONLY = ("diff", "lineage", "search", "show", "status")


@pytest.fixture
def slim(tmp_path: Path, mlflow_server: str) -> Call:
    """Run the Python of the slim environment, which finds no other programs than git."""
    python = os.environ.get("SLIM_PYTHON") or missing("SLIM_PYTHON is not set, see .ci/run")
    env = {
        "PATH": f"{os.path.dirname(python)}:/usr/bin:/bin",
        "MLFLOW_TRACKING_URI": mlflow_server,
        "MLFLOW_EXPERIMENT_NAME": f"slim {tmp_path.name}",
    }

    def run(*words: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, *words], cwd=cwd, env=os.environ | env | more, timeout=SECONDS,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


def recorded(done: subprocess.CompletedProcess[str], address: str) -> tuple[Any, set[str]]:
    """The run that RUN has printed, and the paths of its artifacts."""
    assert done.returncode == 0, done.stderr
    client = mlflow.MlflowClient(address)
    run_id = done.stdout.split()[-1]
    return client.get_run(run_id), set(artifacts(client, run_id))


def artifacts(client: Any, run_id: str, folder: str | None = None) -> Iterator[str]:
    for one in client.list_artifacts(run_id, folder):
        yield from artifacts(client, run_id, one.path) if one.is_dir else [one.path]


def needed() -> dict[str, str]:
    """By command what the document says that it needs."""
    rows = re.findall(r"^\| `mlflow-dvc (.+)` \| `(pip install \S+)` \|$", SECTION, re.M)
    return {name: need for names, need in rows for name in names.split("` `")}


@pytest.mark.slim
def test_frozen_record(pipeline: Project, tmp_path: Path, mlflow_server: str, slim: Call):
    """Without git, DVC and a repository, a run has all that was frozen, and nothing is logged."""
    pipeline.write("src/train.py", "# changed\n" + (pipeline.root / "src/train.py").read_text())
    image = tmp_path / "image"
    image.mkdir()
    (image / "run.py").write_text(RUN)
    assert pipeline.cli("snapshot", "-o", str(image / "record.json")).returncode == 0
    python = os.path.dirname(os.environ.get("SLIM_PYTHON", ""))
    done = slim("run.py", cwd=image, MLFLOW_DVC_SNAPSHOT="record.json", PATH=python)
    run, files = recorded(done, mlflow_server)
    assert "mlflow-dvc" not in done.stderr
    tags = run.data.tags
    assert tags["git_sha"] == pipeline.git("rev-parse", "HEAD")
    assert tags["dvc.out.data/prepared.csv"] == pipeline.lock()["data/prepared.csv"]
    assert files >= {f"dvc/{name}" for name in ("snapshot.json", "code.patch", "record.md")}
    page = mlflow.MlflowClient(mlflow_server).download_artifacts(
        run.info.run_id, "dvc/report.html", str(tmp_path)
    )
    assert "<svg" in Path(page).read_text("utf-8")


@pytest.mark.slim
def test_repository(pipeline: Project, mlflow_server: str, slim: Call):
    """In a repository, without DVC, a run has code and data; the log says that nobody looked."""
    pipeline.write("run.py", RUN)
    done = slim("run.py", cwd=pipeline.root)
    run, files = recorded(done, mlflow_server)
    [line] = [line for line in done.stderr.splitlines() if "mlflow-dvc" in line]
    assert "DVC is not installed here. Install it: pip install dvc" in line
    assert run.data.tags["dvc.data_status"] == "unverified"
    assert run.data.tags["dvc.out.data/prepared.csv"] == pipeline.lock()["data/prepared.csv"]
    assert files >= {"dvc/snapshot.json", "dvc/code.patch", "dvc/report.html"}
    assert {one.dataset.name for one in run.inputs.dataset_inputs} >= {"data/raw.csv"}


@pytest.mark.slim
def test_commands(pipeline: Project, mlflow_server: str, slim: Call, tmp_path: Path):
    """Each command tells what it tells elsewhere, or says in a sentence what to install, as the
    document has it."""
    assert CALLS.keys() == cli.commands.keys()
    env = {"MLFLOW_TRACKING_URI": mlflow_server, "MLFLOW_EXPERIMENT_NAME": f"s {tmp_path.name}"}
    python = os.path.dirname(os.environ.get("SLIM_PYTHON", ""))
    path = os.pathsep.join([python, os.environ["PATH"]])
    pipeline.dvc("repro", "--force", "--single-item", "train", **env, PATH=path)
    pipeline.commit("trained")
    client = mlflow.MlflowClient(mlflow_server)
    experiment = client.get_experiment_by_name(env["MLFLOW_EXPERIMENT_NAME"])
    [run] = client.search_runs([experiment.experiment_id])
    assert run.data.tags["dvc.stage"] == "train"
    lacking = {}
    for name, words in CALLS.items():
        given = [run.info.run_id if word == "RUN" else word for word in words]
        done = slim("-m", "mlflow_dvc", name, *given, cwd=pipeline.root)
        assert "Traceback" not in done.stderr, done.stderr
        if "is not installed" in done.stderr:
            assert done.returncode == 2, name
            lacking[name] = done.stderr.strip().rpartition("\n")[2].removeprefix("Install it: ")
        elif name in READ_ONLY:
            assert done.stdout == pipeline.cli(name, *given, **env).stdout
    assert lacking == needed()


@pytest.fixture
def lacking(tmp_path: Path) -> dict[str, str]:
    """An environment in which these are not installed, in the words of Python itself."""
    for name in ("rich", "grandalf", "detect_secrets"):
        path = tmp_path / f"lacking/{name}/__init__.py"
        path.parent.mkdir(parents=True)
        path.write_text(f"raise ModuleNotFoundError('no module', name={name!r})\n")
    return {"PYTHONPATH": str(tmp_path / "lacking")}


@pytest.mark.fresh
def test_command_without_its_package(pipeline: Project, lacking: dict[str, str]):
    """A command whose package is missing says which one to install: naive is a traceback."""
    done = pipeline.cli("status", **lacking)
    said = "Error: rich is not installed here.\nInstall it: pip install rich\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.fresh
def test_run_without_packages(pipeline: Project, tracking_uri: str, lacking: dict[str, str]):
    """A run has its record, but no code that nobody has searched, and no drawing."""
    pipeline.write("run.py", RUN)
    done = pipeline.call(PYTHON, "run.py", **lacking)
    run, files = recorded(done, tracking_uri)
    assert "detect-secrets is not installed here" in done.stderr
    assert "could not" not in done.stderr.replace("could not be searched", "")
    assert "dvc/code.patch" not in files
    folder = str(pipeline.root.parent)
    page = mlflow.MlflowClient().download_artifacts(run.info.run_id, "dvc/report.html", folder)
    assert "not drawn: grandalf was not installed" in Path(page).read_text("utf-8")


def test_lines_are_our_requirements():
    """The lines install what setup.py requires, less DVC and with the small MLflow."""
    setup = (ROOT / "setup.py").read_text("utf-8")
    required = set(
        re.findall(r'"([\w-]+)>=', setup.partition("install_requires=[")[2].partition("]")[0])
    )
    first, second = re.findall(r"^\$ pip install (.+)$", SECTION, re.M)
    assert set(first.split()) == required - {"mlflow", "dvc", "dvc-data"} | {"mlflow-skinny"}
    assert second.split() == ["--no-deps", "mlflow-dvc"]
