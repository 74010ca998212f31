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
from dataclasses import dataclass
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
     "--workers", os.environ.get("WORKERS", "1"),
     "--backend-store-uri", os.environ.get("STORE", f"sqlite:///{sys.argv[1]}/mlflow.db"),
     "--artifacts-destination", os.environ.get("ARTIFACTS", f"{sys.argv[1]}/artifacts"),
     *sys.argv[2:]],
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
# A cluster of its own. PostgreSQL does not run as root, and its user may not look into our folders.
POSTGRES = """\
import glob, os, shutil, signal, socket, subprocess, sys, tempfile, time

programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
other = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
folder = tempfile.mkdtemp(prefix="postgres-")
if other:
    shutil.chown(folder, "postgres")
with socket.create_server(("127.0.0.1", 0)) as free:
    port = str(free.getsockname()[1])
quiet = {"stdin": subprocess.DEVNULL, "stdout": sys.stderr, "cwd": folder}
server = None
try:
    subprocess.run(
        [*other, f"{programs}/initdb", "-A", "trust", "-U", "mlflow", "--no-sync", "-D",
         f"{folder}/data"], check=True, **quiet)
    server = subprocess.Popen(
        [*other, f"{programs}/postgres", "-D", f"{folder}/data", "-h", "127.0.0.1", "-p", port,
         "-c", "fsync=off", "-c", "unix_socket_directories="], start_new_session=True, **quiet)
    ask = [f"{programs}/psql", "-h", "127.0.0.1", "-p", port, "-U", "mlflow", "-c", "SELECT 1",
           "postgres"]
    while server.poll() is None and subprocess.run(ask, **quiet).returncode:
        time.sleep(0.1)  # until it answers
    print(f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres", flush=True)
    sys.stdin.read()
finally:
    if server:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    shutil.rmtree(folder, ignore_errors=True)
"""


@pytest.fixture(scope="session")
def serve(shared: Callable[..., Path]) -> Callable[..., str]:
    """``serve(name, script)``: the address of a server that all worker processes share. The script
    is given a folder, for which ``prepare`` is called before, the ``words`` and the ``env``."""

    def start(
        name: str, script: str, *words: str,
        prepare: Callable[[Path], object] = make_home, python: str = PYTHON, **env: str,
    ) -> str:  # fmt: skip
        def make(folder: Path) -> None:
            prepare(folder)
            start_in(folder, [python, "-c", script, str(folder), *words], **env)

        return address_in(shared(f"server-{name}", make))

    return start


def address_in(folder: Path) -> str:
    """What the server there has printed by now."""
    return (folder / "out").read_text().strip()


def start_in(folder: Path, command: list[str], **more: str) -> None:
    """Until the server has printed its address."""
    # Without the processes for MLflow's own jobs, eight of them, which nobody needs here.
    no_jobs = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    env = without_hosts(os.environ) | environment(folder) | no_jobs | more
    log, alive = folder / "server.log", Path(os.environ["TEST_COMMANDS"]).with_name("alive")
    with log.open("wb") as errors, alive.open("rb") as held, (folder / "out").open("wb") as out:
        server = subprocess.Popen(
            command, cwd=folder, env=env, stdin=held, stdout=out,
            stderr=errors, start_new_session=True,
        )  # fmt: skip
    end = time.monotonic() + SECONDS
    while server.poll() is None and time.monotonic() < end:
        if address_in(folder):
            server.returncode = 0  # it outlives this process, which is not to miss it
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

    return serve("mlflow", MLFLOW, prepare=prepare)


@dataclass(frozen=True)
class Team:
    """What a team has: the address of its MLflow server, and how a client gets at its S3 store."""

    address: str
    env: dict[str, str]


@pytest.fixture(scope="session")
def team_server(serve: Callable[..., str], s3_server: str) -> Team:
    """``mlflow server`` on PostgreSQL, which hands artifacts on to S3."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        missing("PostgreSQL is not installed (.ci/programs installs it on Debian)")
    s3 = {
        "MLFLOW_S3_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    store = {"STORE": serve("postgres", POSTGRES), "ARTIFACTS": "s3://bucket/proxied"}
    return Team(serve("team", MLFLOW, WORKERS="2", **store, **s3), s3)
