"""Compare metrics and outputs of a run and its reproduction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_dvc import tracking
from mlflow_dvc.recall.stored_record import StoredRecord

if TYPE_CHECKING:
    from mlflow.entities import Run

_SYSTEM = "system/"  # MLflow's own metrics of the machine


@dataclass(frozen=True)
class MetricPair:
    """The last value of each run; None where it has none of this name."""

    name: str
    before: float | None
    after: float | None

    @property
    def is_equal(self) -> bool:
        if self.before is None or self.after is None:
            return False
        return self.before == self.after or (math.isnan(self.before) and math.isnan(self.after))


@dataclass(frozen=True)
class OutputPair:
    """The hash of what the stage made, then and now; None where it is not known."""

    path: str
    before: str | None
    after: str | None

    @property
    def is_equal(self) -> bool:
        return self.before is not None and self.before == self.after


def compare_metrics(old: Run, new: Run) -> list[MetricPair]:
    before, after = old.data.metrics, new.data.metrics
    names = sorted(name for name in before.keys() | after.keys() if not name.startswith(_SYSTEM))
    return [MetricPair(name, before.get(name), after.get(name)) for name in names]


def compare_outputs(run: StoredRecord, new: Run, tracking_uri: str | None) -> list[OutputPair]:
    now = tracking.load_snapshot(new, tracking_uri)
    after = {entry.path: entry.hash for entry in now.claimed_outputs}
    return [
        OutputPair(entry.path, entry.hash, after.get(entry.path))
        for entry in run.snapshot.claimed_outputs
        if entry.role == "output"
    ]
