"""Runs that do and do not meet the rules of a policy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import PYTHON, Project, environment, lay_out, make_home

TRAIN = """\
import json, sys
from pathlib import Path

import mlflow

with mlflow.start_run(run_name=sys.argv[1] if sys.argv[1:] else None):
    text = Path("data/prepared.csv").read_text()
    for path in sys.argv[2:]:
        Path(path).read_text()
    mlflow.log_metric("accuracy", 0.9)
    mlflow.log_metric("loss", float("nan"))
    mlflow.log_text("a model", "model/MLmodel")
Path("models").mkdir(exist_ok=True)
Path("models/model.txt").write_text("model of " + text)
Path("metrics.json").write_text('{"x": 1}')
"""


@pytest.fixture(scope="session")
def told(shared: Callable[..., Path], started: Path, empty_database: Path) -> Project:
    """A project with remotes, and runs that do and do not meet the rules; nothing changes it."""

    def make(home: Path) -> None:
        make_home(home)
        shutil.copy(empty_database, home)
        shutil.copytree(started, home / "project")
        tell(of(home), home)

    def of(home: Path) -> Project:
        server = {"MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}"}
        return Project(home / "project", environment(home) | server)

    return of(shared("policy", make))


def tell(project: Project, home: Path) -> None:
    def train(name: str, *reads: str) -> None:
        command = " ".join(["python src/train.py", name, *reads])
        text = (project.root / "dvc.yaml").read_text()
        before = next(line for line in text.splitlines() if "python src/train.py" in line)
        project.write("dvc.yaml", text.replace(before, f"    cmd: {command}"))
        project.commit(f"call it {name}")
        project.dvc("repro", "train")
        project.commit("its lock")

    def push() -> None:
        project.git("push", "--quiet", "origin", "main")
        project.dvc("push", "--quiet")

    lay_out(project)
    project.write("src/train.py", TRAIN)
    project.git("init", "--quiet", "--bare", str(home / "origin.git"))
    project.git("remote", "add", "origin", str(home / "origin.git"))
    project.dvc("remote", "add", "--quiet", "--default", "store", str(home / "store"))
    project.commit("train")
    train("good")
    train("curious", "data/raw.csv")
    push()
    project.python("src/train.py", "by_hand")
    project.call(PYTHON, "-c", TRAIN, "inline")
    project.write("src/train.py", TRAIN + "# changed\n")
    project.python("src/train.py", "dirty")
    project.git("checkout", "--quiet", "src/train.py")
    project.write("data/prepared.csv", "by hand")
    project.python("src/train.py", "modified")
    project.dvc("checkout", "--quiet", "--force", "prepare")
    project.python("src/train.py", "unrecorded", MLFLOW_DVC_ENABLED="0")
    project.write("data/raw.csv", "a,b\n5,6\n")
    project.dvc("add", "--quiet", "data/raw.csv")
    train("unpushed")


@pytest.fixture
def policy_project(told: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """That project as the working directory, with a copy of the store."""
    shutil.copy(told.env["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    monkeypatch.chdir(told.root)
    for name, value in (told.env | store).items():
        monkeypatch.setenv(name, value)
    return Project(told.root, told.env | store)


@pytest.fixture
def named(policy_project: Project) -> Callable[[str], Any]:
    """``named("good")``: the run of that name."""
    import mlflow

    client = mlflow.MlflowClient(policy_project.env["MLFLOW_TRACKING_URI"])
    runs = {run.info.run_name: run for run in client.search_runs(["0"])}
    return lambda name: runs[name]
