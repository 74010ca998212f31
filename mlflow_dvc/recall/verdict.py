"""The verdict on one part of a run, and on all parts together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

# PASS: it can be brought back. FAIL: it is lost. UNVERIFIED: that is not known. TAMPERED: the
# record contradicts itself.
Verdict = Literal["PASS", "FAIL", "UNVERIFIED", "TAMPERED"]
Part = Literal["record", "commit", "pin", "patch", "lock", "file", "read", "data"]
_WORST: tuple[Verdict, ...] = ("TAMPERED", "FAIL", "UNVERIFIED", "PASS")


@dataclass(frozen=True)
class Check:
    """One part of a run, and whether it can be brought back.

    ``name`` is the id of a commit, the path of anything else. ``reason`` says why in words, or
    where it was found; it may be empty.
    """

    part: Part
    name: str
    verdict: Verdict
    reason: str = ""


def overall(items: Iterable[Check]) -> Verdict:
    """The worst verdict; UNVERIFIED if there are no checks."""
    return worst(item.verdict for item in items)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """UNVERIFIED if there are none."""
    found = set(verdicts)
    return next((verdict for verdict in _WORST if verdict in found), "UNVERIFIED")
