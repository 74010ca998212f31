"""Real servers on this machine alone, for S3, HTTP and MLflow.

Each is started once, by the first worker process that needs it, and ends with the tests, however
these end: its input is a pipe that the process which collects holds open (``forkserver``).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from conftest import PYTHON, SECONDS, environment, make_home, missing, without_hosts

# Each prints its address when it can be asked, and ends when its input does.
S3 = """\
import sys
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""
HTTP = """\
import functools, http.server, sys, threading

handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("http://%s:%d" % server.server_address, flush=True)
sys.stdin.read()
"""
MLFLOW = """\
import os, signal, socket, subprocess, sys, time, urllib.request

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
address = f"http://127.0.0.1:{port}"
server = subprocess.Popen(
    [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
     "--workers", "1", "--backend-store-uri", f"sqlite:///{sys.argv[1]}/mlflow.db",
     "--artifacts-destination", f"{sys.argv[1]}/artifacts"],
    stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True,
)
try:
    while server.poll() is None:
        try:
            urllib.request.urlopen(address + "/health", timeout=5).close()
        except OSError:
            time.sleep(0.1)  # until it answers
        else:
            print(address, flush=True)
            sys.stdin.read()
            break
finally:
    os.killpg(server.pid, signal.SIGKILL)
"""


# They outlive the process that started them, and must not be missed by it.
_started: list[subprocess.Popen[bytes]] = []


@pytest.fixture(scope="session")
def serve(shared: Callable[..., Path]) -> Callable[..., str]:
    """``serve(name, script)``: the address of a server that all worker processes share. The script
    is given a folder; a third argument is called with the folder before."""

    def start(name: str, script: str, prepare: Callable[[Path], object] = make_home) -> str:
        def make(folder: Path) -> None:
            prepare(folder)
            start_in(folder, script)

        return address_in(shared(f"server-{name}", make))

    return start


def address_in(folder: Path) -> str:
    """What the server there has printed by now."""
    return (folder / "out").read_text().strip()


def start_in(folder: Path, script: str) -> None:
    """Until the server has printed its address."""
    # Without the processes for MLflow's own jobs, eight of them, which nobody needs here.
    no_jobs = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    env = without_hosts(os.environ) | environment(folder) | no_jobs
    log, alive = folder / "server.log", Path(os.environ["TEST_COMMANDS"]).with_name("alive")
    with log.open("wb") as errors, alive.open("rb") as held, (folder / "out").open("wb") as out:
        server = subprocess.Popen(
            [PYTHON, "-c", script, folder], cwd=folder, env=env, stdin=held, stdout=out,
            stderr=errors, start_new_session=True,
        )  # fmt: skip
    _started.append(server)
    end = time.monotonic() + SECONDS
    while server.poll() is None and time.monotonic() < end:
        if address_in(folder):
            return
        time.sleep(0.05)  # until it has started
    pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="session")
def s3_server(serve: Callable[..., str]) -> str:
    """With a bucket of the name ``bucket``."""
    for module, package in (("moto", "moto[s3]"), ("flask_cors", "flask-cors"), ("dvc_s3",) * 2):
        if importlib.util.find_spec(module) is None:
            missing(f"{package} is not installed (pip install -e '.[test]')")
    address = serve("s3", S3)
    urlopen(Request(f"{address}/bucket", method="PUT"), timeout=SECONDS).close()
    return address


@pytest.fixture(scope="session")
def http_server(serve: Callable[..., str], shared: Callable[..., Path]) -> tuple[str, Path]:
    """Its address, and the folder that it shows."""
    address = serve("http", HTTP)
    return address, shared("server-http", make_home)


@pytest.fixture(scope="session")
def mlflow_server(serve: Callable[..., str], empty_database: Path) -> str:
    """``mlflow server`` on a database of its own; a test is to make an experiment of its own."""

    def prepare(folder: Path) -> None:
        make_home(folder)
        shutil.copy(empty_database, folder)

    return serve("mlflow", MLFLOW, prepare)
