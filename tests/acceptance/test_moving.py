"""Records after a move: of the tracking server, of a DVC remote, of the git repository."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import Project, few
from remotes import S3

import mlflow_dvc
from mlflow_dvc.datasets.source import DvcDatasetSource
from mlflow_dvc.recall.locate import locate_project
from mlflow_dvc.recall.stored_record import load_record

pytestmark = pytest.mark.hosts

MODEL, PREPARED = "models/model.txt", "data/prepared.csv"
MOVING = Path(__file__).parents[2] / "docs/moving.md"


@pytest.fixture
def here(pipeline: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A run of a stage, its data on a remote that is a folder, its code in a repository."""
    monkeypatch.chdir(pipeline.root)
    pipeline.dvc("remote", "add", "--quiet", "--default", "nfs", str(tmp_path / "nfs"))
    origin = str(tmp_path / "git/old/project.git")
    pipeline.git("init", "--quiet", "--bare", "--initial-branch=main", origin)
    pipeline.git("remote", "add", "origin", origin)
    pipeline.commit("remotes")
    pipeline.git("push", "--quiet", "--set-upstream", "origin", "main")
    pipeline.dvc("repro", "--quiet", "--force", "--single-item", "train")
    pipeline.dvc("push", "--quiet")
    pipeline.commit("reproduced")
    pipeline.git("push", "--quiet")
    assert pipeline.cli("sync").returncode == 0
    return pipeline


def only(runs: Callable[[], list[Any]]) -> Any:
    [run] = runs()
    return run


def faults(found: mlflow_dvc.Verified | mlflow_dvc.Restored) -> dict[str, str]:
    return {item.name: item.reason for item in found.items if item.verdict != "PASS"}


def told(uri: str, run: Any) -> dict[str, Any]:
    """What is said of a run, less what a server gives to it."""
    run_id = run.info.run_id
    nodes = mlflow_dvc.lineage(run_id, tracking_uri=uri).nodes
    found = mlflow_dvc.search(PREPARED, tracking_uri=uri)
    return {
        "show": mlflow_dvc.show(run_id, tracking_uri=uri).snapshot,
        "verify": mlflow_dvc.verify(run_id, tracking_uri=uri)[0].items,
        "search": run_id in [one.run_id for one in found],
        "lineage": sorted((node.kind, node.name) for node in nodes),
        "inputs": [
            (one.dataset.digest, one.dataset.schema, {tag.key: tag.value for tag in one.tags})
            for one in run.inputs.dataset_inputs
        ],
    }


# --- the tracking server --------------------------------------------------------------------------


def test_another_server(here: Project, tracking_uri: str, runs, tmp_path: Path, empty_database):
    """Runs that were copied as the page says answer as before, under their new ids."""
    [code] = re.findall(r"```python\n(.*?)```", MOVING.read_text("utf-8"), re.DOTALL)
    shutil.copy(empty_database, tmp_path / "there.db")
    there = f"sqlite:///{tmp_path}/there.db"
    other = mlflow.MlflowClient(there)
    artifacts = (tmp_path / "moved").as_uri()
    with mlflow.start_run() as outer, mlflow.start_run(nested=True):
        mlflow.log_metric("x", 2)
    before = {run.info.run_name: run for run in runs()}
    other.create_experiment("tests", artifact_location=artifacts)
    script = str(here.write("move.py", code))
    said = here.call("python", script, tracking_uri, there, "tests")
    assert said.returncode == 0, said.stderr
    (here.root / "move.py").unlink()
    [experiment] = [one for one in other.search_experiments() if one.name == "tests"]
    after = {run.info.run_name: run for run in other.search_runs([experiment.experiment_id])}
    assert after.keys() == before.keys()
    for name, run in before.items():
        assert after[name].info.run_id != run.info.run_id
        assert after[name].data.metrics == run.data.metrics
        assert after[name].info.start_time == run.info.start_time
        if outer.info.run_id not in (run.info.run_id, run.data.tags.get("mlflow.parentRunId")):
            assert told(there, after[name]) == told(tracking_uri, run)
    moved_outer = after[before_name(before, outer.info.run_id)]
    [inner] = [run for run in after.values() if "mlflow.parentRunId" in run.data.tags]
    assert inner.data.tags["mlflow.parentRunId"] == moved_outer.info.run_id
    [run] = [run for run in after.values() if "dvc.stage" in run.data.tags]
    back = mlflow_dvc.restore(run.info.run_id, str(tmp_path / "back"), tracking_uri=there)
    assert faults(back) == {}
    assert (tmp_path / "back" / MODEL).read_bytes() == (here.root / MODEL).read_bytes()


