"""What could not be written of a record in time: kept, and written by the next run or by `sync`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import Project

FILES = {"dvc.lock", "dvc.yaml", "snapshot.json", "record.md", "report.html"}


def kept(project: Project) -> list[Path]:
    home = Path((project.env or os.environ).get("HOME", os.environ["HOME"]))
    return sorted(home.joinpath(".cache/mlflow-dvc/leftovers").glob("*"))


@pytest.fixture
def store(pipeline: Project, tmp_path: Path, monkeypatch) -> Path:
    """Where an experiment has its artifacts: a file lies in their place, so that none can be."""
    place = tmp_path / "artifacts-of-another"
    place.write_text("not a directory")
    experiment = mlflow.MlflowClient().create_experiment("late", place.as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    return place


def failed_run(pipeline: Project, runs: Callable[[], list[Any]]) -> Any:
    done = pipeline.call("python", "run.py")
    assert done.returncode == 0, done.stderr
    assert "is kept" in done.stderr
    [run] = runs()
    assert run.info.status == "FINISHED"
    assert len(kept(pipeline)) == 1
    return run


def test_by_the_next_run(pipeline: Project, runs, attached, store: Path):
    """The next run of the project writes what the store did not take, and nothing is left."""
    first = failed_run(pipeline, runs)
    store.unlink()
    pipeline.python("run.py")
    assert attached(first.info.run_id).keys() >= FILES
    assert kept(pipeline) == []


def test_by_sync(pipeline: Project, runs, attached, store: Path):
    """`mlflow-dvc sync` writes it as well, and says of which run; while it cannot it is kept."""
    first = failed_run(pipeline, runs)
    assert pipeline.cli("sync").returncode == 2
    assert len(kept(pipeline)) == 1
    store.unlink()
    done = pipeline.cli("sync")
    assert "completed" in done.stdout
    assert first.info.run_name in done.stdout
    assert attached(first.info.run_id).keys() >= FILES
    assert kept(pipeline) == []


def test_of_this_project_alone(pipeline: Project, make_project, runs, attached, store: Path):
    """A run of another project leaves it alone."""
    first = failed_run(pipeline, runs)
    store.unlink()
    other = make_project("other")
    other.write("run.py", (pipeline.root / "run.py").read_text())
    other.python("run.py")
    assert attached(first.info.run_id) == {}
    assert len(kept(pipeline)) == 1


def test_tags_of_the_user_stay(pipeline: Project, runs, store: Path):
    """What the user has set meanwhile is not overwritten, and a run that is gone costs nothing."""
    first = failed_run(pipeline, runs)
    with_tag = mlflow.MlflowClient()
    with_tag.set_tag(first.info.run_id, "git_dirty", "mine")
    store.unlink()
    pipeline.python("run.py")
    assert mlflow.get_run(first.info.run_id).data.tags["git_dirty"] == "mine"


def test_deleted(pipeline: Project, runs, store: Path):
    """What is kept of a run that was deleted is forgotten."""
    first = failed_run(pipeline, runs)
    mlflow.MlflowClient().delete_run(first.info.run_id)
    store.unlink()
    pipeline.python("run.py")
    assert kept(pipeline) == []
