"""Programs as the users of libraries write them, each started as its user starts it: their record.

They are those of examples/clients, and none of them names this package.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import Project, few, missing

import mlflow_dvc

pytestmark = [pytest.mark.libraries, pytest.mark.fresh]

EXAMPLES = Path(__file__).parents[2] / "examples/clients"
DATA = "data/train.csv"
ADDRESS = "https://git.example.com/churn"
# Nothing that these libraries would ask the network for, or tell it.
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "JUPYTER_PLATFORM_DIRS": "1",
}


@dataclass(frozen=True)
class Client:
    """How a program is started, below which folder, and what its record says.

    ``prints`` ends its output. ``nruns`` have no parent, ``nchildren`` have one. ``status`` is that
    of data which was changed. ``code`` is the file of the program.
    """

    command: str
    prints: str
    reads: str = "observed"
    nruns: int = 1
    nchildren: int = 0
    code: str = ""
    folder: str = "."
    status: str = "modified"

    @property
    def program(self) -> str:
        return self.code or next(word for word in self.command.split() if word.endswith(".py"))


CLIENTS = {
    "sklearn": Client("python train_sklearn.py", "accuracy 0.917", nchildren=3),
    "xgboost": Client("python train_xgboost.py", "loss 0.178"),
    "lightgbm": Client("python train_lightgbm.py", "loss 0.360"),
    "lightning": Client(
        "python train_lightning.py", "loss 0.396", reads="partial: line 46 of train_lightning.py"
    ),
    "transformers": Client(
        "python train_transformers.py", "loss 0.692", reads="partial: line 8 of"
    ),
    "optuna": Client("python train_optuna.py", "accuracy 0.917", nchildren=4),
    "ray": Client("python train_ray.py", "accuracy 0.917", reads="partial: the program", nruns=2),
    "ray, a run in each trial": Client(
        "python train_ray_trials.py", "accuracy 0.917", reads="partial: ", nruns=2
    ),
    "hydra": Client("python train_hydra.py -m C=0.1,10.0", "accuracy 0.917", nruns=2),
    "kedro": Client("kedro run", "accuracy 0.917", code="kedro/src/churn/pipeline_registry.py",
                    folder="kedro"),
    "mlflow run": Client("mlflow run . --env-manager local", "accuracy 0.917", nchildren=3,
                         code="train_sklearn.py"),
    "papermill": Client("papermill train.ipynb result.ipynb -p strength 10.0", "",
                        code="train.ipynb"),
    "jupyter": Client("jupyter execute --inplace train.ipynb", "", code="train.ipynb"),
    "joblib": Client("python train_joblib.py", "accuracy 0.917"),
    "multiprocessing": Client("python train_multiprocessing.py", "accuracy 0.917", nchildren=3),
    "torchrun": Client("torchrun --nproc-per-node 2 train_torchrun.py", "loss 0.386",
                       reads="partial: other processes of the same job"),
    "dvc repro": Client("dvc repro", "accuracy 0.917", code="train_stage.py", status="clean"),
}  # fmt: skip


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are those of the environment with the libraries, and with this package."""
    python = os.environ.get("LIBRARIES_PYTHON") or missing("LIBRARIES_PYTHON is not set")
    monkeypatch.setenv("PATH", os.pathsep.join([os.path.dirname(python), os.environ["PATH"]]))
    for name, value in (OFFLINE | {"MLFLOW_DVC_STRICT": "1"}).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def churn(make_project: Callable[..., Project], tracking_uri: str, libraries: None) -> Project:
    """The examples, their data tracked by DVC, all committed."""
    project = make_project()
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(EXAMPLES, project.root, dirs_exist_ok=True, ignore=ignored)
    project.dvc("add", "--quiet", DATA)
    project.commit("churn")
    return project


def start(project: Project, client: Client) -> str:
    """Start a program; it ends well, and we have nothing to say. Returns its output."""
    done = project.call(*client.command.split(), cwd=project.root / client.folder)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "mlflow-dvc" not in said
    logs = [path for path in project.root.rglob("*.log") if ".dvc" not in path.parts]
    assert not [path for path in logs if "mlflow-dvc" in path.read_text()]
    return done.stdout


def hash_of(project: Project) -> str:
    return hashlib.md5((project.root / DATA).read_bytes()).hexdigest()


