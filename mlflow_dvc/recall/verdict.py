"""The verdict on one part of a run, and on all parts together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["PASS", "FAIL", "UNVERIFIED", "TAMPERED"]
Part = Literal["record", "commit", "patch", "lock", "file", "data"]
_WORST: tuple[Verdict, ...] = ("TAMPERED", "FAIL", "UNVERIFIED", "PASS")


@dataclass(frozen=True)
class Check:
    """A commit by its id, anything else by its path; ``reason`` may be empty."""

    part: Part
    name: str
    verdict: Verdict
    reason: str = ""


def overall(items: Iterable[Check]) -> Verdict:
    """Of nothing at all nothing is known."""
    found = {item.verdict for item in items}
    return next((verdict for verdict in _WORST if verdict in found), "UNVERIFIED")
