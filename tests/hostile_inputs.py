"""Values and bytes as nobody honest would write them."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import strategies as st

MARK = "evil"  # in each piece of markup: none of it may reach a page
_TEXTS = (
    "", "/", "..", ".", "a\0b", "a\nb", "\ud800", "\udcff/x", "\x1b[2J", "'", '"', "`", "|", "%27",
    f"<{MARK}>", f"'\"><{MARK} x=", f"javascript:{MARK}", f"](javascript:{MARK})", "&lt;", "-->",
    "]]>", "http://[::1", "http://a:b@c/d?e=f#g", "ds://x", "s3://b/k", "a" * 300,
    "é" * 300, "../x",
    "x/../../y", "C:\\x", "\u202e", "\ufffe", "\U0001f600", "dvc.lock", "data/raw.csv", "train",
    "0" * 32, "f" * 32 + ".dir", "a" * 40, "input", "output", "missing", "sealed", "sizes",
)  # fmt: skip
texts = st.sampled_from(_TEXTS) | st.text(max_size=20) | st.text("<>&'\"`|[]()\n\\\0", max_size=8)
numbers = st.sampled_from(
    (0, 1, -1, 7, 2**31, 2**63 - 1, 2**63, 2**64, 10**400, 1.5, 1e18, 1e300, math.inf, math.nan)
)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)

_ENTRY = {
    "path": "data/raw.csv", "algorithm": "md5", "hash": "a" * 32, "size": 8, "nfiles": None,
    "cached": True, "stage": "data/raw.csv.dvc", "source": None, "state": "clean",
    "role": "input", "certainty": "disk",
}  # fmt: skip
SNAPSHOT: dict[str, Any] = {
    "schema": 1,
    "git": {
        "sha": "a" * 40, "branch": "main", "describe": "v1-2-gaaaaaaa", "dirty": True,
        "remote_url": "https://git.example/a.git", "source": "working directory",
        "omitted": ["x: secret"], "changes": "b" * 32, "uncommitted": ["params.yaml"],
    },
    "root": ".", "stage": "train", "script_stage": None, "experiment": None,
    "data": [
        _ENTRY,
        {**_ENTRY, "path": "models", "hash": "b" * 32 + ".dir", "nfiles": 3, "stage": "train",
         "role": "output", "certainty": "sealed"},
        {**_ENTRY, "path": "s3://bucket/key", "algorithm": "etag", "source": "https://x/y@v1"},
    ],
    "deps": [_ENTRY, {**_ENTRY, "path": "src/train.py", "role": "code", "cached": False}],
    "stages": [
        {"address": "train", "deps": ["data/raw.csv", "src/train.py"]},
        {"address": "report", "deps": ["models"]},
    ],
    "data_version": "0123456789ab", "data_status": "clean", "seal": "provisional",
    "lock": "c" * 32, "locks": {"dvc.lock": "c" * 32}, "workspace": "d" * 12,
    "sealed_at": 1.7e9, "stage_before": "e" * 32, "stage_failed": False, "frozen": False,
    "warnings": ["a warning"], "uncovered": ["x: why"], "changed": ["y"],
    "execution": "f" * 12, "attached": {"dvc.lock": "c" * 32, "dvc.yaml": "1" * 32},
}  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, whole: Any, of: st.SearchStrategy[Any] = values) -> Any:
    """``whole`` with some of its parts replaced, left out or doubled."""
    found = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(0, 4))):
        holder, key = draw(_places(found))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.insert(key, holder[key])
        elif kind == 2 and isinstance(holder, dict):
            holder[draw(texts)] = holder.pop(key)
        elif isinstance(holder[key], str):
            holder[key] = draw(texts | of)
        else:
            holder[key] = draw(of)
        if not found:
            break
    return found


@st.composite
def _places(draw: st.DrawFn, whole: Any) -> tuple[Any, Any]:
    """Some part of it: what holds it, and under which key."""
    holder = whole
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = draw(st.sampled_from(keys))
        inner = holder[key]
        if not (isinstance(inner, dict | list) and inner) or draw(st.integers(0, 4)) == 0:
            return holder, key
        holder = inner


@st.composite
def damaged_bytes(draw: st.DrawFn, whole: bytes) -> bytes:
    """``whole`` with bytes cut, doubled, replaced or put in."""
    found = whole
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(found)))
        end = min(len(found), start + draw(st.integers(0, 40)))
        piece = draw(
            st.binary(max_size=6)
            | st.just(found[start:end] * 3)
            | st.sampled_from([b"\0", b"\xff", b"[" * 500, b"- " * 50, b"&a *a", b"{", b'"', b"\n"])
        )
        found = found[:start] + piece + found[end:]
    return found
