"""Many clients of one server as a team has it: on PostgreSQL, with artifacts in S3."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import Project
from servers import Team

from mlflow_dvc import snapshot

CLIENTS, RUNS = 8, 50
FILES = ("dvc.lock", "snapshot.json", "record.md", "report.html", "code.patch", "project.zip")
LOOP = """\
import sys
import mlflow
for number in range(int(sys.argv[1])):
    with mlflow.start_run(run_name=f"{sys.argv[2]}-{number}"):
        mlflow.log_param("number", number)
        mlflow.log_metric("m", number)
"""


@pytest.fixture
def clients(reproduced_once: Path, tmp_path: Path) -> list[Project]:
    """A clone for each, with data, and code, of its own."""

    def make(number: int) -> Project:
        root = tmp_path / f"client{number}"
        shutil.copytree(reproduced_once, root, symlinks=True)
        project = Project(root)
        project.write("loop.py", LOOP)
        project.write("data/raw.csv", f"a,b\n{number},2\n")
        project.dvc("add", "--quiet", "data/raw.csv")
        project.commit(f"client {number}")
        project.write("src/train.py", f"# client {number}\n")
        return project

    return [make(number) for number in range(CLIENTS)]


def work(clients: list[Project], team: Team, **env: str) -> list[tuple[int, str]]:
    """All of them at once; how each ended, and what it complained of."""

    def start(number: int) -> tuple[int, str]:
        words = [sys.executable, "loop.py", str(RUNS), str(number)]
        variables = {"MLFLOW_TRACKING_URI": team.address, **team.env, **env}
        done = clients[number].call(*words, **variables)
        return done.returncode, done.stderr

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(start, range(CLIENTS)))


def objects(team: Team, prefix: str) -> Iterator[tuple[str, bytes]]:
    import boto3

    with pytest.MonkeyPatch.context() as patch:
        for name, value in team.env.items():
            patch.setenv(name, value)
        store = boto3.client("s3", endpoint_url=team.env["MLFLOW_S3_ENDPOINT_URL"])
    for page in store.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=prefix):
        for one in page.get("Contents", ()):
            yield one["Key"], store.get_object(Bucket="bucket", Key=one["Key"])["Body"].read()


@pytest.mark.parametrize("way", ["proxied", "direct"])
def test_many_clients(team_server: Team, clients: list[Project], way: str):
    """Every run of each is FINISHED, and its record is whole, and that of its own code and data."""
    client = mlflow.MlflowClient(team_server.address)
    location = {"direct": "s3://bucket/direct"}.get(way)
    experiment = client.create_experiment(way, location)
    ends = work(clients, team_server, MLFLOW_EXPERIMENT_ID=experiment)
    assert ends == [(0, "")] * CLIENTS
    runs = list(client.search_runs([experiment], max_results=5000))
    names = {f"{number}-{run}" for number in range(CLIENTS) for run in range(RUNS)}
    assert {run.info.run_name for run in runs} == names
    stored = dict(objects(team_server, f"{way}/{experiment}/" if way == "proxied" else "direct/"))
    for run in runs:
        check(run, clients[int(run.info.run_name.split("-")[0])], stored)


def check(run: Any, client: Project, stored: dict[str, bytes]) -> None:
    assert run.info.status == "FINISHED"
    tags = run.data.tags
    raw = dict(line.strip().split(": ") for line in _entry(client) if ": " in line)
    assert tags["dvc.out.data/raw.csv"] == raw["md5"]
    assert tags["git_sha"] == client.git("rev-parse", "HEAD")
    assert tags["git_dirty"] == "true"
    assert tags["dvc.data_status"] == "clean"
    mine = {key.partition(f"/{run.info.run_id}/artifacts/")[2]: key for key in stored}
    files = {name: stored[key] for name, key in mine.items() if name.startswith("dvc/")}
    assert files.keys() == {
        f"dvc/{name}"
        for name in (
            "dvc.lock",
            "snapshot.json",
            "record.md",
            "report.html",
            "code.patch",
            "project.zip",
        )
    }
    assert f"# {client.root.name[:6]} {client.root.name[6:]}".encode() in files["dvc/code.patch"]
    told = snapshot.read_snapshot(files["dvc/snapshot.json"])
    assert told.git
    assert told.git.sha == tags["git_sha"]
    assert any(entry.hash == raw["md5"] for entry in told.data)


def _entry(client: Project) -> list[str]:
    text = (client.root / "data/raw.csv.dvc").read_text()
    return [line.removeprefix("- ") for line in text.splitlines()]
