"""Models that are logged without a run (MLflow 3): their record is their own, and complete."""

from __future__ import annotations

import sys
from itertools import product

import mlflow
import pytest
from conftest import Project, few

from mlflow_dvc import tags as tag
from mlflow_dvc.record import inputs
from mlflow_dvc.record.lifecycle import registry

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.skipif(
        not hasattr(mlflow, "create_external_model"), reason="logged models came with MLflow 3"
    ),
]

HEAD = "import os, mlflow\n"
# Each prints the id of its model.
WAYS = {
    "log_model": HEAD
    + "class M(mlflow.pyfunc.PythonModel):\n"
    + "    def predict(self, context, model_input): return model_input\n"
    + "model = mlflow.pyfunc.log_model(name='m', python_model=M(), pip_requirements=[])\n"
    + "print(model.model_id)\n",
    "initialize": HEAD + "print(mlflow.initialize_logged_model(name='m').model_id)\n",
    "external": HEAD + "print(mlflow.create_external_model(name='m').model_id)\n",
    "client": HEAD
    + "made = mlflow.MlflowClient().create_logged_model(os.environ['MLFLOW_EXPERIMENT_ID'], 'm')\n"
    + "print(made.model_id)\n",
    "active": HEAD + "print(mlflow.set_active_model(name='m').model_id)\n",
    "failed": HEAD
    + "print(mlflow.initialize_logged_model(name='m').model_id, flush=True)\nraise SystemExit(3)\n",
}


def tags_of(model_id: str) -> dict[str, str]:
    return tag.own_tags(mlflow.get_logged_model(model_id).tags)


