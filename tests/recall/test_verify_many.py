"""Verify a whole store: soon the first answers, each question once, and on from where it ended."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import SECONDS, Project

import mlflow_dvc
from mlflow_dvc.recall.verify import start_verification

MANY = """\
import mlflow

for number in range(30):
    with mlflow.start_run():
        pass
"""


@pytest.fixture
def many(pipeline: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Thirty runs of one commit, more than are judged at a time when it begins."""
    pipeline.python(str(pipeline.write("many.py", MANY)))
    monkeypatch.chdir(pipeline.root)
    return pipeline


def remove_artifacts(run: Any) -> None:
    shutil.rmtree(urlsplit(run.info.artifact_uri).path)


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_each_answer_as_soon_as_it_is_there(many: Project, runs):
    """Of thirty runs the first is answered before the last is looked at."""
    found = start_verification(all_runs=True)
    each = iter(found)
    first = next(each)
    assert (first.verdict, found.total) == ("PASS", 30)
    last = runs()[0]  # newest first
    remove_artifacts(last)
    verdicts = {one.run_id: one.verdict for one in each}
    assert len(verdicts) == 29
    assert {key for key in verdicts if verdicts[key] != "PASS"} == {last.info.run_id}


def test_ended_and_resumed(many: Project, tmp_path: Path, runs):
    """After a kill the same command asks only for what is not in the file, and prints all."""
    file = tmp_path / "audit.jsonl"
    command = (sys.executable, "-m", "mlflow_dvc", "verify", "--all", "--resume", str(file))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("PASS")
        process.send_signal(signal.SIGKILL)
        process.wait(SECONDS)
    known = rows(file)
    assert 0 < len(known) <= 20
    file.write_bytes(file.read_bytes() + b'{"run_id": "of which the end is missing')
    by_id = {run.info.run_id: run for run in runs()}
    remove_artifacts(by_id[known[0]["run_id"]])
    done = many.cli("verify", "--all", "--resume", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert Counter(line.split()[0] for line in done.stdout.splitlines()) == {"PASS": 30}
    assert rows(file)[: len(known)] == known
    assert Counter(row["run_id"] for row in rows(file)) == dict.fromkeys(by_id, 1)
    assert all(row["verified_at"].endswith("+00:00") for row in rows(file))
    assert (
        mlflow_dvc.verify(all_runs=True, resume=str(file))
        == mlflow_dvc.verify(*by_id, resume=str(file))[::-1]
    )


@pytest.mark.skipif(os.name == "nt", reason="terminals of Linux and macOS")
def test_on_a_terminal(many: Project):
    """A person sees a bar that moves, and the answers above it, each on a line of its own."""
    ours, theirs = os.openpty()
    command = (sys.executable, "-m", "mlflow_dvc", "verify", "--all")
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # Linux's way to say that the other end is closed
            while more := os.read(ours, 65536):
                said += more
    os.close(ours)
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode())
    assert re.search(r"\d+ of 30 runs", text)
    # What stands on each line when the next one begins.
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    assert sum(line.startswith("PASS ") for line in lines) == 30
    assert not any("PASS" in line for line in lines if "runs" in line)


def test_unknown_is_asked_again(many: Project, tmp_path: Path, runs):
    """What could not be told is no answer to go on from."""
    file = str(tmp_path / "audit.jsonl")
    run = runs()[0]
    artifacts = Path(urlsplit(run.info.artifact_uri).path)
    artifacts.rename(tmp_path / "away")
    (away,) = mlflow_dvc.verify(run.info.run_id, resume=file)
    assert away.verdict == "UNVERIFIED"
    (tmp_path / "away").rename(artifacts)
    (back,) = mlflow_dvc.verify(run.info.run_id, resume=file)
    assert back.verdict == "PASS"
    assert [row["verdict"] for row in rows(Path(file))] == ["UNVERIFIED", "PASS"]


OTHER_FILES = {
    "text": b"what I have written",
    "lines": b"one\ntwo\n",
    "json": b'{"a": 1}\n',
    "verdict": b'{"run_id": "a", "run_name": "b", "verdict": "GOOD", "items": []}\n',
    "part": b'{"run_id": "a", "run_name": "b", "verdict": "PASS", "items": [5]}\n',
    "bytes": b"\xff\xfe\n",
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_FILES)
def test_other_file(pipeline: Project, tmp_path: Path, name: str):
    """A file that verify has not written is refused, and stays as it is."""
    file = tmp_path / "mine"
    file.write_bytes(OTHER_FILES[name])
    done = pipeline.cli("verify", "--all", "--resume", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{file} is no" in done.stderr
    assert "Name a file that is not there yet" in done.stderr
    assert file.read_bytes() == OTHER_FILES[name]


def test_equal_settings_in_two_projects(
    make_project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What the remote that a commit names has is found for each project of it, however late."""
    monkeypatch.setattr("mlflow_dvc.recall.verify.verification._TOGETHER", (1, 1))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/both.db")
    repository = make_project(dvc=False)
    projects = [Project(repository.root / name) for name in ("a", "b")]
    for one in projects:
        one.root.mkdir()
        one.dvc("init", "--quiet", "--subdir")
        one.dvc("remote", "add", "--quiet", "--default", "there", str(tmp_path / "there"))
        one.write("raw.csv", "1,2\n")
        one.dvc("add", "--quiet", "raw.csv")
        one.dvc("push", "--quiet")
        one.write("run.py", "import mlflow\nwith mlflow.start_run():\n    pass\n")
    repository.commit("with a remote")
    for one in projects:
        one.python("run.py")
        shutil.rmtree(one.root / ".dvc/cache")
        one.write(".dvc/config", "")
    repository.commit("without")
    monkeypatch.chdir(repository.root)
    found = mlflow_dvc.verify(all_runs=True)
    data = [item for one in found for item in one.items if item.part == "data"]
    assert [(item.verdict, item.reason) for item in data] == [("PASS", "remote there")] * 2


def test_outside_of_the_project(many: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where no checkout is at hand, a commit is fetched once for all runs of it."""
    bare = tmp_path / "bare.git"
    many.git("clone", "--quiet", "--bare", str(many.root), str(bare))
    many.git("remote", "add", "origin", bare.as_uri())
    many.python("many.py")
    outside = tmp_path / "outside"
    outside.mkdir()
    monkeypatch.chdir(outside)
    events = tmp_path / "git"
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(events))
    found = mlflow_dvc.verify(all_runs=True)
    with_remote = [
        one for one in found if any(item.reason == f"on {bare.as_uri()}" for item in one.items)
    ]
    assert len(with_remote) == 30
    commands = [
        event["argv"]
        for event in map(json.loads, events.read_text().splitlines())
        if event["event"] == "start" and "fetch" in event["argv"]
    ]
    # The clone, whether the remote itself has it, and which DVC remotes it names today.
    assert len(commands) == 3, commands
    assert os.listdir(outside) == []
