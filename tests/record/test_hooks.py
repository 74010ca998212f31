"""Between MLflow and us: hooked reversibly, and no fault of ours or a server's reaches the user."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from conftest import Project
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.exceptions import MlflowException
from mlflow.tracking._tracking_service.client import TrackingServiceClient
from proxies import Deaf, Forwarder, proxy

from mlflow_dvc import settings
from mlflow_dvc import tags as tag
from mlflow_dvc.record import hooks, run_start

pytestmark = pytest.mark.hosts

METHODS = [
    (TrackingServiceClient, "__init__"),
    (TrackingServiceClient, "create_run"),
    (TrackingServiceClient, "set_terminated"),
    (mlflow.ActiveRun, "__init__"),
    (CodeDatasetSource, "__init__"),
]
if hasattr(TrackingServiceClient, "create_logged_model"):
    METHODS += [(TrackingServiceClient, "create_logged_model")]
    METHODS += [(TrackingServiceClient, "finalize_logged_model")]


@pytest.fixture
def here(pipeline: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(pipeline.root)
    return pipeline


@pytest.fixture
def hooked() -> Iterator[None]:
    """Whatever a test does to the hook, it is in place again afterwards."""
    yield
    hooks.uninstall()
    hooks.install()


def is_hooked() -> list[bool]:
    return [hasattr(getattr(owner, name), "__wrapped__") and is_ours(owner, name)
            for owner, name in METHODS]  # fmt: skip


def is_ours(owner: type, name: str) -> bool:
    return getattr(owner, name).__code__.co_name == "mlflow_dvc_wrapper"


def record_of_a_run() -> dict[str, str]:
    with mlflow.start_run() as run:
        pass
    return tag.own_tags(mlflow.get_run(run.info.run_id).data.tags)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("", True),
        ("i", True),
        ("ii", True),
        ("u", False),
        ("uu", False),
        ("ui", True),
        ("uii", True),
        ("uiu", False),
        ("iuiui", True),
    ],
)
def test_life_cycle(hooked, tracking_uri, steps: str, expected: bool):
    """``install`` and ``uninstall`` undo one another, however often and in whatever order."""
    mlflow.MlflowClient()  # ActiveRun is wrapped when the first client is made
    for step in steps:
        hooks.install() if step == "i" else hooks.uninstall()
    assert is_hooked() == [expected] * len(METHODS)
    hooks.uninstall()
    assert not any(hasattr(getattr(owner, name), "__wrapped__") and is_ours(owner, name)
                   for owner, name in METHODS)  # fmt: skip


def test_without_the_hook(here: Project, hooked):
    """Uninstalled, the provider still tags, and nothing is attached."""
    hooks.uninstall()
    with mlflow.start_run() as run:
        pass
    tags = tag.own_tags(mlflow.get_run(run.info.run_id).data.tags)
    assert tags["git_sha"] == here.git("rev-parse", "HEAD")
    assert tags["dvc.out.data/prepared.csv"] == here.lock()["data/prepared.csv"]
    assert mlflow.MlflowClient().list_artifacts(run.info.run_id) == []
    hooks.install()
    after = record_of_a_run()
    assert after.pop("dvc.reads").startswith("partial: "), "it began with the run"
    assert after == tags | {"git_dirty": "false", "dvc.data_status": "clean"}


def test_wrapped_by_somebody_else(here: Project, hooked):
    """When somebody wrapped our wrapper, ``uninstall`` leaves theirs and ours passes through."""
    inner = TrackingServiceClient.create_run
    calls = []

    def theirs(self, *args, **kwargs):
        calls.append(kwargs)
        return inner(self, *args, **kwargs)

    TrackingServiceClient.create_run = theirs
    try:
        hooks.uninstall()
        assert TrackingServiceClient.create_run is theirs
        with mlflow.start_run():
            pass
        assert len(calls) == 1
    finally:
        TrackingServiceClient.create_run = inner.__wrapped__


def test_the_hosts_own_errors(here: Project):
    """What MLflow says to a wrong call is what it says without us."""
    client = mlflow.MlflowClient()
    with pytest.raises(MlflowException, match="No Experiment with id=4711"):
        client.create_run("4711")
    with pytest.raises(TypeError):
        client.create_run()
    with pytest.raises(MlflowException, match="not found"):
        client.set_terminated("0" * 32)


@pytest.mark.swallows
def test_a_fault_of_ours(here: Project, caplog, monkeypatch, nothing_swallowed):
    """A fault of ours costs one line on the log, with the way to turn us off, and nothing else."""

    def fails(*args: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(run_start.workspace, "capture_run", fails)
    for _ in range(3):
        assert record_of_a_run() == {}
    lines = [record.getMessage() for record in caplog.records if record.name == "mlflow_dvc"]
    assert len(lines) == 1
    assert "a fault of ours" in lines[0]
    assert "MLFLOW_DVC_ENABLED=0" in lines[0]
    assert nothing_swallowed


def test_strict(here: Project, monkeypatch):
    """MLFLOW_DVC_STRICT=1 raises what would be swallowed: for continuous integration."""

    def fails(*args: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setenv("MLFLOW_DVC_STRICT", "1")
    monkeypatch.setattr(run_start.workspace, "capture_run", fails)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        mlflow.start_run()


def test_ctrl_c_passes(here: Project, monkeypatch):
    """Ctrl-C while we work is the user's, not ours."""

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_start.workspace, "capture_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mlflow.start_run()


