"""What reads snapshots and tags, and what draws pages of them."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from hostile_inputs import MARK, SNAPSHOT, damaged, damaged_bytes, texts
from hypothesis import strategies as st

from mlflow_dvc import tags as tag
from mlflow_dvc.recall.relation import related_data
from mlflow_dvc.report.pages import record_pages
from mlflow_dvc.snapshot import Snapshot, inputs, read_snapshot, with_data_version

pytestmark = pytest.mark.fuzz

KEYS = st.sampled_from((
    *sorted(tag._NAMES), "mlflow.source.git.repoURL", "mlflow.parentRunId", "dvc.out.", "dvc.dep.x",
    "dvc.out.data/raw.csv", "dvc.source.data/raw.csv", "dvc.hashes.2", "dvc.hashes.x",
))  # fmt: skip
VALUES = texts | st.sampled_from(("clean", "confirmed", "true", "x" * 6000, "a, b", "and 3 more"))


class _Page(HTMLParser):
    """Whether there is anything in a page that a record has put there."""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert MARK not in tag
        for name, value in attrs:
            assert MARK not in name
            assert not name.startswith("on")
            assert not (value or "").strip().lower().startswith("javascript:")


def check_pages(snapshot: Snapshot) -> None:
    files = {"code.patch": f"</pre><{MARK}>".encode(), "dvc.lock": b"\xff<evil>"}
    pages = record_pages(snapshot, files, "1")
    page = pages["report.html"].decode()
    _Page().feed(page)
    assert f"<{MARK}" not in page


def check_values(snapshot: Snapshot) -> None:
    """All that the commands make of it by themselves."""
    json.dumps(snapshot.to_dict(), ensure_ascii=False).encode()
    found = tag.to_tags(snapshot) | tag.later_tags(snapshot) | tag.mlflow_git_tags(snapshot.git)
    for key, value in found.items():
        assert len(key.encode()) < 2000
        assert len(value) <= tag.MAX_VALUE_CHARACTERS
        assert "\0" not in key + value
    tag.from_tags(found)
    with_data_version(snapshot)
    list(related_data(snapshot))
    list(inputs(snapshot))
    for entry in (*snapshot.data, *snapshot.deps):
        assert entry.path
        assert entry.size is None or 0 <= entry.size < 2**63
        assert entry.hash is None or entry.hash.isprintable()


def check_snapshot(content: bytes) -> None:
    try:
        snapshot = read_snapshot(content)
    except ValueError as error:
        reason = str(error)
    else:
        check_sound(snapshot)
        return
    assert reason.isprintable()
    assert len(reason) < 200


def check_sound(snapshot: Snapshot) -> None:
    assert read_snapshot(json.dumps(snapshot.to_dict()).encode()) == snapshot
    check_values(snapshot)
    check_pages(snapshot)


def check_tags(tags: dict[str, str]) -> None:
    known = tag.bounded(tags)
    "".join([*known, *known.values()]).encode()
    snapshot = tag.from_tags(known)
    assert all(line.isprintable() or "\n" in line for line in snapshot.warnings)
    tag.hashes_in(known), tag.stages_in(known), tag.identity(known), tag.own_tags(known)
    tag.from_tags(tags)
    check_values(snapshot)
    check_pages(snapshot)


def test_snapshots(hunt):
    """A snapshot.json is read as one in which each value is sound, or refused in a short line."""
    hunt(check_snapshot, damaged(SNAPSHOT).map(lambda raw: json.dumps(raw).encode()), 150)


def test_snapshot_bytes(hunt):
    """So are bytes that need not be JSON."""
    hunt(check_snapshot, damaged_bytes(json.dumps(SNAPSHOT).encode()), 60)


def test_tags(hunt):
    """Tags are read as far as they are ours, whatever they say."""
    hunt(check_tags, st.dictionaries(KEYS | texts, VALUES, max_size=8), 100)


@pytest.mark.parametrize("text", [f"</script><{MARK}>", f'" onload="{MARK}', "a\0b"])
def test_pages(text: str):
    """Nothing that a record says is markup in a page."""
    check_tags(dict.fromkeys((*tag._NAMES, "dvc.out.x", "dvc.source.x"), text))
