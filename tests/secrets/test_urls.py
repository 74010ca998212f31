"""Addresses as they may be shown: scheme, host and path, and nothing that lets anybody in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Project
from hypothesis import given
from hypothesis import strategies as st

from mlflow_dvc import status
from mlflow_dvc.secrets.urls import public_text, public_url, public_values


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://user:secret@example.org/r.git", "https://example.org/r.git"),
        ("https://secret@example.org/r.git", "https://example.org/r.git"),
        ("https://user:se@cr@et@example.org:8443/r.git", "https://example.org:8443/r.git"),
        ("https://user:sec/secret@example.org/r.git", "https://example.org/r.git"),
        ("https://user:sec#secret@example.org/r.git", "https://example.org/r.git"),
        ("http://:secret@[::1]:80/r", "http://[::1]:80/r"),
        ("https://x-token:secret@example.org/r?a=secret#c", "https://example.org/r"),
        ("https://example.org/r#secret", "https://example.org/r"),
        ("https://example.org?sig=secret@x", "https://example.org"),
        ("https://example.org/a%3Fsig%3Dsecret", "https://example.org/a"),
        ("https://a.blob.core.windows.net/c/x.csv?sv=1&sig=secret%3D",
         "https://a.blob.core.windows.net/c/x.csv"),
        ("ssh://git@example.org/r.git", "ssh://git@example.org/r.git"),
        ("ssh://git:secret@example.org/r.git", "ssh://example.org/r.git"),
        ("ssh://secretsecretsecretsecret@example.org/r", "ssh://example.org/r"),
        ("git@example.org:team/r.git", "git@example.org:team/r.git"),
        ("me:secret@example.org:team/r.git", "example.org:team/r.git"),
        ("git@example.org:team/r.git?t=secret", "git@example.org:team/r.git"),
        ("https://example.org/a@b.git", "https://example.org/a@b.git"),
        ("https://user:secret@[bad/r.git", "https://[bad/r.git"),
        ("https://user:secret", "https://user"),
        ("s3://key:secret@bucket/path?versionId=secret", "s3://bucket/path"),
        ("azure://container/x?sig=secret", "azure://container/x"),
        ("//user:secret@host/x", "//host/x"),
        ("HTTPS://user:secret@example.org/", "HTTPS://example.org/"),
        ("file:///srv/c#/r", "file:///srv/c#/r"),
        ("file:///srv/r?token=secret", "file:///srv/r"),
        ("/srv/r@v1.git", "/srv/r@v1.git"),
        ("C:\\data\\x.csv", "C:\\data\\x.csv"),
        ("C:/data/x?.csv", "C:/data/x?.csv"),
        ("data/what?#1.csv", "data/what?#1.csv"),
        ("ds://cats@home", "ds://cats@home"),
        ("remote://name/path", "remote://name/path"),
        ("", ""),
    ],
)  # fmt: skip
def test_url(url: str, bare: str):
    """User, password, query and fragment never leave the machine; what is no secret stays."""
    assert public_url(url) == bare
    assert "secret" not in public_url(url)
    assert public_url(bare) == bare


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "cannot reach 'https://me:secret@h.org/x?sig=secret': no",
            "cannot reach 'https://h.org/x': no",
        ),
        ("see https://h.org/x?sig=secret.", "see https://h.org/x."),
        ("a (ssh://git@h/x), b", "a (ssh://git@h/x), b"),
        ("https://h.org/r.git@0123abc", "https://h.org/r.git@0123abc"),
        ("x // no address", "x // no address"),
        ("s3://b/a?X-Amz-Signature=secret, s3://b/b?sig=secret", "s3://b/a, s3://b/b"),
    ],
)
def test_text(text: str, shown: str):
    """So is an address within a text: a message of git's or DVC's."""
    assert public_text(text) == shown


def test_values():
    """So are those in the values, and the names, of JSON."""
    raw = {"a": ["https://u:secret@h/x", 1, None], "https://h/y?k=secret": {"b": True}}
    assert public_values(raw) == {"a": ["https://h/x", 1, None], "https://h/y": {"b": True}}


PARTS = st.text(st.characters(exclude_characters="/?#@:\\[] \n\t\r", codec="utf-8"), max_size=8)


@given(PARTS, PARTS, st.sampled_from(["https", "s3", "http", "gs", "hdfs"]), PARTS)
def test_no_way_around(user: str, password: str, scheme: str, value: str):
    """Whatever stands in the user's part or in the query, neither is there afterwards."""
    url = f"{scheme}://{user}:{password}@example.org:80/a/b?k={value}#{value}"
    assert public_url(url) == f"{scheme}://example.org:80/a/b"


SECRET = "planted0planted1planted2"
URL = f"https://me:{SECRET}@example.org/x/y.csv?X-Amz-Signature={SECRET}#{SECRET}"


def places(project: Project) -> dict[str, str]:
    """Files of a project that hold an address, by where it is read from."""
    md5 = "ab" * 16
    outs = f"outs:\n- md5: {md5}\n  size: 1\n  hash: md5\n  path: "
    return {
        "repo.dvc": f"deps:\n- path: a\n  repo:\n    url: {URL}\n"
        f"    rev_lock: {'a' * 40}\n{outs}repo\n",
        "url.dvc": f"deps:\n- path: {URL}\n  etag: abcdef\n{outs}url\n",
        "bad/dvc.yaml": f"stages:\n  a:\n    cmd: x\n    deps: ['foo{URL}']\n",
        "dvc.yaml": f"datasets:\n- name: d\n  url: {URL}\n  type: dvc\n  rev: main\nstages:\n"
        "  train:\n    cmd: python run.py\n"
        f"    deps: [run.py, '{URL}', '{URL}2', ds://d]\n    outs: ['{URL}3']\n",
        "dvc.lock": "schema: '2.0'\ndatasets:\n- name: d\n"
        f"  url: {URL}\n  type: dvc\n  rev: main\n"
        f"  rev_lock: {'b' * 40}\nstages:\n  train:\n    cmd: python run.py\n    deps:\n"
        f"    - path: {URL}\n      checksum: abc\n"
        f"    outs:\n    - path: {URL}3\n      checksum: abc\n",
    }


def test_every_place(project: Project, monkeypatch: pytest.MonkeyPatch):
    """No field of a snapshot, no tag and no warning holds more of an address than may be shown."""
    from mlflow_dvc.tags import to_tags

    for path, text in places(project).items():
        project.write(path, text)
    project.write("run.py", "import mlflow\n")
    project.git("remote", "add", "origin", URL)
    monkeypatch.chdir(project.root)
    snapshot = status()
    said: Any = {"snapshot": snapshot.to_dict(), "tags": to_tags(snapshot)}
    text = json.dumps(said)
    assert SECRET not in text
    assert "https://example.org/x/y.csv" in text
    assert snapshot.git is not None
    assert snapshot.git.remote_url == "https://example.org/x/y.csv"
    assert {out.path for out in snapshot.data} >= {"repo", "url"}
