"""What a run costs a tracking server: the requests of a run with its record, less those without."""

from __future__ import annotations

from collections.abc import Iterator

import mlflow
import pytest
from conftest import Project
from proxies import Proxy, proxy

FILES = {"dvc.lock", "snapshot.json", "record.md", "report.html", "code.patch", "project.zip"}
RUN = """\
import mlflow
with mlflow.start_run():
    mlflow.log_param("a", 1)
    mlflow.log_metric("b", 2)
"""
SWEEP = """\
import mlflow
with mlflow.start_run():
    for number in range(5):
        with mlflow.start_run(nested=True):
            mlflow.log_metric("b", number)
"""
LONG = """\
import time
import mlflow
from mlflow_dvc.record.lifecycle import worker
with mlflow.start_run() as run:
    mlflow.log_param("a", 1)
    worker.wait(run.info.run_id)
    mlflow.log_metric("b", 2)
"""


@pytest.fixture
def counter(mlflow_server: str) -> Iterator[Proxy]:
    with proxy(mlflow_server) as found:
        yield found


@pytest.fixture
def busy(pipeline: Project, counter: Proxy, request: pytest.FixtureRequest) -> Project:
    """A project with everything that a record can hold, whose runs go to the counting server."""
    for number in range(20):
        pipeline.write(f"data/more/{number}.csv", f"{number}\n")
        pipeline.dvc("add", "--quiet", f"data/more/{number}.csv")
    pipeline.commit("more data")
    pipeline.write("src/train.py", (pipeline.root / "src/train.py").read_text() + "# changed\n")
    experiment = mlflow.MlflowClient(counter.upstream).create_experiment(request.node.name)
    return Project(
        pipeline.root,
        pipeline.env | {"MLFLOW_TRACKING_URI": counter.url, "MLFLOW_EXPERIMENT_ID": experiment},
    )


def count(project: Project, counter: Proxy, *command: str, **env: str) -> list[str]:
    counter.seen.clear()
    project.run(*command, **env)
    return list(counter.seen)


@pytest.mark.parametrize("data", ["known", "changed"])
@pytest.mark.parametrize("script", [RUN, LONG], ids=["short", "long"])
def test_few(busy: Project, counter: Proxy, script: str, data: str):
    """A run with everything in it makes eight requests more at most, and none of them twice."""
    busy.write("run.py", script)
    without = count(busy, counter, "python", "run.py", MLFLOW_DVC_ENABLED="0")
    if data == "changed":
        busy.write("data/raw.csv", "a,b\n5,6\n")
    seen = count(busy, counter, "python", "run.py")
    assert len(seen) - len(without) <= 8, seen
    assert {name: counter.sent(name) for name in FILES} == dict.fromkeys(FILES, 1)


def test_few_of_a_stage(busy: Project, counter: Proxy):
    """A run of a stage, whose record is complete when the process ends, makes no more."""
    without = count(busy, counter, "dvc", "repro", "--force", MLFLOW_DVC_ENABLED="0")
    seen = count(busy, counter, "dvc", "repro", "--force")
    assert len(seen) - len(without) <= 8, seen
    assert {name: counter.sent(name) for name in FILES} == dict.fromkeys(FILES, 1)


def test_few_of_a_sweep(busy: Project, counter: Proxy):
    """A child run with the record of its parent makes three requests more at most."""
    busy.write("run.py", SWEEP)
    without = count(busy, counter, "python", "run.py", MLFLOW_DVC_ENABLED="0")
    seen = count(busy, counter, "python", "run.py")
    assert len(seen) - len(without) <= 8 + 5 * 3, seen
