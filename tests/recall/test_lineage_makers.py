"""Lineage: who made data, where others have made data of the same content."""

from __future__ import annotations

import mlflow
import yaml
from conftest import Project

import mlflow_dvc

PIPELINE = """\
stages:
  prepare:
    cmd: python prepare.py
    deps: [raw.csv, prepare.py]
    outs: [prepared.csv]
  train:
    cmd: python train.py
    deps: [prepared.csv, train.py]
    outs: [model.txt]
"""
STAGE = """\
import mlflow
from pathlib import Path

with mlflow.start_run(run_name="{name}"):
    Path("{out}").write_text("the same of everything")
"""


def lay_out(project: Project, name: str) -> None:
    project.write("dvc.yaml", PIPELINE)
    project.write("prepare.py", STAGE.format(name=f"prepare {name}", out="prepared.csv"))
    project.write("train.py", STAGE.format(name=f"train {name}", out="model.txt"))
    project.write("raw.csv", f"raw {name}\n")
    project.dvc("add", "--quiet", "raw.csv")
    project.commit("start")


def above(name: str) -> set[str]:
    """The names of what the run ``name`` came from: runs, and raw data by path and hash."""
    (run,) = mlflow.search_runs(
        search_all_experiments=True, filter_string=f"run_name = '{name}'", output_format="list"
    )
    found = mlflow_dvc.lineage(run.info.run_id)
    before: dict[str, list[str]] = {}
    for edge in found.edges:
        before.setdefault(edge.end, []).append(edge.start)
    seen: set[str] = set()
    pending = list(found.subjects)
    while pending:
        fresh = set(before.get(pending.pop(), ())) - seen
        seen |= fresh
        pending += fresh
    nodes = [node for node in found.nodes if node.key in seen]
    runs = {node.name for node in nodes if node.kind == "run"}
    return runs | {str(node.id) for node in nodes if node.name == "raw.csv"}


def hash_of(project: Project, path: str) -> str:
    return str(yaml.safe_load((project.root / f"{path}.dvc").read_text())["outs"][0]["md5"])


def test_of_two_projects(make_project, tracking_uri: str):
    """A run of another project, whose stage made the same from something else, is no ancestor."""
    projects = {name: make_project(name) for name in "AB"}
    for name, project in projects.items():
        lay_out(project, name)
    for stage in ("prepare", "train"):
        for project in projects.values():
            project.dvc("repro", stage)
    for name, project in projects.items():
        assert above(f"train {name}") == {f"prepare {name}", hash_of(project, "raw.csv")}


def test_of_an_execution_without_a_run(make_project, tracking_uri: str):
    """A stage that ran again unrecorded, on other data, is told by the reader's lock, not by the
    run of before that made the same."""
    project = make_project("project")
    lay_out(project, "A")
    project.dvc("repro", "prepare")
    project.write("raw.csv", "other\n")
    project.dvc("add", "--quiet", "raw.csv")
    project.commit("other")
    project.dvc("repro", "prepare", MLFLOW_DVC_ENABLED="0")
    project.dvc("repro", "train")
    assert above("train A") == {hash_of(project, "raw.csv")}
