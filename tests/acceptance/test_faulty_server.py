"""A tracking server that fails, hangs, or lets a user only read: as without us, and no more."""

from __future__ import annotations

import base64
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

import mlflow
import pytest
from conftest import SECONDS, Project, make_home
from outcomes import alike, without_ours
from proxies import Forwarder, proxy
from servers import MLFLOW

RUN = """\
import mlflow
with mlflow.start_run(run_name="r"):
    mlflow.log_param("a", 1)
    mlflow.log_metric("b", 2)
print("done")
"""
# So that MLflow itself gives up soon.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "2",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_DVC_WAIT": "10",
}


class Faulty(Forwarder):
    """Asks ``fails`` before it hands a request on."""

    def forward(self, body: bytes) -> None:
        if not self.fails():
            super().forward(body)

    @property
    def begun(self) -> bool:
        return any(line.endswith("/runs/create") for line in self.server.seen[:-1])

    def fails(self) -> bool:
        raise NotImplementedError


class Error(Faulty):
    """After the run was created each request is an error of the server."""

    def fails(self) -> bool:
        if self.begun:
            self.answer(500, b"{}")
        return self.begun


class TooMany(Faulty):
    """Every second request is one too many."""

    def fails(self) -> bool:
        is_second = len(self.server.seen) % 2 == 0
        if is_second:
            self.answer(429, b"{}")
        return is_second


class Hangs(Faulty):
    """After the run was created nothing is answered."""

    def fails(self) -> bool:
        if self.begun:
            time.sleep(PATIENT_SECONDS)  # longer than anybody waits
        return self.begun


class Drops(Faulty):
    """After the run was created each connection is dropped."""

    def fails(self) -> bool:
        if self.begun:
            self.close_connection = True
            self.connection.close()
        return self.begun


class NoArtifacts(Faulty):
    """Artifacts are refused, and nothing else."""

    def fails(self) -> bool:
        is_one = "mlflow-artifacts" in self.path
        if is_one:
            self.answer(503, b"{}")
        return is_one


class Denied(Faulty):
    """Of what we send nothing is allowed: tags after the start, inputs, artifacts."""

    def fails(self) -> bool:
        is_late = any(
            part in self.path for part in ("set-tag", "log-batch", "log-inputs", "mlflow-artifacts")
        )
        if is_late:
            self.answer(403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}')
        return is_late


class Slow(Faulty):
    """Each request takes 200 ms more."""

    def fails(self) -> bool:
        time.sleep(0.2)  # the link
        return False


PATIENT_SECONDS = 15
KINDS = (Error, TooMany, Hangs, Drops, NoArtifacts, Denied, Slow)


def said(text: str) -> str:
    text = re.sub(r"(127\.0\.0\.1\W+(port=)?|experiments/)\d+", "NUMBER", text)
    return alike(text, Path.cwd())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_as_without_us(pipeline: Project, mlflow_server: str, kind: type[Faulty], tmp_path: Path):
    """Whatever the server does, the program ends, and says, what it does without us."""
    pipeline.write("run.py", RUN)
    ends = []
    for enabled in ("0", "1"):
        name = f"{kind.__name__} {enabled} {tmp_path}"
        experiment = mlflow.MlflowClient(mlflow_server).create_experiment(name)
        with proxy(mlflow_server, kind) as server:
            done = pipeline.call(
                sys.executable, "run.py", MLFLOW_DVC_ENABLED=enabled,
                MLFLOW_TRACKING_URI=server.url, MLFLOW_EXPERIMENT_ID=experiment, **PATIENCE,
            )  # fmt: skip
            ends.append((done.returncode, *map(said, (done.stdout, without_ours(done.stderr)))))
    assert ends[1] == ends[0]


@pytest.fixture(scope="session")
def guarded_server(serve: Callable[..., str]) -> str:
    """With users; ``reader`` may read everything."""

    def prepare(folder: Path) -> None:
        make_home(folder)
        (folder / "auth.ini").write_text(
            "[mlflow]\ndefault_permission = READ\nadmin_username = admin\n"
            f"database_uri = sqlite:///{folder}/auth.db\nadmin_password = of the admin\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )

    address = serve(
        "guarded", MLFLOW, "--app-name", "basic-auth", prepare=prepare,
        MLFLOW_AUTH_CONFIG_PATH="auth.ini", MLFLOW_FLASK_SERVER_SECRET_KEY="secret",
    )  # fmt: skip
    user = {"username": "reader", "password": "of the reader"}
    login = base64.b64encode(b"admin:of the admin").decode()
    asked = Request(
        f"{address}/api/2.0/mlflow/users/create",
        json.dumps(user).encode(),
        {"Content-Type": "application/json", "Authorization": f"Basic {login}"},
    )
    urlopen(asked, timeout=SECONDS).close()
    return address


def test_who_may_only_read(pipeline: Project, guarded_server: str):
    """Who may only read gets every answer; a run that he may not start fails as without us."""
    pipeline.write("run.py", RUN)
    admin = {
        "MLFLOW_TRACKING_URI": guarded_server,
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": "of the admin",
        "MLFLOW_EXPERIMENT_NAME": "guarded",
    }
    reader = admin | {
        "MLFLOW_TRACKING_USERNAME": "reader",
        "MLFLOW_TRACKING_PASSWORD": "of the reader",
    }
    pipeline.python("run.py", **admin)
    found = json.loads(pipeline.cli("search", "data/raw.csv", "--json", **reader).stdout)
    [run_id] = [run["run_id"] for run in found["runs"]]
    for words in (
        ["show", run_id],
        ["verify", run_id],
        ["lineage", run_id],
        ["diff", run_id, run_id],
    ):
        done = pipeline.cli(*words, **reader)
        assert done.returncode in (0, 2), done.stderr  # 2: what `verify` cannot know
        assert "Traceback" not in done.stderr
        assert "PERMISSION" not in done.stderr + done.stdout
    ends = []
    for enabled in ("0", "1"):
        done = pipeline.call(sys.executable, "run.py", MLFLOW_DVC_ENABLED=enabled, **reader)
        ends.append((done.returncode, *map(said, (done.stdout, without_ours(done.stderr)))))
    assert ends[0][0] == 1
    assert ends[1] == ends[0]
