"""The result of `sync` for one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SyncVerdict = Literal["confirmed", "completed", "contradicted", "left"]


@dataclass(frozen=True)
class Difference:
    """An output whose hash was not what DVC wrote; None for one that was not known."""

    path: str
    recorded: str | None
    locked: str | None


@dataclass(frozen=True)
class SyncResult:
    """What became of one run.

    ``verdict``: its record is what DVC wrote (``confirmed``), is so now (``completed``, from
    nothing; ``contradicted``, corrected), or nothing is known of it (``left``, and ``reason``).
    ``changed``: whether the run was touched just now.
    """

    run_id: str
    run_name: str
    stage: str
    verdict: SyncVerdict
    reason: str = ""
    changed: bool = False
    differences: tuple[Difference, ...] = ()
