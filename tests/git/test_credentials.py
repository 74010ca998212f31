"""Where git takes the user's credentials to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import Project

from mlflow_dvc.git.repository import GitError, Repository

CANARY = "canary-77ab"
SHA = "0" * 40


class Handler(BaseHTTPRequestHandler):
    """Asks for a password, and keeps what it is told."""

    told: list[str]

    def do_GET(self) -> None:
        self.told.append(f"{self.path}\n{self.headers}".lower())
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="here"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and what it is told."""
    handler = type("Heard", (Handler,), {"told": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", handler.told
        server.shutdown()
        thread.join()


@pytest.fixture
def credentials(pipeline: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For every host: by a program, a header, ``.netrc`` and a program that asks."""
    helper, ran = tmp_path / "helper", tmp_path / "ran"
    helper.write_text(f"#!/bin/sh\ntouch {ran}\necho username=me\necho password={CANARY}\n")
    helper.chmod(0o755)
    pipeline.git("config", "--global", "credential.helper", f"!{helper}")
    pipeline.git("config", "--global", "http.extraHeader", f"Authorization: Bearer {CANARY}")
    Path("~/.netrc").expanduser().write_text(f"default login me password {CANARY}\n")
    Path("~/.netrc").expanduser().chmod(0o600)
    monkeypatch.setenv("GIT_ASKPASS", str(helper))
    return ran


def secrets(told: list[str]) -> list[str]:
    return [head for head in told if "authorization" in head]


def test_an_address_of_a_record(
    pipeline: Project, asked: tuple[str, list[str]], credentials: Path, tmp_path: Path
):
    """An address that is no remote of the user's is asked without credentials, which is said."""
    address, told = asked
    repository = Repository(str(pipeline.root))
    for reason in (
        repository.fetch(SHA, f"{address}/x.git"),
        repository.why_not_on_remote(f"{address}/x.git", SHA),
    ):
        assert f"MLFLOW_DVC_TRUST={address} allows them" in (reason or "")
    assert not repository.answers(f"{address}/x.git")
    assert repository.fetch_apart(str(tmp_path / "apart"), SHA, [f"{address}/x.git"]) is None
    with pytest.raises(GitError, match="without your credentials"):
        repository.fetch_revision(f"{address}/x.git", "main")
    assert told
    assert secrets(told) == []
    assert not credentials.exists()


def test_an_address_of_the_user(
    pipeline: Project, asked: tuple[str, list[str]], credentials: Path, monkeypatch
):
    """A host of the user's remotes, and one that the user allows, is asked as git does by
    itself."""
    address, told = asked
    monkeypatch.setenv("MLFLOW_DVC_TRUST", address)
    assert Repository(str(pipeline.root)).fetch(SHA, f"{address}/x.git")
    assert secrets(told)
    told.clear()
    monkeypatch.delenv("MLFLOW_DVC_TRUST")
    pipeline.git("remote", "add", "origin", f"{address}/mine.git")
    assert Repository(str(pipeline.root)).fetch(SHA, f"{address}/x.git")
    assert secrets(told)
    assert credentials.exists()


def test_an_address_that_has_moved(
    pipeline: Project, asked: tuple[str, list[str]], credentials: Path
):
    """Where the user sends an address (``insteadOf``), git asks as it does by itself."""
    address, told = asked
    old = "https://old.example.org/team/"
    pipeline.git("config", "--global", f"url.{address}/.insteadOf", old)
    assert Repository(str(pipeline.root)).fetch(SHA, f"{old}x.git")
    assert secrets(told)
    assert all(head.startswith("/x.git") for head in told)


def test_a_password_for_one_host(pipeline: Project, asked: tuple[str, list[str]], tmp_path: Path):
    """A password that git keeps for this host is used: the user gave it for the address."""
    address, told = asked
    store = tmp_path / "passwords"
    store.write_text(address.replace("://", f"://me:{CANARY}@") + "\n")
    pipeline.git("config", "--global", "credential.helper", f"store --file {store}")
    assert Repository(str(pipeline.root)).fetch(SHA, f"{address}/x.git")
    assert secrets(told)
