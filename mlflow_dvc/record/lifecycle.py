"""What is done when a run ends, and when the process ends."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from mlflow_dvc import tracking
from mlflow_dvc.guard import guard
from mlflow_dvc.record import (
    disk_check,
    inputs,
    observing,
    run_tags,
    stage_seal,
    unfinished,
    write_record,
)
from mlflow_dvc.record.background_worker import BackgroundWorker
from mlflow_dvc.record.process_exit import has_raised, user_threads_running
from mlflow_dvc.record.run_registry import RunRecordState, RunRegistry, known_records

_FAILURES = frozenset({"FAILED", "KILLED"})
_WAIT_SHARE = 0.8
_LOOK_SECONDS = 1.0
_LONG_RUN_SECONDS = 30  # after so long nobody feels one request more
_FAILURE_WAIT_SECONDS = 1.0  # whoever has pressed Ctrl-C does not want to wait

registry = RunRegistry()
# Runs that have ended, of a stage that is about to be sealed: then all is written at once.
_deferred: list[RunRecordState] = []


def on_run_ending(run_id: str) -> None:
    """MLflow is about to end the run, and may read it: what is left is written with that."""
    for record in known_records(registry.get(run_id)):
        record.read, record.is_ended = None, True


def on_run_read(run: Any) -> None:
    """MLflow has read the run at its end."""
    for record in known_records(registry.get(run.info.run_id)):
        if record.is_ended:
            record.note_read(run)


def on_tags_written(run_id: str, tags: Mapping[str, str]) -> None:
    """The user has tagged the run."""
    for record in known_records(registry.get(run_id)):
        if record.server_tags is not None:
            record.server_tags = {**record.server_tags, **tags}


def on_run_end(run_id: str, status: Any) -> None:
    """Write what is not written yet of a run that has ended, and wait for that."""
    worker.begin_end()
    worker.wait(run_id)
    for record in registry.kept_records(run_id):
        record.failed = str(status).upper() in _FAILURES
        seconds = _time_limit(failed=record.failed)
        doing = f"complete the record of run {run_id}"
        worker.submit(run_id, doing, partial(_finish, record, seconds))
    worker.wait(run_id)


def _finish(record: RunRecordState, seconds: float) -> None:
    if record.pending:
        with guard(f"check the data of {record.label}"):
            _conclude_check(record, seconds)
    _add_reads(record)
    with guard(f"log the inputs of {record.label}"):
        inputs.log_inputs(record)
    if record.awaits_seal:
        write_record.write_known(record)
        _deferred.append(record)
    else:
        write_record.write_all(record)
    _complete_children(record)
    _complete_earlier(record)


def _complete_children(record: RunRecordState) -> None:
    """Those of its child runs that have read other data than it has by now."""
    for child in registry.sharing(record.run_id):
        with guard(f"attach the record to {child.label}"):
            write_record.part_from_parent(child, record)
            if child.folder is not None:
                write_record.write_all(child)


def _add_reads(record: RunRecordState) -> None:
    if record.capture.data.reads is None:
        with guard(f"tell what {record.label} has read"):
            observing.add_to(record)
            record.capture = write_record.share(record.capture)
            parent = registry.get(record.shared_with)
            if parent is None or not parent.started_here:
                write_record.part_from_parent(record, None)


def _complete_earlier(record: RunRecordState) -> None:
    """Another process may have had no time: this one has just reached the server."""
    if unfinished.is_written(record) and unfinished.is_kept_for(record.capture.project):
        doing = "complete the records of earlier runs"
        worker.submit("", doing, partial(unfinished.complete_earlier, record.capture.project))


def write_deferred() -> None:
    """This process goes on: the tags of its runs so far do not wait for its end."""
    while _deferred:
        record = _deferred.pop()
        doing = f"complete the tags of {record.label}"
        worker.submit(record.run_id, doing, partial(run_tags.sync_tags, record))


def on_activity(run_id: str) -> None:
    """The user writes to the run: a good moment for what has become known of it meanwhile.

    No thread of ours waits for it.
    """
    record, now = registry.get(run_id), time.monotonic()
    if record is None or record.is_settled or now < record.next_look:
        return
    record.next_look = now + _LOOK_SECONDS
    is_known = record.pending is None or disk_check.has_ended(record)
    is_long = time.time_ns() - record.started > _LONG_RUN_SECONDS * 10**9
    if is_long or (is_known and not record.awaits_seal):
        record.next_look = math.inf
        doing = f"complete the tags of {record.label}"
        worker.submit(run_id, doing, partial(_write_meanwhile, record))


def _write_meanwhile(record: RunRecordState) -> None:
    _conclude_check(record, 0)
    write_record.write_known(record)
    run_tags.sync_tags(record)


def on_model_final(model_id: str) -> None:
    """Wait for the record of a model without a run that is complete, as for that of a run."""
    worker.begin_end()
    for record in registry.kept_records(model_id):
        worker.wait(model_id)
        if record.pending or record.capture.data.reads is None:
            doing = f"complete the record of {record.label}"
            seconds = _time_limit(failed=False)
            worker.submit(model_id, doing, partial(_finish_model, record, seconds))
            worker.wait(model_id)


def _finish_model(record: RunRecordState, seconds: float) -> None:
    _conclude_check(record, seconds)
    _add_reads(record)
    write_record.write_all(record)


def _time_limit(*, failed: bool) -> float:
    """Seconds for what takes long; the rest of the time to wait is for telling it."""
    seconds = worker.seconds_left() * _WAIT_SHARE
    return min(seconds, _FAILURE_WAIT_SECONDS) if failed else seconds


def _conclude_check(record: RunRecordState, seconds: float) -> None:
    if data := disk_check.finish_check(record, seconds):
        write_record.update(record, data)


def _write_what_is_left(record: RunRecordState) -> None:
    """Give a record what its run, or the model, got no occasion for."""
    if not record.is_ended:
        record.read = None
    if not _is_there(record):
        return
    _add_reads(record)
    with guard(f"log the inputs of {record.label}"):
        inputs.log_inputs(record)
    write_record.write_all(record)
    _complete_earlier(record)


def _is_there(record: RunRecordState) -> bool:
    """Whether it is still worth telling: what nobody has ended may have been deleted."""
    if record.is_model:
        return tracking.is_model_there(record.tracking_uri, record.run_id)
    return record.is_ended or run_tags.read_run(record) is not None


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
        for record in [one for one in records if one.awaits_seal]:
            doing = f"note that the stage of {record.label} failed"
            worker.submit(record.run_id, doing, partial(stage_seal.mark_failed, record))
    for record in [one for one in records if one.pending]:
        doing = f"check the data of {record.label}"
        worker.submit(record.run_id, doing, partial(_conclude_check, record, seconds))
    for sealing in sealings:
        worker.submit(
            sealing.records[0].run_id,
            f"record what stage {sealing.stage.address} has made",
            partial(stage_seal.finish_seal, sealing, seconds),
        )
    for record in records:
        if record.pending or not unfinished.is_written(record):
            doing = f"complete the record of {record.label}"
            worker.submit(record.run_id, doing, partial(_write_what_is_left, record))
    return False


def _give_up() -> None:
    """What is not known by now stays unverified, what is not written is written later."""
    unfinished.keep_unfinished(registry.all())
    disk_check.stop_checks()


worker = BackgroundWorker(_at_exit_jobs, last_of_all=_give_up)


def after_fork() -> None:
    """In a forked child: the runs are the parent's to finish."""
    worker.after_fork()
    registry.after_fork()
    _deferred.clear()
    disk_check.after_fork()
    stage_seal.exit_watcher.after_fork()
