"""The result of ``backfill`` for one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BackfillVerdict = Literal["reconstructed", "recorded", "left"]


@dataclass(frozen=True)
class BackfillResult:
    """What was done with one run.

    ``verdict``: ``reconstructed`` from ``commit``, ``recorded`` before, or ``left`` as it is, for
    the ``reason``. ``stage`` is the one stage that declares the run's script, ``data`` how many
    paths the record has a hash of. ``changed`` is False for what a dry run would do.
    """

    run_id: str
    run_name: str
    experiment_id: str
    verdict: BackfillVerdict
    reason: str = ""
    commit: str | None = None
    stage: str | None = None
    data: int = 0
    changed: bool = False
