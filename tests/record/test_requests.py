"""What a run costs a tracking server: the requests of a run with its record, less those without."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import mlflow
import pytest
from conftest import SECONDS, Project

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


class Counter(ThreadingHTTPServer):
    """Hands every request on to a server, and notes it."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.seen: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def sent(self, name: str) -> int:
        return sum(line.startswith("PUT") and line.endswith(f"/{name}") for line in self.seen)


class Handler(BaseHTTPRequestHandler):
    server: Counter
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.seen.append(f"{self.command} {self.path.partition('?')[0]}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Request(self.server.upstream + self.path, body or None, method=self.command)
        if kind := self.headers.get("Content-Type"):
            asked.add_header("Content-Type", kind)
        try:
            with urlopen(asked, timeout=SECONDS) as answer:
                status, content = answer.status, answer.read()
        except HTTPError as error:
            status, content = error.code, error.read()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def counter(mlflow_server: str) -> Iterator[Counter]:
    with Counter(mlflow_server) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


@pytest.fixture
def busy(pipeline: Project, counter: Counter, request: pytest.FixtureRequest) -> Project:
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


def count(project: Project, counter: Counter, *command: str, **env: str) -> list[str]:
    counter.seen.clear()
    project.run(*command, **env)
    return list(counter.seen)


@pytest.mark.parametrize("data", ["known", "changed"])
@pytest.mark.parametrize("script", [RUN, LONG], ids=["short", "long"])
def test_few(busy: Project, counter: Counter, script: str, data: str):
    """A run with everything in it makes eight requests more at most, and none of them twice."""
    busy.write("run.py", script)
    without = count(busy, counter, "python", "run.py", MLFLOW_DVC_ENABLED="0")
    if data == "changed":
        busy.write("data/raw.csv", "a,b\n5,6\n")
    seen = count(busy, counter, "python", "run.py")
    assert len(seen) - len(without) <= 8, seen
    assert {name: counter.sent(name) for name in FILES} == dict.fromkeys(FILES, 1)


def test_few_of_a_stage(busy: Project, counter: Counter):
    """A run of a stage, whose record is complete when the process ends, makes no more."""
    without = count(busy, counter, "dvc", "repro", "--force", MLFLOW_DVC_ENABLED="0")
    seen = count(busy, counter, "dvc", "repro", "--force")
    assert len(seen) - len(without) <= 8, seen
    assert {name: counter.sent(name) for name in FILES} == dict.fromkeys(FILES, 1)


def test_few_of_a_sweep(busy: Project, counter: Counter):
    """A child run with the record of its parent makes three requests more at most."""
    busy.write("run.py", SWEEP)
    without = count(busy, counter, "python", "run.py", MLFLOW_DVC_ENABLED="0")
    seen = count(busy, counter, "python", "run.py")
    assert len(seen) - len(without) <= 8 + 5 * 3, seen
