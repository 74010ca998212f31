"""A run that goes on: what is nothing new gets no second record, what is new always does."""

from __future__ import annotations

import sys
from itertools import product
from typing import Any

import mlflow
import pytest
from conftest import FIVE_LINES, Project, few

from mlflow_dvc.record import lifecycle
from mlflow_dvc.record.run_registry import known_records

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.skipif(
        not hasattr(mlflow, "create_external_model"), reason="an older MLflow refuses an active run"
    ),
]

HEAD = """\
import mlflow, sys

def take_up(run_id):
    with mlflow.start_run(run_id=run_id, nested=True):
        mlflow.log_metric("x", 1)

def later(path, text):
    with open(path, "w") as file:
        file.write(text)

"""
AFTER = HEAD + "run = mlflow.start_run()\nmlflow.end_run()\n"
ACTIVE = HEAD + "run = mlflow.start_run()\n"
SIX = "for _ in range(6): take_up(run.info.run_id)\n"
POOL = """\
import multiprocessing

if __name__ == "__main__":
    run = mlflow.start_run()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(take_up, [run.info.run_id] * 2, chunksize=1)
"""
WAYS = {"after": AFTER + SIX, "active": ACTIVE + SIX, "pool": HEAD + POOL}


def later_parts(files: dict[str, Any]) -> set[str]:
    return {path.partition("/")[0] for path in files if path.startswith("resume-")}


@pytest.mark.fresh
@pytest.mark.parametrize(
    ("way", "data"),
    few(
        ("after", "clean"), ("active", "modified"), ("pool", "dirty"),
        of=product(WAYS, ("clean", "modified", "dirty")),
    ),
)  # fmt: skip
def test_nothing_new(pipeline: Project, runs, attached, way: str, data: str):
    """A run that its own process, or one forked from it, takes up has one record."""
    pipeline.write("run.py", WAYS[way])
    pipeline.commit("run")
    if data == "modified":
        pipeline.write("data/raw.csv", "a,b\n5,6\n")
    if data == "dirty":
        pipeline.write("src/train.py", "# changed\n")
    done = pipeline.call(sys.executable, "-W", "ignore", "run.py")
    assert (done.returncode, "mlflow-dvc" in done.stderr) == (0, False), done.stderr
    [run] = runs()
    assert later_parts(attached(run.info.run_id)) == set()
    assert run.data.tags["dvc.data_status"] == ("modified" if data == "modified" else "clean")


@pytest.mark.parametrize("is_modified", [False, True])
def test_nothing_new_in_another_process(pipeline: Project, runs, attached, is_modified: bool):
    """Another process that sees the same on disk adds nothing."""
    if is_modified:
        pipeline.write("data/raw.csv", "a,b\n5,6\n")
    pipeline.python("run.py")
    [run] = runs()
    for _ in range(2):
        pipeline.python("run.py", MLFLOW_RUN_ID=run.info.run_id)
    assert later_parts(attached(run.info.run_id)) == set()


@pytest.mark.parametrize("way", [AFTER, ACTIVE], ids=["after", "active"])
def test_changed_on_disk_alone(pipeline: Project, runs, attached, way: str):
    """Data that was changed between two parts, and not given to DVC, is another part."""
    change = "later('data/raw.csv', 'a,b\\n5,6\\n')\n"
    change = f"import time; time.sleep(0.1)\n{change}"  # the clock of files is coarse
    pipeline.write("run.py", way + change + "take_up(run.info.run_id)\n")
    pipeline.python("run.py")
    [run] = runs()
    assert later_parts(attached(run.info.run_id)) == {"resume-1"}


@pytest.mark.parametrize("before", ["clean", "modified"])
def test_changed_for_another_process(pipeline: Project, runs, attached, before: str):
    """Another process that finds other data on disk is another part, whatever DVC's files say."""
    if before == "modified":
        pipeline.write("data/raw.csv", "a,b\n5,6\n")
    pipeline.python("run.py")
    [run] = runs()
    pipeline.write("data/raw.csv", "a,b\n7,8\n")
    pipeline.python("run.py", MLFLOW_RUN_ID=run.info.run_id)
    assert later_parts(attached(run.info.run_id)) == {"resume-1"}


@pytest.mark.fresh  # an execution is told by its processes
def test_two_processes_of_a_stage(pipeline: Project, runs, attached):
    """The second process of a stage is no part of its own; another execution of it is."""
    pipeline.write("src/post.py", FIVE_LINES)
    text = (pipeline.root / "dvc.yaml").read_text()
    command = "python src/train.py"
    pipeline.write("dvc.yaml", text.replace(command, f"{command} && python src/post.py"))
    pipeline.commit("two")
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("tests").experiment_id
    run_id = pipeline.python(
        str(pipeline.write("new.py", NEW)), experiment, MLFLOW_DVC_ENABLED="0"
    ).split()[-1]
    (pipeline.root / "new.py").unlink()
    pipeline.dvc("repro", "train", MLFLOW_RUN_ID=run_id)
    assert later_parts(attached(run_id)) == set()
    [run] = runs()
    assert run.data.tags["dvc.seal"] == "provisional"
    pipeline.dvc("repro", "--force", "train", MLFLOW_RUN_ID=run_id)
    assert later_parts(attached(run_id)) == {"resume-1"}


NEW = "import mlflow, sys\nprint(mlflow.MlflowClient().create_run(sys.argv[1]).info.run_id)\n"


def test_many_resumes_hold_little(pipeline: Project, monkeypatch: pytest.MonkeyPatch):
    """What a process remembers of a run does not grow with each time that it is taken up."""
    monkeypatch.chdir(pipeline.root)
    pipeline.write("src/train.py", "# changed\n")
    with mlflow.start_run() as run:
        pass
    for _ in range(5):
        with mlflow.start_run(run_id=run.info.run_id):
            pass
    known = list(known_records(lifecycle.registry.get(run.info.run_id)))
    assert len(known) == 1


@pytest.mark.parametrize("elsewhere", [False, True])
def test_page_tells_of_later_parts(
    pipeline: Project, attached, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
):
    """However late the first part's page is drawn, it tells how the run went on."""
    monkeypatch.chdir(pipeline.root)
    with mlflow.start_run() as run:
        run_id = run.info.run_id
        lifecycle.worker.wait(run_id)
        pipeline.write("data/raw.csv", "other\n")
        pipeline.dvc("add", "--quiet", "data/raw.csv")
        if elsewhere:
            pipeline.python("run.py", MLFLOW_RUN_ID=run_id)
        else:
            with mlflow.start_run(run_id=run_id, nested=True):
                pass
    assert later_parts(attached(run_id)) == {"resume-1"}
    assert "went on (resume-1)" in attached(run_id)["record.md"].decode()
