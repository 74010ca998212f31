"""DVC remotes that are no folder: on a real S3 server, and on a real HTTP server.

Both have ``url``, ``configure(project)`` (the project's default remote from now on),
``push(project)`` and ``remove(hash)``.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Project


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


@pytest.fixture
def http_remote(http_server: tuple[str, Path]) -> Http:
    address, folder = http_server
    name = uuid.uuid4().hex
    (folder / name).mkdir()
    return Http(f"{address}/{name}", folder / name)
