"""The end of a run and of the process: what is written then, whoever ends what, and only once."""

from __future__ import annotations

import json
import sys
from typing import Any

import mlflow
import pytest
from conftest import Project, both_stores, few

pytestmark = pytest.mark.hosts

PAGES = {"record.md", "report.html"}
READ = {"data/raw.csv", "data/prepared.csv", "models/model.txt"}
CREATE = """\
import os
import mlflow
client = mlflow.MlflowClient()
experiment = os.environ["MLFLOW_EXPERIMENT_ID"]
run_id = client.create_run(experiment).info.run_id
"""
# Counts, below the plugin, what each run is sent. The exit hook comes after MLflow's own.
COUNT = """\
import atexit, collections, json, os
atexit.register(lambda: print("SENT", json.dumps(sent), flush=True))
import mlflow
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository as Artifacts
from mlflow.tracking._tracking_service.client import TrackingServiceClient as Service
sent = collections.defaultdict(collections.Counter)
inputs, artifact = Service.log_inputs, Artifacts.log_artifact
def log_inputs(self, run_id, *args, **kwargs):
    sent[run_id]["inputs"] += 1
    return inputs(self, run_id, *args, **kwargs)
def log_artifact(self, local_file, *args, **kwargs):
    run_id = os.path.basename(os.path.dirname(self.artifact_dir))
    sent[run_id][os.path.basename(local_file)] += 1
    return artifact(self, local_file, *args, **kwargs)
Service.log_inputs, Artifacts.log_artifact = log_inputs, log_artifact
"""


def inputs_of(run: Any) -> set[str]:
    return {entry.dataset.name for entry in run.inputs.dataset_inputs}


@both_stores
@pytest.mark.parametrize("changed", [False, True])
def test_nobody_ends_it(pipeline: Project, runs, attached, changed: bool):
    """A run of ``MlflowClient`` that nobody ends has inputs, pages and a status when the process
    has ended: naive is to wait for ``set_terminated``."""
    pipeline.write("run.py", CREATE)
    if changed:
        pipeline.write("data/raw.csv", "a,b\n5,6\n")
    pipeline.python("run.py")
    [run] = runs()
    assert run.info.status == "RUNNING", "its status stays the user's"
    assert run.data.tags["dvc.data_status"] == ("modified" if changed else "clean")
    assert inputs_of(run) == READ
    files = attached(run.info.run_id)
    assert files.keys() >= PAGES
    assert (b"modified" in files["record.md"]) is changed


ENDS = {
    "client": CREATE,
    "ended": CREATE + "client.set_terminated(run_id)\n",
    "ended twice": CREATE + "client.set_terminated(run_id)\n" * 2,
    "fluent": "mlflow.start_run()\n",
    "with": "with mlflow.start_run(): pass\n",
    "resumed": CREATE + "with mlflow.start_run(run_id=run_id): pass\n",
    "left": CREATE + "mlflow.start_run(run_id=run_id)\n",
    "resumed and left": (
        "with mlflow.start_run() as run: pass\nmlflow.start_run(run_id=run.info.run_id)\n"
    ),
}


@pytest.mark.fresh
@pytest.mark.parametrize("how", few("ended twice", "with", "resumed and left", of=ENDS))
def test_once(pipeline: Project, runs, how: str):
    """However a run ends, its inputs and its pages are written once."""
    pipeline.write("run.py", COUNT + ENDS[how])
    shown = pipeline.python("run.py")
    [line] = [line for line in shown.splitlines() if line.startswith("SENT")]
    [sent] = json.loads(line.removeprefix("SENT ")).values()
    assert [sent.get(name) for name in ("inputs", *sorted(PAGES))] == [1, 1, 1]
    [run] = runs()
    assert inputs_of(run) == READ


def test_once_in_a_stage(pipeline: Project, runs, attached):
    """Under ``dvc repro`` a run that nobody ends is sealed, and its page says what the stage
    made."""
    rest = (pipeline.root / "src/train.py").read_text().partition('Path("models")')
    pipeline.write("src/train.py", CREATE + "from pathlib import Path\n" + "".join(rest[1:]))
    pipeline.dvc("repro", "train")
    [run] = runs()
    made = pipeline.lock()["models/model.txt"]
    assert (run.data.tags["dvc.seal"], run.data.tags["dvc.out.models/model.txt"]) == (
        "provisional", made,
    )  # fmt: skip
    assert inputs_of(run) == {"data/prepared.csv"}
    assert made.encode() in attached(run.info.run_id)["report.html"]


def test_nested_runs_left_open(pipeline: Project, runs, attached):
    """MLflow ends the innermost run when the process ends; those around it are recorded as well."""
    pipeline.write("run.py", "import mlflow\nmlflow.start_run()\nmlflow.start_run(nested=True)\n")
    pipeline.python("run.py")
    outer, inner = runs()
    assert inputs_of(outer) == inputs_of(inner) == READ
    assert attached(outer.info.run_id).keys() >= PAGES
    assert attached(inner.info.run_id) == {}, "a child run has no second copy"


def test_left_by_a_process_that_failed(pipeline: Project, runs, attached):
    """What a failed process leaves open is recorded all the same: it has read its data."""
    pipeline.write("run.py", CREATE + "raise SystemExit('broken')\n")
    done = pipeline.call("python", "run.py")
    assert done.returncode == 1
    assert done.stderr.strip() == "broken"
    [run] = runs()
    assert inputs_of(run) == READ
    assert attached(run.info.run_id).keys() >= PAGES


def test_gone_before_the_end(pipeline: Project, runs, attached):
    """A run that was deleted meanwhile is left alone, without a word."""
    written = "from mlflow_dvc.record.lifecycle import worker\nworker.wait(run_id)\n"
    pipeline.write("run.py", CREATE + written + "client.delete_run(run_id)\nprint(run_id)\n")
    run_id = pipeline.python("run.py").split()[-1]
    assert runs() == []
    assert inputs_of(mlflow.get_run(run_id)) == set()


FORKED = """
import multiprocessing, sys

def child():
    sys.exit(0)

if __name__ == "__main__":
    child_process = multiprocessing.get_context("fork").Process(target=child)
    child_process.start()
    child_process.join()
    pid = os.fork()
    if not pid:
        sys.exit(0)
    os.waitpid(pid, 0)
    print(len(client.get_run(run_id).inputs.dataset_inputs))
"""


def test_forked_children(pipeline: Project, runs, attached):
    """A run belongs to the process that started it: a forked child that ends writes nothing."""
    pipeline.write("run.py", CREATE + FORKED)
    shown = pipeline.run(sys.executable, "-W", "ignore", "run.py")
    assert shown.split()[-1] == "0"
    [run] = runs()
    assert inputs_of(run) == READ
    assert attached(run.info.run_id).keys() >= PAGES


def test_off(pipeline: Project, runs):
    """With the plugin off, the end of the process adds nothing."""
    pipeline.write("run.py", CREATE)
    pipeline.python("run.py", MLFLOW_DVC_ENABLED="0")
    [run] = runs()
    assert inputs_of(run) == set()
