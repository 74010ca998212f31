"""What the program around us can see of our processes, threads and folders."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from conftest import Project

from mlflow_dvc import hidden_shell
from mlflow_dvc.process import start_process
from mlflow_dvc.program import Program, open_memory
from mlflow_dvc.scratch_folder import scratch_folder

pytestmark = [
    pytest.mark.fresh,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux hides a process"),
]

# Data that was never hashed by DVC as it is now, code that is not committed: all children at work.
RUNS = """
import os, signal, sys, threading, time
sys.modules["git"] = None  # by which MLflow has children of its own
import mlflow

{before}
for number in range(2):
    with mlflow.start_run():
        mlflow.log_metric("m", 1)
        time.sleep(0.5)  # the check of the data is under way
{after}
"""
SEEN = """
seen = []
signal.signal(signal.SIGCHLD, lambda *_: seen.append(os.waitpid(-1, os.WNOHANG)))
"""
IGNORED = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
WAITS = """
seen = []
def wait():
    while True:
        try:
            seen.append(os.wait())
        except ChildProcessError:
            time.sleep(0.001)  # as a pool does that has no child just now
threading.Thread(target=wait, daemon=True).start()
"""


@pytest.fixture
def changed(pipeline: Project) -> Project:
    pipeline.write("data/more.bin", "x" * 2_000_000)
    pipeline.write("data/raw.csv", "a,b\n" * 200_000)
    pipeline.write("src/prepare.py", (pipeline.root / "src/prepare.py").read_text() + "# changed\n")
    return pipeline


@pytest.mark.hosts
@pytest.mark.parametrize("before", [SEEN, IGNORED, WAITS], ids=["handler", "ignored", "wait"])
def test_no_child_is_seen(changed: Project, runs, attached, before: str):
    """Who waits for children, or is told of them, meets none of ours."""
    changed.write("run.py", RUNS.format(before=before, after="print(globals().get('seen', []))"))
    assert changed.python("run.py").splitlines()[-1] == "[]"
    for run in runs():
        assert run.data.tags["dvc.data_status"] == "modified"
        assert run.data.tags["git_dirty"] == "true"
        assert b"# changed" in attached(run.info.run_id)["code.patch"]


FORKS = """
import os, sys, threading

def look():
    seen.append([one.name for one in threading.enumerate() if one.name == "mlflow-dvc"])

seen = []
os.register_at_fork(before=look)  # the first of these is the last to be called
import mlflow

with mlflow.start_run():
    for number in range(5):
        if not os.fork():
            sys.exit()
        os.wait()
print(seen)
"""


def test_forks(changed: Project, runs, attached):
    """While a process is forked no thread of ours is there; what is left is done after that."""
    changed.write("run.py", FORKS)
    assert changed.python("run.py").splitlines()[-1] == "[[], [], [], [], []]"
    [run] = runs()
    assert b"# changed" in attached(run.info.run_id)["code.patch"]


def test_forked_child_removes_no_folder():
    """A forked child that ends by ``sys.exit`` leaves its parent's folders where they are."""
    with scratch_folder() as folder:
        if not (child := os.fork()):
            threading.Thread(target=lambda: None).start()
            try:
                sys.exit()
            finally:
                import atexit

                atexit._run_exitfuncs()
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert Path(folder).is_dir()
    assert not Path(folder).exists()


def run_program(*words: str, given: bytes = b"", **env: str) -> tuple[int | None, bytes, bytes]:
    with open_memory() as stdin, open_memory() as stdout, open_memory() as stderr:
        stdin.write(given)
        program = Program(words, "/", {**os.environ, **env})
        code = start_process(program, stdin, stdout, stderr).wait(30)
        stdout.seek(0), stderr.seek(0)
        return code, stdout.read(), stderr.read()


def test_as_any_other_process():
    """A hidden program has its words, streams, directory and environment, and its exit code."""
    script = 'cat; pwd; echo "$X|$1"; echo fault >&2; exit 7'
    given = os.urandom(200_000)
    code, said, fault = run_program("sh", "-c", script, "sh", "a 'b\n$c", given=given, X="'\"\n`")
    assert (code, said, fault) == (7, given + b"/\n'\"\n`|a 'b\n$c\n", b"fault\n")
    with pytest.raises(FileNotFoundError):
        run_program("no-such-program")
    with pytest.raises(PermissionError):
        run_program(os.devnull)


def test_where_nothing_is_hidden(monkeypatch: pytest.MonkeyPatch):
    """Where a program cannot be hidden it is a child, with the same words and streams."""
    monkeypatch.setattr(hidden_shell, "_run_hidden", lambda _: None)
    monkeypatch.setattr(hidden_shell, "_is_refused", False)
    assert run_program("sh", "-c", "cat; exit 7", given=b"given") == (7, b"given", b"")
    assert hidden_shell._is_refused
    assert run_program("cat", given=b"given") == (0, b"given", b"")
