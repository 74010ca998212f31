"""Runs of three projects, made without this package, and what is told of them afterwards."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from conftest import Project, environment, make_home

import mlflow_dvc
from mlflow_dvc.recall.backfill import BackfillResult

pytestmark = pytest.mark.hosts

Run = Callable[..., str]
OFF = {"MLFLOW_DVC_ENABLED": "0"}
LOGGING = """\
import mlflow

with mlflow.start_run() as run:
    mlflow.log_param("lr", 0.1)
    mlflow.log_metric("x", 1)
    mlflow.log_text("mine", "notes.txt")
"""
# The shape of iterative/example-get-started.
GET_STARTED = """\
stages:
  prepare:
    cmd: python src/prepare.py
    deps: [data/data.xml, src/prepare.py]
    params: [prepare.split]
    outs: [data/prepared]
  featurize:
    cmd: python src/featurization.py
    deps: [data/prepared, src/featurization.py]
    outs: [data/features]
  train:
    cmd: python src/train.py
    deps: [data/features, src/train.py]
    params: [train.seed]
    outs: [model.pkl]
  evaluate:
    cmd: python src/evaluate.py
    deps: [data/features, model.pkl, src/evaluate.py]
    outs: [eval]
"""
STEP = """\
import shutil
from pathlib import Path

made = Path("{out}")
shutil.rmtree(made, ignore_errors=True)
made.mkdir(parents=True)
for source in {sources}:
    found = Path(source)
    files = sorted(found.rglob("*")) if found.is_dir() else [found]
    for file in files:
        if file.is_file():
            (made / (file.name + ".txt")).write_text("{out} of " + file.read_text())
"""
TRAIN = (
    LOGGING
    + """\
from pathlib import Path

text = "".join(file.read_text() for file in sorted(Path("data/features").iterdir()))
Path("model.pkl").write_text("model of " + text)
"""
)
MONOREPO = """\
vars:
  - regions.yaml
stages:
  clean:
    foreach: ${regions}
    do:
      cmd: python clean.py ${item}
      deps: [clean.py, "raw/${item}.csv"]
      outs: ["clean/${item}.csv"]
  fit:
    cmd: python fit.py
    deps: [fit.py, clean/north.csv, clean/south.csv]
    outs: [fit.txt]
"""
CLEAN = (
    LOGGING
    + """\
import sys
from pathlib import Path

Path("clean").mkdir(exist_ok=True)
name = f"{sys.argv[1]}.csv"
Path("clean", name).write_text(Path("raw", name).read_text().strip() + " clean")
"""
)
FIT = (
    LOGGING
    + """\
from pathlib import Path

Path("fit.txt").write_text("".join(p.read_text() for p in sorted(Path("clean").iterdir())))
"""
)


def get_started(project: Project, run: Run) -> None:
    """Three commits, the data and what is made of it new in each; in each a run by hand."""
    project.write("dvc.yaml", GET_STARTED)
    project.write("src/prepare.py", STEP.format(out="data/prepared", sources=["data/data.xml"]))
    project.write(
        "src/featurization.py", STEP.format(out="data/features", sources=["data/prepared"])
    )
    project.write("src/train.py", TRAIN)
    project.write(
        "src/evaluate.py", STEP.format(out="eval", sources=["data/features", "model.pkl"])
    )
    for number in range(3):
        project.write("params.yaml", f"prepare: {{split: 0.{number}}}\ntrain: {{seed: {number}}}\n")
        project.write("data/data.xml", f"<row>{number}</row>\n")
        project.dvc("add", "--quiet", "data/data.xml")
        project.dvc("repro", "--quiet", **OFF)
        project.commit(f"data {number}")
        run("src/train.py")


def registry(project: Project, run: Run) -> None:
    """Data alone, each folder a file of DVC's; nothing declares the script."""
    project.write("look.py", LOGGING)
    for number in range(3):
        for name in ("cats", "dogs")[: number + 1]:
            project.write(f"images/{name}/{number}.txt", f"{name} {number}")
            project.dvc("add", "--quiet", f"images/{name}")
        project.commit(f"images {number}")
        run("look.py")


def monorepo(project: Project, run: Run) -> None:
    """The DVC project lies in a folder; two stages share a script, by ``foreach``."""
    shutil.rmtree(project.root / ".dvc")
    project.write("web/index.js", "1\n")
    project.write("ml/dvc.yaml", MONOREPO)
    project.write("ml/regions.yaml", "regions: [north, south]\n")
    project.write("ml/clean.py", CLEAN)
    project.write("ml/fit.py", FIT)
    inside = Project(project.root / "ml", project.env)
    inside.dvc("init", "--quiet", "--subdir")
    for number in range(2):
        for region in ("north", "south"):
            inside.write(f"raw/{region}.csv", f"{region},{number}\n")
            inside.dvc("add", "--quiet", f"raw/{region}.csv")
        inside.dvc("repro", "--quiet", **OFF)
        project.commit(f"regions {number}")
        run("fit.py", cwd=inside.root)
        run("clean.py", "north", cwd=inside.root)


