"""What is done when a run ends, and when the process ends."""

from __future__ import annotations

from functools import partial
from typing import Any

from mlflow_dvc import settings, tracking
from mlflow_dvc.guard import guard
from mlflow_dvc.record import disk_check, inputs, stage_seal, write_record
from mlflow_dvc.record.background_worker import BackgroundWorker
from mlflow_dvc.record.process_exit import has_raised, user_threads_running
from mlflow_dvc.record.run_registry import RunRecordState, RunRegistry

_FAILURES = frozenset({"FAILED", "KILLED"})
_WAIT_SHARE = 0.8
_FAILURE_WAIT_SECONDS = 1.0  # whoever has pressed Ctrl-C does not want to wait

registry = RunRegistry()


def on_run_end(run_id: str, status: Any) -> None:
    """Wait for the record of a run that has ended, then write what the disk check found."""
    worker.wait(run_id)
    for record in registry.kept_records(run_id):
        record.is_ended = True
        record.failed = str(status).upper() in _FAILURES
        if record.pending:
            _submit_disk_check(record, _time_limit(failed=record.failed))
        worker.submit(run_id, f"log the inputs of run {run_id}", partial(inputs.log_inputs, record))
        worker.submit(
            run_id, f"draw the record of run {run_id}", partial(write_record.write_reports, record)
        )
    worker.wait(run_id)


def on_model_final(model_id: str) -> None:
    """Wait for the record of a model without a run that is complete, as for that of a run."""
    for record in registry.kept_records(model_id):
        worker.wait(model_id)
        if record.pending:
            _submit_disk_check(record, _time_limit(failed=False))
            worker.wait(model_id)


def _time_limit(*, failed: bool) -> float:
    """Seconds for what takes long; the rest of MLFLOW_DVC_WAIT is for telling it."""
    seconds = settings.wait_seconds() * _WAIT_SHARE
    return min(seconds, _FAILURE_WAIT_SECONDS) if failed else seconds


def _submit_disk_check(record: RunRecordState, seconds: float) -> None:
    def conclude() -> None:
        data = disk_check.finish_check(record, seconds)
        if data and _is_there(record):
            write_record.write_update(record, data)

    worker.submit(record.run_id, f"check the data of {record.label}", conclude)


def _write_what_is_left(record: RunRecordState) -> None:
    """Give a run that nobody has ended its inputs and pages.

    A run that was ended has them. It gets them again only if more has become known since.
    """
    if _is_there(record):
        with guard(f"log the inputs of {record.label}"):
            inputs.log_inputs(record)
        write_record.write_reports(record)


def _is_there(record: RunRecordState) -> bool:
    """Whether it is still worth telling: what nobody has ended may have been deleted."""
    ask = tracking.is_model_there if record.is_model else tracking.is_run_active
    return record.is_ended or ask(record.tracking_uri, record.run_id)


def _at_exit_jobs() -> bool:
    """What is left to do at the end of the process; true if that is to come once more."""
    if user_threads_running():
        return True
    outcome = stage_seal.exit_watcher.exit_outcome()
    seconds = _time_limit(failed=outcome == "failed" or has_raised())
    records = registry.all()
    sealings: list[stage_seal.StageSeal] = []
    if outcome == "well" and seconds > 0:
        with guard("record what the stage has made"):
            sealings = stage_seal.start_seals(records, seconds)
    if outcome == "failed":
        for record in filter(stage_seal.is_due, records):
            doing = f"note that the stage of {record.label} failed"
            worker.submit(record.run_id, doing, partial(stage_seal.mark_failed, record))
    for record in records:
        if record.pending:
            _submit_disk_check(record, seconds)
    for sealing in sealings:
        worker.submit(
            sealing.records[0].run_id,
            f"record what stage {sealing.stage.address} has made",
            partial(stage_seal.finish_seal, sealing, seconds),
        )
    for record in records:
        if not record.is_model:
            doing = f"draw the record of {record.label}"
            worker.submit(record.run_id, doing, partial(_write_what_is_left, record))
    return False


worker = BackgroundWorker(_at_exit_jobs, last_of_all=disk_check.stop_checks)


def after_fork() -> None:
    """In a forked child: the runs are the parent's to finish."""
    worker.after_fork()
    registry.after_fork()
    disk_check.after_fork()
    stage_seal.exit_watcher.after_fork()
