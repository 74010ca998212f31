"""The story that ``mlflow-dvc demo`` tells: two runs on two versions of real data."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.cli.render import search as render
from mlflow_dvc.cli.terminal import DemoOutput
from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.recall.search import search

if TYPE_CHECKING:
    from mlflow.entities import Run

RAW = "data/raw/train.csv"
PREPARED = "data/prepared/train.pkl"
_OPENING = """\
A model is trained twice, on two deliveries of its data, with MLflow and DVC. No line of its code
knows of mlflow-dvc. Then both runs are found by the data that they saw.
"""
_MAX_TAIL_LINES = 15
_UP_SECONDS = 120  # that MLflow takes to start, at most
_SHORT_HASH_DIGITS = 8
# What an image that only records runs has not, in words of `import`.
_NEEDED = ("dvc", "sqlalchemy", "pandas", "sklearn")


def run_demo(directory: str, output: DemoOutput, *, opens: bool = False) -> None:
    """Do everything in ``directory``, which must be empty or not there yet.

    With ``opens`` MLflow's page of the two runs is opened, until Ctrl-C.

    Raises :class:`~mlflow_dvc.MlflowDvcError` with the output of the command that failed.
    """
    if lacking := [name for name in _NEEDED if find_spec(name) is None]:
        raise MlflowDvcError(
            f"{lacking[0]}, which the demo works with, is not installed here",
            "Install it: pip install mlflow-dvc",
        )
    stage = _Stage(_empty(directory), output)
    output.say(_OPENING)
    stage.lay_out()
    stage.deliver("dataset-v1", rows="400")
    stage.train("First model")
    stage.deliver("dataset-v2")
    stage.train("Model on all of the data")
    stage.show()
    if opens:
        stage.open_page()


class _Stage:
    def __init__(self, directory: Path, output: DemoOutput) -> None:
        self.directory = directory
        self.uri = f"sqlite:///{directory / 'mlflow.db'}"
        self.output = output
        self._environment = _environment(self.uri)

    def lay_out(self) -> None:
        with self.output.step("lay out the project: git, DVC, a DVC remote"):
            shutil.copytree(_project(), self.directory, dirs_exist_ok=True)
            self._run("git", "init", "--quiet", "--initial-branch=main")
            self._run("git", "config", "user.name", "mlflow-dvc demo")
            self._run("git", "config", "user.email", "demo@localhost")
            self._run("git", "config", "commit.gpgsign", "false")
            self._dvc("init", "--quiet")
            self._dvc("config", "core.autostage", "true")
            self._dvc("remote", "add", "--quiet", "-d", "storage", ".storage")
            self._commit("Pipeline and training code")

    def deliver(self, name: str, rows: str = "") -> None:
        with self.output.step(f"{name}: {rows or 'all'} rows of {RAW}, tracked by DVC"):
            self._run(sys.executable, "src/get_data.py", *([rows] if rows else []))
            self._dvc("add", "--quiet", RAW)
            self._commit(name)
            self._run("git", "tag", name)

    def train(self, message: str) -> None:
        with self.output.step("dvc repro: prepare, then train, which logs to MLflow"):
            self._dvc("repro")
            self._commit(message)
        with self.output.step("dvc push"):
            self._dvc("push", "--quiet")

    def show(self) -> None:
        say = self.output.say
        with self.output.step("ask MLflow for the runs"):
            runs = list(tracking.find_runs("", self.uri))
        runs.sort(key=lambda run: run.info.start_time)
        if len(runs) != 2 or not all(_prepared(run) for run in runs):
            raise MlflowDvcError(
                "the two runs do not carry the hashes they should",
                "Is the plugin loaded? `python -c 'import mlflow'` must print no warning",
            )
        say("\nTwo runs of the same training code. Which data each one saw:\n")
        self.output.table(["", *(run.info.run_name for run in runs)], _compared(runs))
        for run in runs:
            what = f"{PREPARED}@{_prepared(run)[:_SHORT_HASH_DIGITS]}"
            say()
            self.output.command(f"mlflow-dvc search {what}")
            render.print_matches(search(what, tracking_uri=self.uri), self.output.console)
        say("\nThe same in MLflow's own search box:\n")
        say(f"  tags.`{tag.OUT}{PREPARED}` = '{_prepared(runs[-1])}'")
        say(f"  tags.{tag.HASHES} LIKE '% {_prepared(runs[-1])[:_SHORT_HASH_DIGITS]}%'")
        where = os.path.relpath(self.directory)
        say("\nMLflow's page of these runs:\n")
        self.output.command(
            f"{_named('mlflow')} ui --backend-store-uri sqlite:///{where}/mlflow.db"
        )
        say("\nGo on in the project, with the models that were registered:\n")
        ours = _named("mlflow-dvc")
        self.output.command(f"cd {where} && export MLFLOW_TRACKING_URI=sqlite:///mlflow.db")
        self.output.command(f"{ours} diff models:/churn/1 models:/churn/2")
        self.output.command(f"{ours} restore models:/churn/1 --to ../first-model")

    def open_page(self) -> None:
        """Raises MlflowDvcError where MLflow does not start."""
        port = _free_port()
        where = f"http://127.0.0.1:{port}"
        words = ("-m", "mlflow", "ui", "--port", str(port), "--backend-store-uri", self.uri)
        with self.output.step("start MLflow's page"):
            server = subprocess.Popen(
                [sys.executable, *words],
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            _wait_for(f"{where}/health", server)
        experiment = next(iter(tracking.find_runs("", self.uri))).info.experiment_id
        page = f"{where}/#/experiments/{experiment}/runs"
        self.output.say(f"\n{page}\n\nCtrl-C ends it.")
        try:
            webbrowser.open(page)
            server.wait()
        finally:
            server.terminate()
            server.wait()

    def _dvc(self, *words: str) -> None:
        self._run(sys.executable, "-m", "dvc", *words)

    def _commit(self, message: str) -> None:
        self._run("git", "add", "--all")
        self._run("git", "commit", "--quiet", "--message", message)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            tail = done.stdout.decode("utf-8", "replace").splitlines()[-_MAX_TAIL_LINES:]
            words = " ".join(command).replace(sys.executable, "python")
            raise MlflowDvcError(f"`{words}` failed in {self.directory}:\n" + "\n".join(tail))


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _UP_SECONDS
    while server.poll() is None and time.monotonic() < until:
        try:
            with urlopen(url, timeout=1):  # noqa: S310 - of this machine
                return
        except OSError:
            time.sleep(0.2)
    server.terminate()
    raise MlflowDvcError("MLflow's page does not start", "See what `mlflow ui` says")


def _named(command: str) -> str:
    """How this environment's ``command`` can be called from anywhere."""
    ours = os.path.join(os.path.dirname(sys.executable), command)
    on_path = shutil.which(command)
    return command if on_path and os.path.realpath(on_path) == os.path.realpath(ours) else ours


