"""What stands between a user and their training: files that changed, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import mlflow
import pytest
from conftest import Project

from mlflow_dvc import tags as tag

pytestmark = pytest.mark.hosts

WATCHED = """
import json, sys, threading, time
import mlflow

seen = []
def watch(event, args):
    if threading.current_thread() is not threading.main_thread():
        return
    if event in ("subprocess.Popen", "os.posix_spawn", "os.fork", "socket.connect"):
        seen.append(event)
    if event == "open" and isinstance(args[0], str) and args[0].startswith({root!r}):
        seen.append("open " + args[0][len({root!r}) + 1:])
sys.addaudithook(watch)

import mlflow_dvc
with mlflow_dvc.disabled(), mlflow.start_run():
    pass  # MLflow asks git itself, once in a process

runs = []
for change in {changes!r}:
    if change:
        with open(change[0], "w") as file:
            file.write(change[1])
    seen.clear()
    run = mlflow.start_run()
    runs.append([word for word in seen if "mlflow.db" not in word])
    mlflow.end_run()
print(json.dumps([runs, sorted({{"dvc", "dvc_data", "rich"}} & set(sys.modules))]))
"""


def watched(
    project: Project, *changes: tuple[str, str] | None
) -> tuple[list[list[str]], list[str]]:
    code = WATCHED.format(root=str(project.root), changes=changes)
    script = project.root.parent / "watched.py"
    script.write_text(code)
    runs, modules = json.loads(project.python(str(script)).splitlines()[-1])
    return runs, modules


@pytest.mark.fresh
def test_no_process_and_no_dvc(pipeline: Project):
    """Starting a run starts no process, opens no connection and imports no DVC."""
    pipeline.git("tag", "v1")
    runs, modules = watched(pipeline, None, None)
    for run in runs:
        assert not [word for word in run if not word.startswith("open ")]
    assert modules == []


@pytest.mark.parametrize("wait", [2.5])
def test_only_what_changed_is_read(pipeline: Project, wait: float):
    """A second run opens HEAD and its branch again; of the project's files only changed ones."""
    import time

    time.sleep(wait)  # files written just now may change again within the clock's tick
    runs, _ = watched(pipeline, None, None, ("params.yaml", "lr: 0.7\n"))
    first, second, third = ([word for word in run if ".git" not in word] for run in runs)
    assert {"open dvc.lock", "open dvc.yaml", "open params.yaml"} <= set(first)
    assert second == []
    assert set(third) == {"open params.yaml"}, "twice where it was too new to be believed"


@pytest.fixture
def here(pipeline: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(pipeline.root)
    return pipeline


def source_tags(dataset: Any) -> dict[str, str]:
    return dict(json.loads(dataset.source.to_json())["tags"])


def test_dataset_without_a_source(here: Project):
    """The source that MLflow makes up for a dataset names MLflow's own tags and none of ours: one
    row of its database serves all runs. The run that follows is tagged as ever."""
    import numpy as np

    outside = source_tags(mlflow.data.from_numpy(np.array([1, 2])))
    with mlflow.start_run() as run:
        inside = source_tags(mlflow.data.from_numpy(np.array([1, 2])))
        mlflow.log_input(mlflow.data.from_numpy(np.array([1, 2])), "training")
    assert tag.own_tags(outside) == tag.own_tags(inside) == {}
    assert "mlflow.user" in outside
    stored = mlflow.get_run(run.info.run_id)
    assert stored.data.tags["git_sha"] == here.git("rev-parse", "HEAD")
    assert stored.data.tags["dvc.data_status"] == "clean"
    rows = [
        one.dataset for one in stored.inputs.dataset_inputs if one.dataset.source_type == "code"
    ]
    assert [tag.own_tags(json.loads(row.source)["tags"]) for row in rows] == [{}]


def test_autologged_dataset(here: Project):
    """Autologging's own data set carries none of our tags; its run and its model do."""
    import numpy as np
    from sklearn.linear_model import LinearRegression

    mlflow.sklearn.autolog(silent=True)
    try:
        LinearRegression().fit(np.array([[1.0], [2.0]]), np.array([1.0, 2.0]))
    finally:
        mlflow.sklearn.autolog(disable=True)
    [run] = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.data.tags["dvc.data_status"] == "clean"
    rows = [one.dataset for one in run.inputs.dataset_inputs if one.dataset.source_type == "code"]
    assert rows
    for row in rows:
        assert tag.own_tags(json.loads(row.source)["tags"]) == {}


def test_stored_source(here: Project):
    """The source of a stored dataset is read back as it stands there, whoever wrote it."""
    from mlflow.data.code_dataset_source import CodeDatasetSource

    with mlflow.start_run() as run:
        pass
    tags = json.loads(json.dumps(tag.own_tags(mlflow.get_run(run.info.run_id).data.tags)))
    assert CodeDatasetSource.from_dict({"tags": tags}).to_dict() == {"tags": tags}
    assert CodeDatasetSource(tags={"git_sha": "mine"}).to_dict() == {"tags": {"git_sha": "mine"}}


@pytest.mark.fresh
def test_dataset_before_anything_else(pipeline: Project):
    """Nor does a dataset that is made before the first client and the first run."""
    code = (
        "import json, numpy, mlflow\nmade = mlflow.data.from_numpy(numpy.array([1]))\n"
        "print(made.source.to_json())\n"
    )
    pipeline.write("early.py", code)
    shown = json.loads(pipeline.python("early.py").splitlines()[-1])
    assert tag.own_tags(shown["tags"]) == {}