@pytest.fixture
def here(pipeline: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(pipeline.root)
    return pipeline


@pytest.mark.parametrize(
    ("tracking_uri", "way"),
    few(
        ("sqlite", "log_model"), ("sqlite", "failed"), ("file", "client"),
        of=product(("sqlite", "file"), WAYS),
    ),
    indirect=["tracking_uri"],
)  # fmt: skip
def test_alone(pipeline: Project, way: str):
    """A model without a run has what a run has when the process ends; naive is ``unverified``."""
    pipeline.git("tag", "dataset-v1")
    pipeline.write("model.py", WAYS[way])
    done = pipeline.call(sys.executable, "-W", "ignore", "model.py")
    assert "mlflow-dvc" not in done.stderr
    tags = tags_of(next(word for word in done.stdout.split() if word.startswith("m-")))
    assert tags["git_sha"] == pipeline.git("rev-parse", "HEAD")
    assert tags["git_describe"] == "dataset-v1"
    assert tags["git_dirty"] == "true", "model.py is new"
    assert tags["dvc.data_status"] == "clean"
    assert tags["dvc.out.data/prepared.csv"] == pipeline.lock()["data/prepared.csv"]


def test_on_changed_data(pipeline: Project):
    """The data of a model without a run is looked at as that of a run."""
    pipeline.write("data/raw.csv", "a,b\n5,6\n")
    (pipeline.root / "data/prepared.csv").unlink()
    pipeline.write("model.py", WAYS["initialize"])
    tags = tags_of(pipeline.python("model.py").split()[-1])
    assert tags["dvc.modified"] == "data/raw.csv"
    assert tags["dvc.missing"] == "data/prepared.csv"


def test_known_when_it_is_final(here: Project):
    """What is known of a model stands in it as soon as MLflow calls it ready."""
    here.write("data/raw.csv", "a,b\n5,6\n")
    model = mlflow.create_external_model(name="m")
    assert tags_of(model.model_id)["dvc.modified"] == "data/raw.csv"


def test_like_a_run(here: Project):
    """A run and a model that were begun on the same code and data have the same record."""
    with mlflow.start_run() as run:
        pass
    model = mlflow.create_external_model(name="m")
    assert tags_of(model.model_id) == tag.own_tags(mlflow.get_run(run.info.run_id).data.tags)


def test_users_tags_win(here: Project):
    """A tag that the user gives a model under a name of ours is not overwritten, now or later."""
    mine = {"git_sha": "mine", "dvc.data_status": "good"}
    model = mlflow.create_external_model(name="m", tags=mine)
    tags = tags_of(model.model_id)
    assert {key: tags[key] for key in mine} == mine
    assert tags["git_dirty"] == "false"


def test_of_a_stage(pipeline: Project):
    """Under ``dvc repro`` a model without a run is sealed with what its stage has made."""
    train = (pipeline.root / "src/train.py").read_text()
    rest = train[train.index('Path("models")') :]
    pipeline.write("src/train.py", WAYS["initialize"] + "from pathlib import Path\n" + rest)
    pipeline.dvc("repro", "train")
    [model] = mlflow.search_logged_models(output_format="list")
    tags = tag.own_tags(model.tags)
    assert tags["dvc.seal"] == "provisional"
    assert tags["dvc.out.models/model.txt"] == pipeline.lock()["models/model.txt"]


def test_no_inputs_of_its_own(here: Project):
    """A model without a run is given no inputs: MLflow has none for models."""
    model = mlflow.create_external_model(name="m")
    record = registry.get(model.model_id)
    assert record
    inputs.log_inputs(record)
    assert record.inputs == []


def test_deleted_meanwhile(pipeline: Project):
    """A model that was deleted before the process ends is left alone, without a word."""
    pipeline.write("data/raw.csv", "a,b\n5,6\n")
    script = HEAD + (
        "from mlflow_dvc.record.lifecycle import worker\n"
        "model = mlflow.initialize_logged_model(name='m')\nworker.wait(model.model_id)\n"
        "mlflow.MlflowClient().delete_logged_model(model.model_id)\n"
    )
    pipeline.write("model.py", script)
    pipeline.python("model.py")


def test_a_copy_keeps_its_record(here: Project):
    """A model that a tool copies from elsewhere keeps that one's record, and gets none of ours."""
    theirs = {
        "git_sha": "f" * 40,
        "dvc.data_version": "abcdef012345",
        "dvc.data_status": "clean",
        "dvc.seal": "none",
    }
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("tests").experiment_id
    copy = client.create_logged_model(experiment, "copy", tags=theirs)
    assert tags_of(copy.model_id) == theirs


def test_off(here: Project, monkeypatch: pytest.MonkeyPatch):
    """With the plugin off a model has none of our tags."""
    monkeypatch.setenv("MLFLOW_DVC_ENABLED", "0")
    assert tags_of(mlflow.create_external_model(name="m").model_id) == {}


def test_trace_without_a_run(pipeline: Project):
    """A trace leads to the record by the active model, and asks nothing of its own: MLflow offers
    no place for more."""
    pipeline.write(
        "service.py",
        HEAD + "import mlflow_dvc.capture.workspace as workspace\n"
        "model = mlflow.create_external_model(name='app')\n"
        "mlflow.set_active_model(model_id=model.model_id)\n"
        "@mlflow.trace\n"
        "def answer(): return 1\n"
        "answer()\n"
        "asked, real = [], workspace.capture_run\n"
        "workspace.capture_run = lambda: asked.append(1) or real()\n"
        "for _ in range(20): answer()\n"
        "mlflow.flush_trace_async_logging()\n"
        "trace = mlflow.get_trace(mlflow.get_last_active_trace_id())\n"
        "print('MODEL', trace.info.trace_metadata['mlflow.modelId'], len(asked))\n",
    )
    shown = pipeline.call(sys.executable, "-W", "ignore", "service.py")
    assert shown.returncode == 0, shown.stderr
    [line] = [line for line in shown.stdout.splitlines() if line.startswith("MODEL")]
    _, model_id, asked = line.split()
    assert asked == "0"
    tags = tags_of(model_id)
    assert tags["git_sha"] == pipeline.git("rev-parse", "HEAD")
    assert tags["dvc.data_status"] == "clean"
