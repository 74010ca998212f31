"""What a policy asks of a metric."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import Any

_COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_LIMIT = re.compile(r"(>=|<=|>|<)\s*(\S+)")


@dataclass(frozen=True)
class MetricLimit:
    """A comparison and the number on its right."""

    comparison: str
    bound: float

    @classmethod
    def parse(cls, metric: str, said: Any) -> MetricLimit:
        """Of ``>= 0.8`` and the like. Raises ValueError."""
        problem = f"the limit of the metric {metric} is like '>= 0.8', not {said!r}"
        match = _LIMIT.fullmatch(said.strip()) if isinstance(said, str) else None
        if match is None:
            raise ValueError(problem)
        try:
            bound = float(match[2])
        except ValueError:
            raise ValueError(problem) from None
        if not math.isfinite(bound):
            raise ValueError(problem)
        return cls(match[1], bound)

    def is_met_by(self, value: float) -> bool:
        """No limit is met by what is no number."""
        return bool(_COMPARISONS[self.comparison](value, self.bound))

    def __str__(self) -> str:
        return f"{self.comparison} {self.bound}"
