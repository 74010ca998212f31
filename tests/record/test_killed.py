"""A process that is killed while its run goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conftest import Project

import mlflow_dvc

KILLED = """\
import os
import mlflow
from mlflow_dvc.record.lifecycle import worker
run = mlflow.start_run()
worker.wait(run.info.run_id)
os._exit(9)
"""


def test_what_is_left(pipeline: Project, runs: Callable[[], list[Any]], attached, monkeypatch):
    """Its run has the record as it was at the start: nobody takes that for a forged one."""
    pipeline.write("run.py", KILLED)
    pipeline.write("data/raw.csv", "a,b\n5,6\n")
    assert pipeline.call("python", "run.py").returncode == 9
    [run] = runs()
    assert run.info.status == "RUNNING"
    files = attached(run.info.run_id)
    assert {"snapshot.json", "dvc.lock", "dvc.yaml", "code.patch"} <= files.keys()
    monkeypatch.chdir(pipeline.root)
    snapshot = mlflow_dvc.show(run.info.run_id).snapshot
    assert snapshot.git is not None
    assert snapshot.git.dirty
    [found] = mlflow_dvc.verify(run.info.run_id)
    assert found.verdict == "UNVERIFIED", found


def test_no_exit_handlers(pipeline: Project, runs: Callable[[], list[Any]], attached):
    """A stage that ends without them is locked by DVC, and `sync` completes the record."""
    train = (pipeline.root / "src/train.py").read_text()
    pipeline.write("src/train.py", f"{train}\nimport os\nos._exit(0)\n")
    pipeline.dvc("repro")
    [run] = [run for run in runs() if run.data.tags.get("dvc.stage") == "train"]
    assert run.data.tags["dvc.seal"] == "none"
    assert {"snapshot.json", "code.patch"} <= attached(run.info.run_id).keys()
    assert pipeline.cli("sync").returncode == 0
    [run] = [run for run in runs() if run.data.tags.get("dvc.stage") == "train"]
    assert run.data.tags["dvc.seal"] == "confirmed"
    assert run.data.tags["git_dirty"] == "true"
    assert "models/model.txt" in {
        key.removeprefix("dvc.out.") for key in run.data.tags if key.startswith("dvc.out.")
    }
    assert {"snapshot.json", "record.md", "report.html", "dvc.lock"} <= attached(
        run.info.run_id
    ).keys()
