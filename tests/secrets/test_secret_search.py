"""The search runs in a process of its own, for a time that is bounded."""

from __future__ import annotations

import os
import random
import sys
import time

import pytest

from mlflow_dvc.secrets import search as search_module
from mlflow_dvc.secrets.search import Findings, decode, search

TOKEN = "g" + "hp_" + "aB3" * 12


def test_found():
    """It says where in each text the secrets stand; a text without any is clean."""
    found = search({"a.py": f"x = '{TOKEN}'\n".encode(), "b.py": b"x = 1\n"})
    assert found["a.py"].spans == ((5, 5 + len(TOKEN)),)
    assert found["b.py"] == Findings()
    assert found["b.py"].is_clean


def test_found_elsewhere():
    """A secret that one text gives away is found in the others, however it stands there."""
    found = search({"a.py": b"password = 'Zq7xK2mNpW'\n", "b.txt": b"so: Zq7xK2mNpW is it"})
    assert [decode(b"so: Zq7xK2mNpW is it")[a:b] for a, b in found["b.txt"].spans] == ["Zq7xK2mNpW"]


@pytest.mark.parametrize("content", [b"\xff\xfe \x80", "é ü \U0001f600".encode(), b""])
def test_any_bytes(content: bytes):
    """Bytes that are no text are no trouble."""
    assert search({"a": content})["a"] == Findings()


def test_too_long():
    """What is not answered in time counts as not searched, and says so; what was, counts."""
    slow = ("://a@" * 600_000).encode()
    start = time.monotonic()
    found = search({"a.py": b"x = 1\n", "b.py": slow}, 6.0)
    assert time.monotonic() - start < 30
    assert found["a.py"].is_clean
    assert "could not be searched" in found["b.py"].fault


def test_no_python(monkeypatch: pytest.MonkeyPatch):
    """Where no Python can be started, nothing counts as clean."""
    monkeypatch.setattr(sys, "executable", "/opt/app/train")
    found = search({"a.py": f"x = {random.random()}\n".encode()})
    assert "no Python" in found["a.py"].fault


def test_remembered(monkeypatch: pytest.MonkeyPatch):
    """What was searched once in a process is not searched again, under whatever path it lies."""
    text = os.urandom(8).hex().encode()
    search({"src/a.py": text})
    monkeypatch.setattr(sys, "executable", "/opt/app/train")
    assert search({"old/a.py": text})["old/a.py"].is_clean


def test_remembered_by_the_next(monkeypatch: pytest.MonkeyPatch):
    """A process starts no other for texts in which one before found nothing; a text that is new,
    or in which something was found, is searched."""
    clean = {path: os.urandom(8).hex().encode() for path in ("a.py", "b.py")}
    dirty = {"c.py": f"x = '{TOKEN}'\n".encode()}
    assert all(one.is_clean for one in search(clean).values())
    assert not search(dirty)["c.py"].is_clean
    monkeypatch.setattr(search_module, "_known", {})
    monkeypatch.setattr(sys, "executable", "/opt/app/train")
    assert all(one.is_clean for one in search(clean).values())
    assert not search(dirty)["c.py"].is_clean
    assert not search({**clean, "d.py": os.urandom(8)})["d.py"].is_clean