# Of each: the folder of DVC's project, the stage of each script, what that and later ones make.
SHAPES: dict[str, tuple[Any, str, dict[str, tuple[str | None, set[str]]]]] = {
    "get-started": (get_started, "", {"src/train.py": ("train", {"model.pkl", "eval"})}),
    "registry": (registry, "", {"look.py": (None, set())}),
    "monorepo": (
        monorepo,
        "ml/",
        {
            "fit.py": ("fit", {"fit.txt"}),
            "clean.py": (None, {"clean/north.csv", "clean/south.csv", "fit.txt"}),
        },
    ),
}


def committed_hashes(project: Project, sha: str, folder: str) -> dict[str, str]:
    """Path and hash of every output, by the plainest reading of what git has."""
    found = {}
    for path in project.git("ls-tree", "-r", "--name-only", sha).splitlines():
        if not path.startswith(folder) or not path.endswith((".dvc", "dvc.lock")):
            continue
        raw = yaml.safe_load(project.git("show", f"{sha}:{path}"))
        stages = raw["stages"].values() if path.endswith(".lock") else [raw]
        beside = "" if path.endswith(".lock") else path[len(folder) :].rpartition("/")[0]
        for out in (out for stage in stages for out in stage["outs"]):
            found[f"{beside}/{out['path']}".lstrip("/")] = out["md5"]
    return found


def hashes_of_dvc(project: Project, sha: str, folder: str, paths: list[str]) -> dict[str, str]:
    """As DVC itself answers of a commit."""
    code = (
        "import json, sys, dvc.api\n"
        "fs = dvc.api.DVCFileSystem(sys.argv[1], rev=sys.argv[2], subrepos=True)\n"
        "found = {p: fs.info(sys.argv[3] + p)['dvc_info']['md5'] for p in sys.argv[4:]}\n"
        "print(json.dumps(found))\n"
    )
    script = project.root.parent / "ask.py"
    script.write_text(code)
    root = str(project.root)
    answer = project.run(sys.executable, str(script), root, sha, folder, *paths, **OFF)
    return json.loads(answer.splitlines()[-1])