def before_name(found: dict[str, Any], run_id: str) -> str:
    return next(name for name, run in found.items() if run.info.run_id == run_id)


# --- a DVC remote ---------------------------------------------------------------------------------


def move_remote(project: Project, s3: S3, tmp_path: Path) -> None:
    """Everything goes to S3, the settings with it; the folder and all copies here are no more."""
    s3.configure(project)
    s3.push(project)
    project.dvc("remote", "remove", "nfs")
    project.commit("another remote")
    project.git("push", "--quiet")
    shutil.rmtree(tmp_path / "nfs")
    shutil.rmtree(project.root / ".dvc/cache")
    for path in (MODEL, PREPARED):
        (project.root / path).unlink()


def test_remote_moved(here: Project, runs, s3: S3, tmp_path: Path):
    """Inside the project an older run has its data from the remote of today."""
    run = only(runs)
    model = (here.root / MODEL).read_bytes()
    move_remote(here, s3, tmp_path)
    assert faults(mlflow_dvc.verify(run.info.run_id)[0]) == {}
    assert faults(mlflow_dvc.restore(run.info.run_id, str(tmp_path / "back"))) == {}
    assert (tmp_path / "back" / MODEL).read_bytes() == model
    [entry] = run.inputs.dataset_inputs
    loaded = mlflow.data.get_source(entry).load(str(tmp_path / "loaded"))
    assert Path(loaded).read_text() == "a,b\n1,2\n" * 2


def test_remote_moved_outside(here: Project, runs, s3: S3, tmp_path: Path, monkeypatch):
    """Outside of the project the repository tells where its remote is today."""
    run = only(runs)
    model = (here.root / MODEL).read_bytes()
    move_remote(here, s3, tmp_path)
    shutil.rmtree(here.root)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    [entry] = run.inputs.dataset_inputs
    source = mlflow.data.get_source(entry)
    assert isinstance(source, DvcDatasetSource)
    assert source.remote == str(tmp_path / "nfs")
    assert Path(source.load(str(tmp_path / "loaded"))).read_text() == "a,b\n1,2\n" * 2
    assert faults(mlflow_dvc.verify(run.info.run_id)[0]) == {}
    assert faults(mlflow_dvc.restore(run.info.run_id, str(tmp_path / "back"))) == {}
    assert (tmp_path / "back" / MODEL).read_bytes() == model


# --- the git repository ---------------------------------------------------------------------------

PLACES = (
    "https://git.example.org/other/project.git", "https://git.example.org/team/project",
    "http://git.example.org/other/renamed", "ssh://git@git.example.org:2222/other/project.git",
    "git@git.example.org:other/project.git", "git.example.org:project",
    "git://git.example.org/project.git",
)  # fmt: skip


@pytest.mark.parametrize("place", few(PLACES[0], PLACES[4], of=PLACES))
def test_repository_moved(here: Project, runs, tmp_path: Path, monkeypatch, place: str):
    """A clone from another place is the run's, as it has the run's commit."""
    run = only(runs)
    here.git("clone", "--quiet", str(tmp_path / "git/old/project.git"), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.git("remote", "set-url", "origin", place)
    shutil.rmtree(tmp_path / "git")
    monkeypatch.chdir(clone.root)
    assert locate_project(load_record(run.info.run_id)).repository is not None
    assert faults(mlflow_dvc.verify(run.info.run_id)[0]) == {}
    assert faults(mlflow_dvc.restore(run.info.run_id, str(tmp_path / "back"))) == {}
    assert (tmp_path / "back/src/train.py").exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https://old.example.org/team/", "git/new/"),
        ("git@old.example.org:team/", "git/new/"),
        ("ssh://git@old.example.org/team/", "git/new/"),
    ],
)
def test_repository_moved_outside(  # noqa: PLR0917
    here: Project, runs, tmp_path: Path, monkeypatch, old: str, new: str
):  # fmt: skip
    """Outside of the project git's own setting says where the record's address has moved to."""
    here.git("remote", "set-url", "origin", f"{old}project.git")
    here.python("src/train.py")
    run = runs()[-1]
    shutil.move(tmp_path / "git/old", tmp_path / "git/new")
    shutil.rmtree(here.root)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    base = f"{(tmp_path / new).as_uri()}/"
    Project(elsewhere).git("config", "--global", f"url.{base}.insteadOf", old)
    assert mlflow_dvc.show(run.info.run_id).snapshot.git.remote_url == f"{old}project.git"
    assert faults(mlflow_dvc.verify(run.info.run_id)[0]) == {}
    assert faults(mlflow_dvc.restore(run.info.run_id, str(tmp_path / "back"))) == {}
    assert (tmp_path / "back" / PREPARED).read_text() == "a,b\n1,2\n" * 2
