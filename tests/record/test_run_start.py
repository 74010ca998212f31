"""What stands between a user and their training: files that changed, and nothing else."""

from __future__ import annotations

import json

import pytest
from conftest import Project

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
    assert third == ["open params.yaml"]
