"""Block-style YAML taken apart by lines: never another answer than PyYAML's."""

from __future__ import annotations

import math
from typing import Any

import pytest
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_dvc.dvcfiles import yaml12, yaml_block
from mlflow_dvc.fingerprint import UnreadableError

LOCK = """\
schema: '2.0'
stages:
  train@a-1:
    cmd: python src/train.py --rate 0.1 --name "a:b" --long enough to be folded by the dumper
      of DVC after eighty characters
    deps:
    - path: data/raw
      hash: md5
      md5: 0123456789abcdef0123456789abcdef.dir
      size: 3
      nfiles: 2
    - path:
        ../a/very/long/path/that/the/dumper/puts/below/its/key/because/it/would/not/fit.csv
      hash: md5
      md5: '12345678901234567890123456789012'
    params:
      params.yaml:
        lr: 1e-06
        seed: 0o17
        layers: [1, 2]
        on: true
        empty:
        none: ~
        day: 2020-01-01
    outs:
    - {path: model, md5: 0e23456789abcdef0123456789abcdef}
"""
BY_HAND = """\
---
# a pipeline

vars:
  - params.yaml
  - name: "x\\ty"   # escaped

stages:
    prepare:
        cmd: |
            mkdir -p out

            python prepare.py   # not a comment
        deps:
            - src/prepare.py
            - data/été #2.csv
        outs:
            - out: {cache: false}
            - other:
                persist: true
    train:
        cmd: >-
            python
            train.py
        frozen: False
        meta: {}
        desc:   'it''s'
"""
PIECES = st.sampled_from([
    ": ", " #", "- ", "\n", "  ", " ", "'", '"', "{}", "[]", "|", "|\n", ">-\n", "|2\n", "&a ",
    "*a", "!!str ", "<<: ", "? ", "---", "...", "--- x", "\n\n", "#c\n", ":", "-", "0x1", "1e5",
    "~", "null", "true", "=", "2001-01-01", "2001-12-14 21:59:43", "\t", "%", "@", "`", "k: v\n",
    "- x\n", "    deep\n", "é", "[a, b]", "{a: b}", "\\", "0o7", "1_0", ".5", "-1", "+1", ".inf",
    ".NaN", "''", '""', "- - a\n", "-\n", "  - y: 1\n", "\xa0", "\u2028", "\ufeff", "!", "\r",
    "\x00", "😀", ",", "}", "]",
])  # fmt: skip


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A file as DVC or a person writes it, damaged in a few places."""
    text = draw(st.sampled_from([LOCK, BY_HAND]))
    lines = text.split("\n")
    start = draw(st.integers(0, len(lines) - 1))
    text = "\n".join(lines[start : start + draw(st.integers(1, len(lines)))])
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            text = text[:at] + draw(PIECES) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + draw(st.integers(1, 3)) :]
        else:
            lines = text.split("\n")
            number = draw(st.integers(0, len(lines) - 1))
            if kind == 2:
                lines[number] = " " * draw(st.integers(0, 8)) + lines[number].lstrip(" ")
            else:
                lines.insert(number, draw(st.sampled_from(lines)))
            text = "\n".join(lines)
    return text


def by_lines(text: str) -> Any:
    return yaml_block.parse_block(text, yaml12._whole, yaml12.scalar)


@pytest.mark.fuzz
@settings(max_examples=examples(2000), deadline=None)
@given(texts())
def test_as_pyyaml(text: str):
    """Either it is left to PyYAML, or the answer is PyYAML's, in value, type and order."""
    try:
        ours = by_lines(text)
    except (yaml_block.UnsupportedYamlError, ValueError):
        return
    assert repr(ours) == repr(yaml12._whole(text))


@pytest.mark.parametrize("text", [LOCK, BY_HAND], ids=["lock", "by hand"])
def test_what_is_common(text: str):
    """What DVC and people write is not left to PyYAML."""
    assert by_lines(text) == yaml12._whole(text)


SCALARS = [
    "1", "-1", "+1", "007", "1_000", "0b11", "0o17", "0x1F", "1.", ".5", "1e3", "1e-06", "-.5",
    "1.5e+3", "12:30", "true", "False", "TRUE", "yes", "on", "null", "Null", "~", "2020-01-01",
    "2020-1-1", "1e", "0x", "0b", "0o8", "_1", "1__0", "+", ".", "..", ".inf", "-.INF", ".nan",
    "a", "nan", "inf", "t", "n", "00000000000000000000000000000000",
    "11111111111111111111111111111111", "1e333333333333333333333333333333",
    "12345678901234567890123456789012", "2001-12-14 21:59:43", "2001-12-14T21:59:43Z", "٣",
]  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_scalars(text: str):
    """A scalar without quotes is what it is to DVC's parser."""
    from dvc.utils.serialize import parse_yaml

    ours = yaml12.parse_yaml(f"a: {text}\n".encode())["a"]
    theirs = parse_yaml(f"a: {text}\n", "x")["a"]
    assert type(ours) is type(theirs)
    assert ours == theirs or (math.isnan(ours) and math.isnan(theirs))


def test_too_large():
    """A large file in an odd form is refused: PyYAML would hold up the training for minutes."""
    rows = "".join(f"- {{a: {number}}}\n" for number in range(500_000))
    with pytest.raises(Exception, match="over 4 MB"):
        yaml12.parse_yaml(f"\t\n{rows}".encode())


@pytest.mark.parametrize(
    "text", ["a: [\n", "a: 'x\n", "a: b: c\n", "a: 1\na: 2\n", "a:\n  b\n c: 1"]
)
def test_faults(text: str):
    """What is no YAML is named by PyYAML, with the line."""
    with pytest.raises(UnreadableError, match="line"):
        yaml12.parse_yaml(text.encode())