@pytest.mark.parametrize("error", ["RuntimeError", "SyntaxError", "ValueError", "ImportError"])
def test_import_mlflow_never_fails(error: str, tmp_path: Path):
    """Whatever breaks when the hook is loaded, ``import mlflow`` works: MLflow itself would not
    survive a RuntimeError there."""
    code = f"""
import sys, importlib.abc
class Broken(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "mlflow_dvc.record.hooks":
            raise {error}("broken on purpose")
sys.meta_path.insert(0, Broken())
import mlflow
mlflow.set_tracking_uri("file:{tmp_path}/mlruns")
with mlflow.start_run():
    mlflow.log_metric("x", 1)
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "fine", done.stderr
    assert "could not hook into MLflow: broken on purpose" in done.stderr


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("dvc.lock", "", "schema is missing"),
        ("dvc.lock", "schema: '2.0'\nstages:\n  train: {outs: [", "not valid YAML at line"),
        ("dvc.lock", "<<<<<<< HEAD\nschema: '2.0'\n=======\n", "merge conflict"),
        ("dvc.lock", b"\x00\xff\xfe", "cannot be read"),
        ("dvc.yaml", "stages: [", "not valid YAML at line"),
        ("data/raw.csv.dvc", b"\x80", "cannot be read"),
        (".git/HEAD", "", "neither a commit nor a branch"),
        (".git/HEAD", b"\xff\x00", "neither a commit nor a branch"),
    ],
)
def test_broken_files(here: Project, path: str, content: str | bytes, reason: str):
    """A broken file: the run starts, one line names the file and the reason, the rest is there."""
    sha = here.git("rev-parse", "HEAD")
    here.write(path, content)
    done = here.call(sys.executable, "run.py")
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "mlflow-dvc" in line]
    assert path in line
    assert reason in line
    [run] = mlflow.search_runs(search_all_experiments=True, output_format="list")
    tags = tag.own_tags(run.data.tags)
    if path != ".git/HEAD":
        assert tags["git_sha"] == sha
    if not path.endswith(".dvc"):
        assert "dvc.out.data/raw.csv" in tags
    if path == "dvc.lock":
        assert "dvc.out.data/prepared.csv" not in tags
    if path == "data/raw.csv.dvc":
        assert "dvc.out.data/prepared.csv" in tags


def in_experiment(artifact_location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = mlflow.MlflowClient().create_experiment("elsewhere", artifact_location)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)


def test_a_store_that_refuses_artifacts(here: Project, monkeypatch, tmp_path: Path):
    """Where nothing can be attached the run has its tags; one line says why, another what then."""
    (tmp_path / "a-file").write_text("not a directory")
    in_experiment((tmp_path / "a-file" / "inside").as_uri(), monkeypatch)
    done = here.call(sys.executable, "run.py")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "mlflow-dvc" in line]
    assert [("attach the record" in line, "is kept" in line) for line in lines] == [
        (True, False), (False, True),
    ]  # fmt: skip
    [run] = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.info.status == "FINISHED"
    assert run.data.tags["git_sha"] == here.git("rev-parse", "HEAD")


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes every connection and never answers."""
    server = Deaf()
    yield f"{server.url}/artifacts"
    server.close()


def test_a_store_that_hangs_is_waited_for_once(here: Project, monkeypatch, silent_server: str):
    """However many runs end while an upload hangs, and at the exit, one of them waits for it."""
    in_experiment(silent_server, monkeypatch)
    here.write("timed.py", "import mlflow, time\nstart = time.monotonic()\n"
               "for _ in range(4):\n    with mlflow.start_run(): pass\n"
               "print(time.monotonic() - start)\nmlflow.start_run()\n")  # fmt: skip
    done = here.call(sys.executable, "timed.py", MLFLOW_DVC_WAIT="6")
    assert done.returncode == 0, done.stderr
    assert 4.8 <= float(done.stdout.splitlines()[-1]) < 14, "naive: five seconds for each run"
    lines = [line for line in done.stderr.splitlines() if "mlflow-dvc" in line]
    assert [("not complete" in line, "is kept" in line) for line in lines] == [
        (True, False), (False, True),
    ]  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_wait(here: Project, monkeypatch, silent_server: str):
    """A child that is forked while our upload hangs ends at once: the upload is its parent's."""
    in_experiment(silent_server, monkeypatch)
    here.write(
        "forking.py",
        """
import multiprocessing, os, time
import mlflow

def nothing():
    pass

if __name__ == "__main__":
    mlflow.start_run()
    time.sleep(1)  # the upload has begun
    context = multiprocessing.get_context("fork")
    start = time.monotonic()
    for _ in range(3):
        child = context.Process(target=nothing)
        child.start()
        child.join()
    print(time.monotonic() - start, flush=True)
    os._exit(0)
""",
    )
    done = here.call(sys.executable, "-W", "ignore", "forking.py", MLFLOW_DVC_WAIT="30")
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) < 30, "naive: half a minute for each child"