def state(folder: Path) -> tuple[set[str], dict[str, tuple[bytes, int]]]:
    """Everything that the store has: its rows, and its files with their time stamps."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        rows = set(database.iterdump())
    paths = [path for path in (folder / "artifacts").rglob("*") if path.is_file()]
    return rows, {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def bring_back(kept: Path, folder: Path) -> None:
    """Let a store be as it was. MLflow has its database open: it stays the same file."""
    shutil.rmtree(folder / "artifacts")
    shutil.copytree(kept / "artifacts", folder / "artifacts")
    shutil.copyfile(kept / "mlflow.db", folder / "mlflow.db")


@pytest.fixture(scope="session")
def history(
    shared: Callable[..., Path], started: Path, empty_database: Path
) -> Callable[..., Path]:
    """``history(name)``: a folder with a project, and the store of its runs, none of them recorded.

    It stays where it is made, as a store names its artifacts by their place: tests take turns.
    """

    def make(folder: Path, name: str) -> None:
        make_home(folder / "home")
        uri = f"sqlite:///{folder}/mlflow.db"
        shutil.copy(empty_database, folder / "mlflow.db")
        client = mlflow.MlflowClient(uri)
        place = (folder / "artifacts").as_uri()
        experiment = client.create_experiment("before", artifact_location=place)
        env = environment(folder / "home") | OFF
        env |= {"MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_ID": experiment}
        project = Project(folder / "project", env)
        shutil.copytree(started, project.root)
        SHAPES[name][0](project, project.python)

    return lambda name: shared(f"history-{name}", lambda folder: make(folder, name))


@pytest.fixture
def before(
    request: pytest.FixtureRequest,
    history: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """The folder of one history, brought back to what it was when the test is over."""
    folder = history(request.param)
    kept = folder.with_name(f"{folder.name}-kept-{os.getpid()}")
    with open(folder.with_name(f"{folder.name}.turn"), "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        shutil.copytree(folder, kept)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(folder / "home" / "dvc-site"))
        monkeypatch.chdir(folder / "project")
        yield folder
        bring_back(kept, folder)
        shutil.rmtree(kept)


each_history = pytest.mark.parametrize("before", SHAPES, indirect=True)


def filled(folder: Path) -> dict[str, BackfillResult]:
    uri = f"sqlite:///{folder}/mlflow.db"
    return {one.run_id: one for one in mlflow_dvc.backfill(tracking_uri=uri)}


def all_runs(folder: Path) -> list[Any]:
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    return list(client.search_runs([one.experiment_id for one in client.search_experiments()]))


@each_history
def test_history(before: Path, request: pytest.FixtureRequest):
    """Each run whose commit has DVC's files gets what git has there, marked, and nothing of it is
    called seen; whatever the store had it still has, and a second call changes nothing."""
    project = Project(before / "project")
    _, folder, scripts = SHAPES[request.node.callspec.params["before"]]
    rows, files = state(before)
    plan = mlflow_dvc.backfill(dry_run=True)
    assert state(before) == (rows, files)
    results = filled(before)
    assert [replace(one, changed=False) for one in results.values()] == plan
    now_rows, now_files = state(before)
    assert rows <= now_rows
    assert all(row.startswith('INSERT INTO "tags"') for row in now_rows - rows)
    assert {path: now_files[path] for path in files} == files
    assert all("/dvc/" in path for path in now_files.keys() - files.keys())
    count = 0
    for run in all_runs(before):
        result, sha = results[run.info.run_id], run.data.tags["mlflow.source.git.commit"]
        if not (known := committed_hashes(project, sha, folder)):
            assert (result.verdict, result.changed) == ("left", False)
            assert "its commit has no" in result.reason
            continue
        count += 1
        assert (result.verdict, result.changed, result.commit) == ("reconstructed", True, sha)
        name = Path(run.data.tags["mlflow.source.name"])
        script = next(one for one in scripts if str(name).endswith(one))
        stage, made = scripts[script]
        snapshot = mlflow_dvc.show(run.info.run_id).snapshot
        assert (snapshot.reconstructed, snapshot.script_stage, result.stage) == (sha, stage, stage)
        claimed = {entry.path: entry.hash for entry in snapshot.data if entry.is_fact}
        assert claimed == {path: known[path] for path in known if path not in made}
        assert claimed == hashes_of_dvc(project, sha, folder, list(claimed))
        assert result.data == len(claimed)
        told = {key.removeprefix("dvc.out."): value for key, value in run.data.tags.items()}
        assert claimed.items() <= told.items()
        assert run.data.tags["dvc.reconstructed"] == f"from commit {sha}"
        assert run.data.tags["dvc.data_status"] == "unverified"
        assert run.data.tags["dvc.seal"] == "none"
        assert not {"dvc.data_version", "dvc.reads", "git_dirty"} & run.data.tags.keys()
        assert not any(key.startswith("dvc.dep.") for key in run.data.tags)
        assert {entry.state for entry in (*snapshot.data, *snapshot.deps)} == {"unverified"}
        assert not any(entry.is_observed for entry in (*snapshot.data, *snapshot.deps))
        [verified] = mlflow_dvc.verify(run.info.run_id)
        assert verified.verdict == "UNVERIFIED"
        reasons = [one.reason for one in verified.items if one.part == "record"]
        assert reasons == [f"it was reconstructed from commit {sha}: what the run read, nobody saw"]
        data = {one.name: one.verdict for one in verified.items if one.part == "data"}
        assert {data[path] for path in claimed} == {"PASS"}
    assert count >= 3
    again = filled(before)
    assert {one.verdict for one in again.values()} <= {"recorded", "left"}
    assert state(before) == (now_rows, now_files)


KILLED = """\
import os
import signal
import sys

from mlflow_dvc.cli.main import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
number, left = signal.Signals[sys.argv[1]], int(sys.argv[2])


def watch(event, args):
    global left
    if event == "open" and "/artifacts/dvc/" in str(args[0]):
        left -= 1
        if not left:
            os.kill(os.getpid(), number)


sys.addaudithook(watch)
sys.argv = ["mlflow-dvc", "backfill", "--yes"]
main()
"""


@pytest.mark.parametrize("before", ["get-started"], indirect=True)
def test_killed(before: Path, tmp_path: Path):
    """Whichever file it was killed or interrupted at, another call leaves the store as if nothing
    had been."""
    kept = tmp_path / "kept"
    kept.mkdir()
    shutil.copy(before / "mlflow.db", kept)
    shutil.copytree(before / "artifacts", kept / "artifacts")
    filled(before)
    rows, files = state(before)
    per_run = sum("/dvc/" in path for path in files) // 5
    (tmp_path / "killed.py").write_text(KILLED)
    kills = [("SIGKILL", one) for one in (1, 2, per_run, 2 * per_run)]
    for name, number in (*kills, ("SIGINT", per_run + 1)):
        bring_back(kept, before)
        script = str(tmp_path / "killed.py")
        done = Project(before / "project").call(sys.executable, script, name, str(number))
        assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL, 130), done.stderr
        said = "what is written stays, and the same command goes on"
        assert (said in done.stderr) == (name == "SIGINT")
        there, _ = state(before)
        assert not rows <= there
        filled(before)
        now_rows, now_files = state(before)
        assert now_rows == rows
        # What MLflow was writing stays under a name of its own, which it does not list.
        whole = {path: now_files[path][0] for path in now_files if ".uploading." not in path}
        assert whole == {path: files[path][0] for path in files}
        for run in all_runs(before):
            [found] = mlflow_dvc.verify(run.info.run_id)
            assert found.verdict == "UNVERIFIED"
