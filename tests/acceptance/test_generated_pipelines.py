"""Pipelines that nobody wrote: of whatever is in them, a run's record is what DVC then writes."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest
from conftest import Project, examples
from sealed import seal_of, synced

from mlflow_dvc.dvcfiles import yaml12

pytestmark = pytest.mark.fuzz

SEEDS = range(max(examples(1) // 100, 1))
STAGE = """\
import json, pathlib, sys
name, logs, reads, writes = json.loads(sys.argv[1])
if logs:
    import mlflow
    with mlflow.start_run():
        mlflow.log_param("stage", name)
text = name
for path in map(pathlib.Path, reads):
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    text += "".join(file.read_text() for file in files if file.is_file())[-500:]
for path in map(pathlib.Path, writes):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix:
        path.write_text(text)
    else:
        for part in ("a.txt", "b/c.txt"):
            (path / part).parent.mkdir(parents=True, exist_ok=True)
            (path / part).write_text(part + text)
"""


def made_up(project: Project, seed: int, size: int) -> None:
    """A pipeline of ``size`` stages: files and folders, templates, working directories, odd names,
    parameters, metrics. The last stage reads from all others."""
    import yaml

    chance = random.Random(seed)
    project.write("step.py", STAGE)
    project.write("params.yaml", yaml.safe_dump({"rate": seed + 0.5, "deep": {"n": [1, 2]}}))
    stages: dict[str, Any] = {}
    made: list[str] = []
    logging = {size - 1, *chance.sample(range(size), min(3, size))}
    for number in range(size):
        last = number == size - 1
        reads = [path for path in made if last or chance.random() < 3 / (len(made) + 1)]
        reads = [
            path + "/b/c.txt" if not path.endswith(".txt") and chance.random() < 0.3 else path
            for path in reads
        ]
        odd = chance.choice(["", " spaced", "-dash", "+plus", "é"])
        writes = [f"out/{number}{odd}.txt"] + ([f"dir{number}"] if chance.random() < 0.4 else [])
        wdir = chance.choice([".", ".", "work"])
        up = "" if wdir == "." else "../"
        words = json.dumps(
            [f"s{number}", number in logging, [up + r for r in reads], [up + w for w in writes]]
        )
        stage: dict[str, Any] = {
            "cmd": f"python {up}step.py '{words}'",
            "deps": [f"{up}step.py", *(up + path for path in reads)],
            "outs": [up + writes[0], *({up + path: {"persist": False}} for path in writes[1:])],
        }
        if wdir != ".":
            stage["wdir"] = wdir
        if chance.random() < 0.5:
            stage["params"] = [{f"{up}params.yaml": ["rate", "deep.n"]}]
        if chance.random() < 0.2 and not last:
            metric = f"m{number}.json"
            stage["cmd"] += f" && echo '{{\"x\": {number}}}' > {metric}"
            stage["metrics"] = [{metric: {"cache": False}}]
        name = f"s{number}"
        if chance.random() < 0.15 and not last:
            name = f"each{number}"
            stage = {"foreach": ["only"], "do": stage}
            stage["do"]["cmd"] += " # ${item}"
        stages[name] = stage
        made += writes
    project.root.joinpath("work").mkdir(exist_ok=True)
    project.write("work/.keep", "")
    project.write(
        "dvc.yaml", yaml.safe_dump({"stages": stages}, allow_unicode=True, sort_keys=False)
    )
    project.commit("made up")


@pytest.mark.hosts
@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("seed", SEEDS)
def test_small_ones(make_project, runs, attached, seed: int, size: int):
    """The last run's sealed lock is DVC's byte for byte, each run's dependencies are those that DVC
    recorded, and ``sync`` confirms."""
    holds(make_project(), runs, attached, seed, size)


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_large_ones(make_project, runs, attached, seed: int):
    """The same of fifty stages, the last of which reads what all others made."""
    holds(make_project(), runs, attached, seed, 50)


def holds(project: Project, runs: Any, attached: Any, seed: int, size: int) -> None:
    made_up(project, seed, size)
    project.dvc("repro")
    lock = (project.root / "dvc.lock").read_bytes()
    locked = yaml12.parse_yaml(lock)["stages"]
    found = runs()
    assert found
    assert attached(found[-1].info.run_id)["dvc.lock"] == lock
    for run in found:
        entry = locked[run.data.tags["dvc.stage"]]
        tags = {v for k, v in run.data.tags.items() if k.startswith("dvc.dep.")}
        assert tags == {row["md5"] for row in entry["deps"]} or len(entry["deps"]) > 50
        assert recorded(attached, run, "deps") == in_lock(entry["deps"])
    # Where a second command wrote a metric, the stage was not done when the run's process ended.
    assert {row["verdict"] for row in synced(project).values()} <= {"confirmed", "completed"}
    for run in runs():
        assert seal_of(run) == "confirmed"
        outs = locked[run.data.tags["dvc.stage"]]["outs"]
        assert recorded(attached, run, "data", role="output") == in_lock(outs)


def recorded(attached: Any, run: Any, part: str, role: str | None = None) -> list[Any]:
    snapshot = json.loads(attached(run.info.run_id)["snapshot.json"])
    rows = [row for row in snapshot[part] if role in (None, row["role"])]
    return sorted((os.path.basename(row["path"]), row["hash"]) for row in rows)


def in_lock(rows: list[dict[str, str]]) -> list[Any]:
    return sorted((os.path.basename(row["path"]), row["md5"]) for row in rows)
