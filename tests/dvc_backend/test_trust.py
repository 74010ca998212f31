"""Whose settings DVC follows, and where the user's credentials go."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import Project

from mlflow_dvc.dvc_backend.storage.availability import DataRef, find_available
from mlflow_dvc.dvc_backend.storage.fetch import FetchRequest, fetch
from mlflow_dvc.dvcfiles.remotes import config_paths

CANARY = "canary-5f3a"
DATA = b"some data\n"
HASH = hashlib.md5(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers every question with the data, and keeps what it was told."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def secrets(self) -> list[str]:
        """The heads of requests that carry something to prove who asks."""
        return [head for head in self.heads if "authorization" in head or CANARY in head]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.heads.append(f"{self.requestline}\n{self.headers}".lower())
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(DATA)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's credentials for a cloud."""
    pytest.importorskip("dvc_s3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, CANARY)


def asked_at(server: Server, remote: str, own: Project | None = None) -> tuple[bool, str]:
    """Whether data came from a dataset's own remote, and what was said of it."""
    where = str(own.root) if own else None
    request = FetchRequest("gone.csv", "md5", HASH, where, remote=remote, endpoint=server.url)
    path, tried = fetch(request, None)
    assert server.heads
    return path is not None, " ".join(tried)


@pytest.mark.hosts
def test_a_bucket_of_the_record(server: Server, cloud: None):
    """A bucket that only a record names is asked without the user's credentials."""
    asked_at(server, "s3://bucket/data")
    assert server.secrets == []


def test_a_bucket_that_is_allowed(server: Server, cloud: None, monkeypatch: pytest.MonkeyPatch):
    """A server that the user allows gets the user's credentials."""
    monkeypatch.setenv("MLFLOW_DVC_TRUST", server.url)
    assert asked_at(server, "s3://bucket/data")[0]
    assert server.secrets


def test_a_bucket_of_the_project(server: Server, cloud: None, pipeline: Project):
    """A bucket of the user's own project gets the user's credentials; the same name elsewhere, and
    another bucket of that server, do not."""
    pipeline.dvc("remote", "add", "--default", "cloud", "s3://bucket/data")
    pipeline.dvc("remote", "modify", "cloud", "endpointurl", server.url)
    assert asked_at(server, "s3://bucket/other", pipeline)[0]
    assert server.secrets
    server.heads.clear()
    pipeline.dvc("remote", "modify", "cloud", "endpointurl", "http://127.0.0.1:9")
    asked_at(server, "s3://bucket/other", pipeline)
    assert server.secrets == []


@pytest.mark.hosts
def test_a_password_by_name(server: Server, pipeline: Project, tmp_path: Path):
    """A password in the user's settings is for the address that the user's project gives its
    remote, not for the one that a commit gives a remote of that name."""
    _, of_user, *_ = map(Path, config_paths(str(pipeline.root)))
    of_user.parent.mkdir(parents=True, exist_ok=True)
    of_user.write_text(f"['remote \"store\"']\nauth = basic\nuser = me\npassword = {CANARY}\n")
    commit = tmp_path / "commit"
    (commit / ".dvc").mkdir(parents=True)
    (commit / ".dvc/config").write_text(f"['remote \"store\"']\nurl = {server.url}\n")
    (commit / ".dvc/config.local").write_text("[core]\nno_scm = true\n")
    ref = DataRef("md5", HASH)
    pipeline.write(".dvc/config", "['remote \"store\"']\nurl = http://127.0.0.1:9\n")
    find_available(str(commit), [ref], own=str(pipeline.root))
    assert server.heads
    assert server.secrets == []
    pipeline.write(".dvc/config", f"['remote \"store\"']\nurl = {server.url}\n")
    found, _ = find_available(str(pipeline.root), [ref], own=str(pipeline.root))
    assert found[ref.key].stores == ("remote store",)
    assert server.secrets


def test_a_login_for_every_host(server: Server, monkeypatch: pytest.MonkeyPatch):
    """What ``.netrc`` has for every host goes to none that only a record names."""
    Path("~/.netrc").expanduser().write_text(f"default login me password {CANARY}\n")
    request = FetchRequest("gone.csv", "md5", HASH, remote=server.url)
    path, _ = fetch(request, None)
    assert path is not None
    assert Path(path).read_bytes() == DATA
    assert server.secrets == []


@pytest.mark.parametrize("url", ["ssh://127.0.0.1/data", "azure://bucket/data"])
def test_no_anonymous_way(url: str):
    """Where nothing can be asked without credentials, the answer says how to allow them."""
    request = FetchRequest("gone.csv", "md5", HASH, remote=url)
    path, tried = fetch(request, None)
    assert path is None
    assert "pip install" in " ".join(tried) or "MLFLOW_DVC_TRUST=" in " ".join(tried)


SETTINGS = """\
[core]
    site_cache_dir = {outside}/site
    autostage = true
[cache]
    dir = {outside}/cache
    type = symlink
['remote "store"']
    url = {outside}/store
    keyfile = {outside}/key
"""


@pytest.mark.hosts
def test_settings_of_a_commit(pipeline: Project, tmp_path: Path):
    """Of the settings of a commit only where its remotes are is followed: nothing is written where
    they say."""
    outside, commit = tmp_path / "outside", tmp_path / "commit"
    outside.mkdir()
    (commit / ".dvc").mkdir(parents=True)
    (commit / ".dvc/config").write_text(SETTINGS.format(outside=outside))
    (commit / ".dvc/config.local").write_text("[core]\nno_scm = true\n")
    find_available(str(commit), [DataRef("md5", HASH)], own=str(pipeline.root))
    assert os.listdir(outside) == []


@pytest.mark.parametrize(
    "config", ["[core\n", "\0", "[remote]\nx = 1\n", "['remote \"a\"']\nb = 1"]
)
def test_settings_that_cannot_be_read(tmp_path: Path, config: str):
    """Settings of a commit that DVC cannot read are a sentence, and the cache is asked all the
    same."""
    (tmp_path / ".dvc/cache/files/md5" / HASH[:2]).mkdir(parents=True)
    (tmp_path / ".dvc/cache/files/md5" / HASH[:2] / HASH[2:]).write_bytes(DATA)
    (tmp_path / ".dvc/config").write_text(config)
    (tmp_path / ".dvc/config.local").write_text("[core]\nno_scm = true\n")
    ref = DataRef("md5", HASH)
    found, unasked = find_available(str(tmp_path), [ref], own=None)
    assert found[ref.key].stores == ("cache",)
    assert all("\n" not in line for line in unasked)


def test_settings_without_an_end(tmp_path: Path):
    """A link to a device in place of the settings of a commit is not read."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").symlink_to("/dev/zero")
    (tmp_path / ".dvc/config.local").write_text("[core]\nno_scm = true\n")
    _, unasked = find_available(str(tmp_path), [DataRef("md5", HASH)], own=None)
    assert ".dvc/config cannot be read" in unasked[0]


@pytest.mark.parametrize(
    "path", ["/dev/zero", "../../usr/lib", "data/.git", ".dvc/config", "a/../.."]
)
def test_a_path_that_leads_out(pipeline: Project, path: str):
    """A dataset whose path leads out of the project, or into git's folder, is refused unread."""
    for root in (str(pipeline.root), None):
        found, tried = fetch(FetchRequest(path, "md5", HASH, root), None)
        assert found is None
        assert "leads out of the project" in tried[0]


def test_a_device_in_the_project(pipeline: Project):
    """What is no file in the work tree is not read."""
    os.mkfifo(pipeline.root / "pipe")
    found, tried = fetch(FetchRequest("pipe", "md5", HASH, str(pipeline.root)), None)
    assert found is None
    assert json.dumps(tried)
