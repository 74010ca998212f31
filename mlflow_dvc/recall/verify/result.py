"""What was found of one run that was verified."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_dvc.recall.verdict import Check, Verdict, overall


@dataclass(frozen=True)
class VerifyResult:
    """What was found of one run. ``verdict`` is the worst of its ``items``.

    Of a registered model whose run is gone ``run_id`` is empty, ``run_name`` the model.
    """

    run_id: str
    run_name: str
    verdict: Verdict
    items: tuple[Check, ...]

    @classmethod
    def of(cls, run_id: str, run_name: str, *items: Check) -> VerifyResult:
        return cls(run_id, run_name, overall(items), items)

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to judge: the run carries no record, or one without data."""
        return bool(self.run_id) and not any(one.part == "data" and one.name for one in self.items)
