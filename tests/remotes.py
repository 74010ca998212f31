"""DVC remotes that are no folder: a real S3 server and a real HTTP server, on this machine alone.

Both have ``url``, ``configure(project)`` (the project's default remote from now on),
``push(project)`` and ``remove(hash)``.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from conftest import PYTHON, Project, missing

SECONDS = 60
# Each prints its address, and ends when its input does: with the tests, however these end.
S3_SERVER = """\
import sys
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""
HTTP_SERVER = """\
import functools, http.server, sys, threading

handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("http://%s:%d" % server.server_address, flush=True)
sys.stdin.read()
"""


@contextmanager
def served(script: str, *words: str) -> Iterator[str]:
    """The address of a server in a process of its own (threads here would outlive every fork)."""
    server = subprocess.Popen(
        [PYTHON, "-c", script, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with server:
        assert server.stdin
        assert server.stdout
        address = server.stdout.readline().strip()
        try:
            assert address, "the server did not start"
            yield address
        finally:
            server.stdin.close()
            server.wait(SECONDS)


def key_of(hash_: str) -> str:
    return f"files/md5/{hash_[:2]}/{hash_[2:]}"


@dataclass(frozen=True)
class S3:
    """A place of its own in a bucket. This process has the credentials, not the endpoint.

    ``env`` is all that a process needs that knows only the ``url``.
    """

    url: str
    endpoint: str
    env: dict[str, str]

    def configure(self, project: Project) -> None:
        project.dvc("remote", "add", "--quiet", "--force", "--default", "s3", self.url)
        project.dvc("remote", "modify", "s3", "endpointurl", self.endpoint)

    def push(self, project: Project) -> None:
        project.dvc("push", "--quiet")

    def remove(self, hash_: str) -> None:
        """Delete one object, as somebody would who cleans up."""
        import boto3

        bucket, _, prefix = self.url.removeprefix("s3://").partition("/")
        client = boto3.client("s3", endpoint_url=self.endpoint)
        client.delete_object(Bucket=bucket, Key=f"{prefix}/{key_of(hash_)}")


@dataclass(frozen=True)
class Http:
    """A folder that a web server shows. Nothing can be written through it."""

    url: str
    folder: Path

    def configure(self, project: Project) -> None:
        project.dvc("remote", "add", "--quiet", "--force", "--default", "http", self.url)

    def push(self, project: Project) -> None:
        """A remote is laid out as the cache is."""
        shutil.copytree(
            project.root / ".dvc/cache/files", self.folder / "files", dirs_exist_ok=True
        )

    def remove(self, hash_: str) -> None:
        (self.folder / key_of(hash_)).unlink()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    for module, package in (("moto", "moto[s3]"), ("flask_cors", "flask-cors"), ("dvc_s3",) * 2):
        if importlib.util.find_spec(module) is None:
            missing(f"{package} is not installed (pip install -e '.[test]')")
    with served(S3_SERVER) as address:
        urlopen(Request(f"{address}/bucket", method="PUT"), timeout=SECONDS).close()
        yield address


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> S3:
    env = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    url = f"s3://bucket/{uuid.uuid4().hex}"
    return S3(url, s3_server, env | {"AWS_ENDPOINT_URL": s3_server})


@pytest.fixture(scope="session")
def http_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("http")
    with served(HTTP_SERVER, str(folder)) as address:
        yield address, folder


@pytest.fixture
def http_remote(http_server: tuple[str, Path]) -> Http:
    address, folder = http_server
    name = uuid.uuid4().hex
    (folder / name).mkdir()
    return Http(f"{address}/{name}", folder / name)