def ours(run: Any, *names: str) -> list[str | None]:
    return [run.data.tags.get(name) for name in names]


def dvc_inputs(run: Any) -> dict[str, str]:
    inputs = run.inputs.dataset_inputs
    return {
        one.dataset.name: one.dataset.digest for one in inputs if one.dataset.source_type == "dvc"
    }


def record_of(runs: list[Any], run: Any, attached: Any) -> dict[str, bytes]:
    """The files of a run, or of its parent where it has none of its own."""
    files = attached(run.info.run_id)
    parent = run.data.tags.get("mlflow.parentRunId")
    if files or parent is None:
        return files
    return attached(parent)


@pytest.mark.parametrize("name", CLIENTS)
def test_record(churn: Project, runs: Any, attached: Any, name: str):
    """Each run of a library's program has the commit, clean code, the data and its version; what
    the library writes into the project does not make the code dirty."""
    client = CLIENTS[name]
    version = mlflow_dvc.status(str(churn.root)).data_version
    assert client.prints in start(churn, client)
    found = runs()
    children = [run for run in found if "mlflow.parentRunId" in run.data.tags]
    assert (len(found) - len(children), len(children)) == (client.nruns, client.nchildren)
    for run in found:
        assert run.info.status == "FINISHED"
        assert ours(run, "git_sha", "git_dirty") == [churn.git("rev-parse", "HEAD"), "false"]
        assert ours(run, f"dvc.out.{DATA}", "dvc.data_status") == [hash_of(churn), "clean"]
        assert ours(run, "dvc.data_version") == [version]
        assert dvc_inputs(run) == {DATA: hash_of(churn)}
        assert run.data.tags["dvc.reads"].startswith(client.reads)
        assert "snapshot.json" in record_of(found, run, attached)


# CI changes one of each kind: a process, threads, notebooks, a folder below, a stage, workers.
@pytest.mark.parametrize(
    "name",
    few("hydra", "joblib", "jupyter", "kedro", "optuna", "papermill", "dvc repro", of=CLIENTS),
)
def test_changed(churn: Project, runs: Any, attached: Any, name: str):
    """Of changed data the record has the new hash and another version, and the patch has the
    program's change."""
    client = CLIENTS[name]
    version = mlflow_dvc.status(str(churn.root)).data_version
    text = (churn.root / client.program).read_text()
    is_notebook = client.program.endswith(".ipynb")
    changed = text.replace("strength = 1.0", "strength = 1.5") if is_notebook else text + "# new\n"
    churn.write(client.program, changed)
    churn.write(DATA, (churn.root / DATA).read_text() + "0.5,0.5,1\n")
    start(churn, client)
    for run in (found := runs()):
        assert ours(run, "git_dirty", "dvc.data_status") == ["true", client.status]
        assert ours(run, f"dvc.out.{DATA}") == [hash_of(churn)]
        assert dvc_inputs(run) == {DATA: hash_of(churn)}
        [other] = ours(run, "dvc.data_version")
        assert re.fullmatch("[0-9a-f]{12}", other or "")
        assert other != version
        patch = record_of(found, run, attached)["code.patch"].decode()
        assert re.findall(r"^\+\+\+ b/(.*)$", patch, re.M) == [client.program]
    assert found


def held(run: Any, artifacts: Callable[[str], list[Any]]) -> dict[str, Any]:
    """What MLflow has of a run, less what is ours and what is another each time."""
    told = ("mlflow.source.type", "mlflow.source.name", "mlflow.project.entryPoint")
    return {
        "status": run.info.status,
        "params": run.data.params,
        "metrics": {name for name in run.data.metrics if "time" not in name},
        "tags": {name: run.data.tags.get(name) for name in told},
        "inputs": {one.dataset.name for one in run.inputs.dataset_inputs} - {DATA},
        "artifacts": {one.path for one in artifacts(run.info.run_id)} - {"dvc"},
    }


def lines(done: Any) -> list[str]:
    """What a program printed, less what is another each time: ids, times, durations."""
    said = (done.stdout + done.stderr).splitlines()
    return sorted({re.sub(r"\b[0-9a-f]{32}\b|/tmp/\S+|\d[\d:.]*", "", line) for line in said})