def _compared(runs: Sequence[Run]) -> list[list[str]]:
    rows = {
        "code (git_describe)": lambda run: run.data.tags.get(tag.GIT_DESCRIBE, "-"),
        "data version": lambda run: run.data.tags.get(tag.DATA_VERSION, "-"),
        RAW: lambda run: run.data.tags.get(tag.OUT + RAW, "-"),
        PREPARED: _prepared,
        "accuracy": lambda run: f"{run.data.metrics['accuracy']:.4f}",
    }
    return [[name, *map(value, runs)] for name, value in rows.items()]


def _prepared(run: Run) -> str:
    return run.data.tags.get(tag.OUT + PREPARED, "")


def _project() -> Path:
    return Path(str(resources.files("mlflow_dvc") / "demo" / "project"))


def _empty(directory: str) -> Path:
    path = Path(directory).resolve()
    if shutil.which("git") is None:
        raise MlflowDvcError("the demo needs git, which is not on PATH", "Install git")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise MlflowDvcError(f"{path} is not empty", "Name a directory that does not exist yet")
    path.mkdir(parents=True, exist_ok=True)
    return path


def _environment(uri: str) -> Mapping[str, str]:
    """This process's, less what would lead git, DVC or MLflow elsewhere; this Python goes first."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "DVC_", "GIT_"))
    }
    path = os.pathsep.join([os.path.dirname(sys.executable), kept.get("PATH", os.defpath)])
    return kept | {
        "PATH": path,
        "MLFLOW_TRACKING_URI": uri,
        "DVC_NO_ANALYTICS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
