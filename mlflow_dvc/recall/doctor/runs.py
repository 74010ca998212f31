"""Rules about the runs: whether the server answers, whether records are confirmed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mlflow_dvc import tags as tag
from mlflow_dvc.recall.doctor.context import DoctorContext
from mlflow_dvc.recall.doctor.finding import Violation
from mlflow_dvc.secrets.urls import public_url

_UNSEALED = ("provisional", "none")


def server_unreachable(context: DoctorContext) -> Iterator[Violation]:
    if fault := context.finished.fault:
        where = public_url(context.tracking_uri or "")
        yield Violation(where, fault, "Set MLFLOW_TRACKING_URI to one that answers")


def unsealed(context: DoctorContext) -> Iterator[Violation]:
    """Only of stages whose newest run is: the older ones may have lost their lock for good."""
    by_stage: dict[str, list[str | None]] = {}
    for run in context.finished.runs:
        tags = run.data.tags
        by_stage.setdefault(tags[tag.STAGE], []).append(tags.get(tag.SEAL))
    for stage, seals in by_stage.items():
        if seals[0] in _UNSEALED:
            count = Counter(seal for seal in seals if seal in _UNSEALED)
            kinds = ", ".join(f"{number} {seal}" for seal, number in count.items())
            runs = f"{count.total()} finished run{'' if count.total() == 1 else 's'}"
            yield Violation(
                stage, f"{runs} not held against dvc.lock yet ({kinds})", "mlflow-dvc sync"
            )
