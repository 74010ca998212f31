"""The planted secrets of ``canaries.txt``, made up anew in every process that tests."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_SOURCE = Path(__file__).with_name("canaries.txt")
_MADE_UP = re.compile(r"@\{(?:([a-z0-9]+):(\d+))?\}")
_SECRET = re.compile(r"(?<![@{])\*\{((?:[^{}]|@\{[^{}]*\})*)\}")
_ALPHABETS = {
    "an": string.ascii_letters + string.digits,
    "b64": string.ascii_letters + string.digits + "+/",
    "hex": "0123456789abcdef",
    "num": string.digits,
    "up": string.ascii_uppercase + "234567",
}


class Canary(NamedTuple):
    """``line`` of the file ``path`` holds ``secret``."""

    path: str
    line: str
    secret: str


def canaries(seed: int = 1) -> list[Canary]:
    """All of them; another ``seed`` gives other values."""
    rng = random.Random(seed)
    sections = _sections()
    found = list(_lines(rng, sections["lines"]))
    for name, template in sections["named"]:
        for path, line in sections["formats"]:
            value = make_up(template, rng)
            words = {"name": name, "NAME": name.upper(), "value": value}
            words["dashed"] = name.lower().replace("_", "-")
            text = re.sub(r"\{(\w+)\}", lambda match, words=words: words[match[1]], line)
            found.append(Canary(path, text, value))
    return found


def make_up(template: str, rng: random.Random) -> str:
    """With a digit, a small and a large letter where it is long enough to have them."""

    def one(match: re.Match[str]) -> str:
        if match[1] is None:
            return ""
        size = int(match[2])
        chars = rng.choices(_ALPHABETS[match[1]], k=size)
        if match[1] in ("an", "b64") and size > 2:
            chars[:3] = [rng.choice("abcdefgh"), rng.choice("23456789"), rng.choice("ABCDEFGH")]
        return "".join(chars)

    return _MADE_UP.sub(one, template)


def _lines(rng: random.Random, rows: list[tuple[str, str]]) -> Iterator[Canary]:
    for path, line in rows:
        found: list[str] = []

        def keep(match: re.Match[str], found: list[str] = found) -> str:
            found.append(make_up(match[1], rng))
            return found[-1]

        text = make_up(_SECRET.sub(keep, line), rng)
        yield Canary(path, text, found[0])


def _sections() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    rows: list[tuple[str, str]] = []
    for line in _SOURCE.read_text("utf-8").splitlines():
        if line.startswith("["):
            rows = found[line[1:-1]] = []
        elif line and not line.startswith("#"):
            name, _, text = line.partition("\t")
            rows.append((name, text))
    return found
