"""The runs of this process, and what is done for them when they end and when it ends."""

from __future__ import annotations

from functools import partial
from typing import Any

from mlflow_dvc import settings
from mlflow_dvc.guard import guard
from mlflow_dvc.record import attach, check, inputs, seal
from mlflow_dvc.record.ending import others_at_work
from mlflow_dvc.record.ledger import Ledger, Record
from mlflow_dvc.record.worker import Worker

_FAILURES = frozenset({"FAILED", "KILLED"})
_OF_THE_WAIT = 0.8
_OF_A_FAILURE = 1.0  # seconds: whoever has pressed Ctrl-C does not want to wait

ledger = Ledger()


def ended(run_id: str, status: Any) -> None:
    """A run has: wait for its record, and tell what lay on disk when it started."""
    worker.wait(run_id)
    for record in ledger.leading(run_id):
        record.failed = str(status).upper() in _FAILURES
        if record.pending:
            _tell_of_disk(record, _patience(failed=record.failed))
        worker.submit(run_id, f"log the inputs of run {run_id}", partial(inputs.log, record))
        worker.submit(run_id, f"draw the record of run {run_id}", partial(attach.draw, record))
    worker.wait(run_id)


def _patience(*, failed: bool) -> float:
    """Seconds for what takes long; the rest of MLFLOW_DVC_WAIT is for telling it."""
    seconds = settings.wait() * _OF_THE_WAIT
    return min(seconds, _OF_A_FAILURE) if failed else seconds


def _tell_of_disk(record: Record, seconds: float) -> None:
    def conclude() -> None:
        if data := check.conclude(record, seconds):
            attach.settle(record, data)

    worker.submit(record.run_id, f"check the data of run {record.run_id}", conclude)


def _last_jobs() -> bool:
    """What is left to do at the end of the process; true if that is to come once more."""
    if others_at_work():
        return True
    outcome = seal.ending.outcome()
    seconds = _patience(failed=outcome == "failed")
    records = ledger.all()
    sealings: list[seal.Sealing] = []
    if outcome == "well" and seconds > 0:
        with guard("record what the stage has made"):
            sealings = seal.begin(records, seconds)
    if outcome == "failed":
        for record in filter(seal.is_due, records):
            doing = f"note that the stage of run {record.run_id} failed"
            worker.submit(record.run_id, doing, partial(seal.note_failure, record))
    for record in records:
        if record.pending:
            _tell_of_disk(record, seconds)
    for sealing in sealings:
        worker.submit(
            sealing.records[0].run_id,
            f"record what stage {sealing.stage.address} has made",
            partial(seal.conclude, sealing, seconds),
        )
    return False


worker = Worker(_last_jobs, last_of_all=check.stop)


def after_fork() -> None:
    """In a forked child: the runs are the parent's to finish."""
    worker.after_fork()
    ledger.after_fork()
    check.after_fork()
    seal.ending.after_fork()