@pytest.mark.swallows
def test_no_thread_can_be_started(here: Project, monkeypatch, attached):
    """Where no thread can be started the run is tagged, nothing is attached and nobody waits."""

    def fails(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    start = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fails)
        with mlflow.start_run() as run:
            pass
    assert time.monotonic() - start < settings.wait_seconds() / 2
    assert tag.own_tags(mlflow.get_run(run.info.run_id).data.tags)
    with mlflow.start_run() as run:
        pass
    assert attached(run.info.run_id)


@pytest.mark.parametrize("wait", ["inf", "1e300", "-3", "nan", "soon"])
def test_odd_waits(here: Project, wait: str):
    """Whatever stands in MLFLOW_DVC_WAIT, the run and the process end well."""
    here.python("run.py", MLFLOW_DVC_WAIT=wait)


def test_a_users_bad_tag(here: Project, monkeypatch, tmp_path: Path):
    """A tag that MLflow refuses is refused as without us: same error, no second try."""
    mlflow.set_tracking_uri((tmp_path / "files").as_uri())
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")
    errors = []
    for switch in ("0", "1"):
        monkeypatch.setenv("MLFLOW_DVC_ENABLED", switch)
        with pytest.raises(MlflowException) as caught:
            mlflow.start_run(tags={"a//b": "x"})
        errors.append((str(caught.value), caught.value.__context__))
        made = mlflow.search_runs(search_all_experiments=True, output_format="list")
        assert len(made) == 1 + int(switch)
    assert errors[0] == errors[1]


def test_a_store_that_never_answers(here: Project, monkeypatch, silent_server: str):
    """The end of a run and of the process wait for MLFLOW_DVC_WAIT seconds and no longer."""
    in_experiment(silent_server, monkeypatch)
    here.write("timed.py", "import mlflow, time\nstart = time.monotonic()\n"
               "with mlflow.start_run(): pass\nprint(time.monotonic() - start)\n")  # fmt: skip
    done = here.call(sys.executable, "timed.py", MLFLOW_DVC_WAIT="1")
    assert done.returncode == 0, done.stderr
    waited = float(done.stdout.splitlines()[-1])
    assert 0.8 <= waited < 60, "neither without waiting nor for the two minutes of a HTTP time-out"
    lines = [line for line in done.stderr.splitlines() if "mlflow-dvc" in line]
    assert "is not complete after 1 s" in lines[0]
    assert "MLFLOW_DVC_WAIT" in lines[0]


class Picky(Forwarder):
    """Stands before an MLflow server, and does not take a tag of ours."""

    def forward(self, body: bytes) -> None:
        if self.path.endswith("runs/create") and b"dvc.data_status" in body:
            refusal = {
                "error_code": "INVALID_PARAMETER_VALUE",
                "message": "no such tag: dvc.data_status",
            }
            self.answer(400, json.dumps(refusal).encode())
        else:
            super().forward(body)


def test_a_server_and_its_refusals(here: Project, mlflow_server: str, monkeypatch, caplog):
    """Over HTTP a run has the same record; a server that refuses our tags costs the tags, never
    the run."""
    mlflow.set_tracking_uri(mlflow_server)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", mlflow.create_experiment("refusals"))
    with mlflow.start_run() as run:
        pass
    tags = mlflow.get_run(run.info.run_id).data.tags
    assert tags["git_sha"] == here.git("rev-parse", "HEAD")
    names = [entry.path for entry in mlflow.MlflowClient().list_artifacts(run.info.run_id, "dvc")]
    assert {"dvc/dvc.lock", "dvc/snapshot.json"} <= set(names)

    with proxy(mlflow_server, Picky) as picky:
        mlflow.set_tracking_uri(picky.url)
        with caplog.at_level(logging.WARNING), mlflow.start_run(tags={"mine": "kept"}) as run:
            pass
        stored = mlflow.get_run(run.info.run_id)
    assert stored.data.tags["mine"] == "kept"
    assert stored.info.status == "FINISHED"
    assert "no such tag: dvc.data_status" in caplog.text
