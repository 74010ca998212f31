"""What a run and its reproduction have come to, side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_dvc import tracking
from mlflow_dvc.recall.carried import Carried

if TYPE_CHECKING:
    from mlflow.entities import Run

_SYSTEM = "system/"  # MLflow's own metrics of the machine


@dataclass(frozen=True)
class Metric:
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
class Output:
    """The hash of what the stage made, then and now; None where it is not known."""

    path: str
    before: str | None
    after: str | None

    @property
    def is_equal(self) -> bool:
        return self.before is not None and self.before == self.after


def metrics_of(old: Run, new: Run) -> list[Metric]:
    before, after = old.data.metrics, new.data.metrics
    names = sorted(name for name in before.keys() | after.keys() if not name.startswith(_SYSTEM))
    return [Metric(name, before.get(name), after.get(name)) for name in names]


def outputs_of(run: Carried, new: Run, tracking_uri: str | None) -> list[Output]:
    now = tracking.load_snapshot(new, tracking_uri)
    after = {entry.path: entry.hash for entry in now.facts}
    return [
        Output(entry.path, entry.hash, after.get(entry.path))
        for entry in run.snapshot.facts
        if entry.role == "output"
    ]