@pytest.mark.parametrize("name", few("joblib", of=["joblib", "torchrun", "xgboost"]))
def test_undisturbed(churn: Project, runs: Any, name: str):
    """With this package and without it a program prints the same and has the same runs."""
    client = CLIENTS[name]
    words, folder = client.command.split(), churn.root / client.folder
    apart = churn.call(*words, cwd=folder, MLFLOW_DVC_ENABLED="0")
    without = runs()
    beside = churn.call(*words, cwd=folder)
    ids = {run.info.run_id for run in without}
    with_us = [run for run in runs() if run.info.run_id not in ids]
    assert apart.returncode == beside.returncode == 0
    assert lines(beside) == lines(apart)
    artifacts = mlflow.MlflowClient().list_artifacts
    assert [held(run, artifacts) for run in with_us] == [held(run, artifacts) for run in without]
    assert not any("dvc.data_version" in run.data.tags for run in without)
    assert all("dvc.data_version" in run.data.tags for run in with_us)


def test_workers_of_a_loader(churn: Project, runs: Any, attached: Any):
    """Where MLflow is imported first, the reads of a DataLoader's workers are seen, as theirs."""
    program = (churn.root / "train_lightning.py").read_text()
    churn.write("train_lightning.py", program.replace("import csv", "import csv\n\nimport mlflow"))
    churn.commit("MLflow first")
    start(churn, CLIENTS["lightning"])
    [run] = runs()
    assert run.data.tags["dvc.reads"] == "observed"
    snapshot = json.loads(attached(run.info.run_id)["snapshot.json"])
    assert [(one["path"], one["by"]) for one in snapshot["reads"]["data"]] == [(DATA, "worker")]


def test_git_address(churn: Project, runs: Any, tmp_path: Path):
    """``mlflow run`` of a git address clones the code, and the entry point has DVC bring the data:
    the record is that of the clone, whatever the working directory is."""
    churn.dvc("remote", "add", "--quiet", "--default", "storage", str(tmp_path / "storage"))
    churn.dvc("push", "--quiet", DATA)
    commit = churn.commit("remote")
    churn.git("config", "--global", f"url.{churn.root}.insteadOf", ADDRESS)  # stands for a host
    churn.write(DATA, "not of the commit\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = ("--version", "main", "--entry-point", "fetched", "--env-manager", "local")
    churn.run("mlflow", "run", ADDRESS, *words, cwd=elsewhere)
    found = runs()
    assert len(found) == 4
    for run in found:
        assert ours(run, "git_sha", "git_dirty", "dvc.data_status") == [commit, "false", "clean"]
        assert dvc_inputs(run) == {DATA: hashlib.md5((EXAMPLES / DATA).read_bytes()).hexdigest()}


def test_queue(churn: Project, runs: Any, attached: Any):
    """Each experiment of a queue has what was there when it was queued: commit, data and program;
    a parameter that DVC sets is no change of the code."""
    commit, before = churn.git("rev-parse", "HEAD"), hash_of(churn)
    churn.run(*["dvc", "exp", "run", "--queue", "-S", "C=0.1,1.0"])
    churn.write(DATA, (churn.root / DATA).read_text() + "0.5,0.5,1\n")
    churn.write("train_stage.py", (churn.root / "train_stage.py").read_text() + "# new\n")
    churn.run(*["dvc", "exp", "run", "--queue", "-S", "C=10.0"])
    churn.run("dvc", "queue", "start")  # the worker holds our pipes: this waits for its end
    assert churn.run("dvc", "queue", "status").count("Success") == 3
    told = {run.data.params["C"]: (run, dvc_inputs(run)) for run in runs()}
    assert [told[c][1] for c in ("0.1", "1.0", "10.0")] == [
        {DATA: before}, {DATA: before}, {DATA: hash_of(churn)},
    ]  # fmt: skip
    for c, (run, _) in told.items():
        dirty = "true" if c == "10.0" else "false"
        assert ours(run, "git_sha", "git_dirty", "dvc.stage") == [commit, dirty, "train"]
        assert ours(run, "dvc.reads", "dvc.data_status") == ["observed", "clean"]
        assert run.data.tags["dvc.out.model.txt"]
        assert "snapshot.json" in attached(run.info.run_id)
    versions = {run.data.tags["dvc.data_version"] for run, _ in told.values()}
    assert len(versions) == 2
