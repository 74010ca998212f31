"""Record what a stage made when its process ends, just before DVC locks it.

Not of a process that failed: DVC will write nothing then. Not of workers that end without exit
handlers. ``mlflow-dvc sync`` makes up for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from mlflow_dvc import settings
from mlflow_dvc.capture import evidence
from mlflow_dvc.dvc_backend import lock_entry
from mlflow_dvc.dvc_backend.child_process import DvcProcess
from mlflow_dvc.dvc_backend.lock_entry import LockedStage
from mlflow_dvc.dvc_backend.tree_stat import stat_tree
from mlflow_dvc.dvcfiles.lock_file import entry_digest, lock_path
from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.fingerprint import md5_of, small_file_md5
from mlflow_dvc.guard import guard, warn_once
from mlflow_dvc.record import inputs, write_record
from mlflow_dvc.record.process_exit import ExitWatcher
from mlflow_dvc.record.run_registry import RunRecordState

_BYTES_A_SECOND = 400 * 10**6  # of hashing on a slow disk; more than fits is left to `sync`


@dataclass
class StageSeal:
    """A stage being sealed, with the runs that it is of."""

    stage: Stage
    child: DvcProcess
    records: list[RunRecordState]


exit_watcher = ExitWatcher()


def watch(record: RunRecordState) -> None:
    """A run of a stage has started: whether its process fails will count."""
    if settings.seal_enabled() and record.capture.project.dvc_stage:
        exit_watcher.watch()
        record.awaits_exit = exit_watcher.tells


def start_seals(records: Iterable[RunRecordState], seconds: float) -> list[StageSeal]:
    """Start to seal what is due, at the end of a process that ended well."""
    due = [record for record in records if record.awaits_seal]
    found: dict[tuple[str, str], StageSeal] = {}
    for record in due:
        reading, data = record.capture.reading, record.capture.data
        stage = evidence.stage_of(data, reading) if reading else None
        if reading is None or stage is None or stage.name is None:
            continue
        key = (reading.root, stage.address)
        if key not in found:
            limit = int(_BYTES_A_SECOND * seconds)
            child = lock_entry.start_sealing(
                reading.root, stage.file, stage.name, stage.address, max_bytes=limit
            )
            found[key] = StageSeal(stage, child, [])
        found[key].records.append(record)
    return list(found.values())


def finish_seal(sealing: StageSeal, seconds: float) -> None:
    """Give the runs what their stage has made. Raises OSError or ValueError without an answer."""
    if not sealing.child.wait(seconds):
        sealing.child.stop()
        _warn_unsealed(sealing, f"it takes longer than {seconds:g} s")
        return
    answer = lock_entry.read_sealed(sealing.child)
    if isinstance(answer, str):
        _warn_unsealed(sealing, answer)
        return
    now = time.time()  # the same for all of them: they are of one execution of the stage
    for record in sealing.records:
        with guard(f"record what the stage of {record.label} has made"):
            _seal(record, sealing.stage, answer, now)


def _seal(record: RunRecordState, stage: Stage, answer: LockedStage, at: float) -> None:
    before = record.capture.lock_at_start(stage)
    data = evidence.apply_stage_result(
        record.capture.data, answer, stage.file, at, touched=_touched_deps(record)
    )
    changed = (*data.changed, *_changed_params(record, stage))
    data = replace(data, stage_before=entry_digest(before), changed=changed)
    write_record.update(record, data, {lock_path(stage.file): answer.lock})
    write_record.write_all(record)
    if evidence.has_late_inputs(data):
        inputs.log_inputs(record)


def _touched_deps(record: RunRecordState) -> set[str]:
    """The dependencies that were not hashed in time, and were written since the run began."""
    root = record.capture.reading.root if record.capture.reading else ""
    found = set()
    for dep in record.capture.data.deps:
        if not dep.is_observed and "://" not in dep.path:
            with suppress(OSError):
                seen = stat_tree(os.path.join(root, dep.path))
                if seen is not None and seen.changed > record.started:
                    found.add(dep.path)
    return found


def _changed_params(record: RunRecordState, stage: Stage) -> list[str]:
    """The stage's parameter files that are not as they were when the run began."""
    reading = record.capture.reading
    before = reading.params if reading else {}
    root = reading.root if reading else ""
    named = {path: before[path] for path in stage.params if path in before}
    return [
        path
        for path, content in named.items()
        if small_file_md5(os.path.join(root, path)) != md5_of(content)
    ]


def mark_failed(record: RunRecordState) -> None:
    """Mark the stage of the run as failed, so that `sync` does not use a later lock."""
    write_record.update(record, replace(record.capture.data, stage_failed=True))
    write_record.write_all(record)


def _warn_unsealed(sealing: StageSeal, why: str) -> None:
    warn_once(
        f"what stage {sealing.stage.address} made is not recorded yet: {why} "
        "(`mlflow-dvc sync` may, after DVC has ended)"
    )
