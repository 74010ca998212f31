"""What a stage has made, told when its process ends: DVC itself writes it down a moment later.

Not of a process that failed: DVC will write nothing then. Not of workers that end without exit
handlers. ``mlflow-dvc sync`` makes up for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mlflow_dvc import settings
from mlflow_dvc.capture import settle
from mlflow_dvc.capture.lockfile import Stage, lock_of
from mlflow_dvc.dvc_backend import seal
from mlflow_dvc.dvc_backend.child import Child
from mlflow_dvc.guard import warn_once
from mlflow_dvc.record import attach
from mlflow_dvc.record.ending import Ending
from mlflow_dvc.record.ledger import Record

_BYTES_A_SECOND = 400 * 10**6  # of hashing on a slow disk; more than fits is left to `sync`


@dataclass
class Sealing:
    """A stage being sealed, with the runs that it is of."""

    stage: Stage
    child: Child
    records: list[Record]


ending = Ending()


def watch(record: Record) -> None:
    """A run of a stage has started: whether its process fails will count."""
    if settings.seal() and record.moment.project.dvc_stage:
        ending.watch()


def begin(records: Iterable[Record], seconds: float) -> list[Sealing]:
    """Start to seal what is due, at the end of a process that ended well."""
    due = [record for record in records if is_due(record)]
    found: dict[tuple[str, str], Sealing] = {}
    for record in due:
        reading, data = record.moment.reading, record.moment.data
        stage = settle.stage_of(data, reading) if reading else None
        if reading is None or stage is None or stage.name is None:
            continue
        key = (reading.root, stage.address)
        if key not in found:
            limit = int(_BYTES_A_SECOND * seconds)
            child = seal.start(
                reading.root, stage.file, stage.name, stage.address, bytes_at_most=limit
            )
            found[key] = Sealing(stage, child, [])
        found[key].records.append(record)
    return list(found.values())


def conclude(sealing: Sealing, seconds: float) -> None:
    """Give the runs what their stage has made. Raises OSError or ValueError without an answer."""
    if not sealing.child.wait(seconds):
        sealing.child.stop()
        _unsealed(sealing, f"it takes longer than {seconds:g} s")
        return
    answer = seal.seal_of(sealing.child)
    if isinstance(answer, str):
        _unsealed(sealing, answer)
        return
    now = time.time()  # the same for all of them: they are of one execution of the stage
    for record in sealing.records:
        before = record.moment.lock_at_start(sealing.stage)
        data = settle.sealed(record.moment.data, answer, sealing.stage.file, now)
        data = replace(data, stage_before=settle.name_of(before))
        attach.settle(record, data, {lock_of(sealing.stage.file): answer.lock})
        attach.draw(record)


def note_failure(record: Record) -> None:
    """So that no later lock is taken for that of a stage that failed."""
    attach.settle(record, replace(record.moment.data, stage_failed=True))


def _unsealed(sealing: Sealing, why: str) -> None:
    warn_once(
        f"what stage {sealing.stage.address} made is not recorded yet: {why} "
        "(`mlflow-dvc sync` may, after DVC has ended)"
    )


def is_due(record: Record) -> bool:
    """Whether the run is of a stage that may be sealed, as far as the run itself tells."""
    return (
        settings.seal()
        and not record.failed
        and record.moment.reading is not None
        and record.moment.project.dvc_stage is not None
        and record.moment.data.stage is not None
    )
