"""``docs/adopt.md``: what it tells a project and a team to do, done."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from conftest import PIPELINE, PYTHON, Project

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/adopt.md").read_text("utf-8")
TRAIN = """\
import contextlib
import json
from pathlib import Path

import mlflow

data = Path("data/prepared.csv").read_text()
with mlflow.start_run() as run:
    mlflow.log_metric("x", len(data))
    mlflow.log_text(data, "model/model.txt")
client = mlflow.MlflowClient()
with contextlib.suppress(mlflow.exceptions.MlflowException):
    client.create_registered_model("churn")
client.create_model_version("churn", f"{run.info.artifact_uri}/model", run.info.run_id)
Path("models").mkdir(exist_ok=True)
Path("models/model.txt").write_text(data)
Path("metrics.json").write_text(json.dumps({"x": len(data)}))
"""


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def commands(block: str) -> Iterator[str]:
    """As they stand there, but for the server and the name of the data."""
    for line in re.findall(r"^\$ (.+)$", block, re.M):
        if not line.startswith("export "):
            yield line.replace("data/raw/train.csv", "data/raw.csv")


def shell(project: Project, command: str, *expected: int, **env: str) -> str:
    path = os.pathsep.join([os.environ["TEST_COMMANDS"], os.environ["PATH"]])
    done = project.call("bash", "-c", command, PATH=path, **env)
    assert done.returncode in (expected or (0,)), f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def first(pipeline: Project, tmp_path: Path) -> Project:
    """The checkout of whoever begins, with a git remote and a DVC remote."""
    pipeline.write("src/train.py", TRAIN)
    alone = "deps: [models/model.txt]"
    pipeline.write("dvc.yaml", PIPELINE.replace(alone, f"{alone[:-1]}, src/report.py]"))
    pipeline.git("init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "origin.git"))
    pipeline.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    pipeline.dvc("remote", "add", "--quiet", "--default", "store", str(tmp_path / "store"))
    pipeline.commit("train")
    pipeline.git("push", "--quiet", "--set-upstream", "origin", "main")
    return pipeline


def runs() -> list[Any]:
    """The oldest first."""
    found = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return sorted(found, key=lambda run: run.info.start_time)


def test_team(first: Project, tmp_path: Path):
    """Day 1 and day 2: both runs have one version of the data, the first one is confirmed, and what
    CI asks every night is answered with yes, in a third clone."""
    day_one, day_two = blocks(section("A team"), "console")
    for command in commands(day_one):
        shell(first, command)
    others = [Project(tmp_path / name) for name in ("second", "third")]
    for one in others:
        first.git("clone", "--quiet", str(tmp_path / "origin.git"), str(one.root))
    for command in commands(day_two):
        shell(others[0], command, *((0, 1) if " diff " in command else ()))
    one, two = runs()
    assert one.data.tags["dvc.data_version"] == two.data.tags["dvc.data_version"]
    assert one.data.metrics == two.data.metrics
    assert one.data.tags["dvc.seal"] == "confirmed"
    github, gitlab = blocks(section("Continuous integration"), "yaml")
    steps = yaml.safe_load(github)["jobs"]["records"]["steps"]
    lines = [step["run"] for step in steps if "run" in step]
    lines += yaml.safe_load(gitlab)["records"]["script"]
    ours = [line for line in lines if "mlflow-dvc" in line]
    assert len(ours) == len(lines) - 2, "all but the installation"
    for line in ours:
        shell(others[1], line, CI_PIPELINE_SOURCE="schedule")


def test_first_half_hour(first: Project):
    """What is called first finds nothing wrong, and leaves a run that is verified."""
    looked, trained = blocks(section("The first half hour"), "console")
    for command in (*commands(looked), *commands(trained)):
        shell(first, command)
    [run] = runs()
    assert run.data.tags["dvc.seal"] == "confirmed"


def test_hooks(first: Project):
    """A commit of the lock confirms the run, and a push looks before; pre-commit calls the same."""
    for block in blocks(section("Hooks"), "sh"):
        name, _, text = block.partition("\n")
        hook = first.write(name.removeprefix("# "), text)
        hook.chmod(0o755)
    shell(first, "dvc repro")
    shell(first, "git add --all && git commit --quiet --message train")
    [run] = runs()
    assert run.data.tags["dvc.seal"] == "confirmed"
    shell(first, "git push --quiet")
    first.write(".gitignore", "dvc.lock\n")
    first.git("rm", "--quiet", "--cached", "dvc.lock")
    shell(first, "git add --all && git commit --quiet --message ignored")
    shell(first, "git push --quiet", 1)
    offered = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    [asked] = blocks(section("Hooks"), "yaml")
    named = [one["id"] for one in yaml.safe_load(asked)["repos"][0]["hooks"]]
    assert [one["id"] for one in offered] == named
    for one, code in zip(offered, (1, 0), strict=True):
        words = shlex.split(one["entry"])
        assert first.call(PYTHON, "-m", "mlflow_dvc", *words[1:]).returncode == code, one
