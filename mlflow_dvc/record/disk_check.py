"""Start the disk check when a run starts, and take its answer when the run ends.

While the child process works, no thread of ours waits for it: from Python 3.12 every ``fork`` of
the training would warn.
"""

from __future__ import annotations

import os
import time
from weakref import WeakSet

from mlflow_dvc import settings
from mlflow_dvc.capture import evidence
from mlflow_dvc.capture.run_capture import RunCapture
from mlflow_dvc.dvc_backend import hashing
from mlflow_dvc.dvc_backend.child_process import DvcProcess
from mlflow_dvc.dvc_backend.tree_stat import parent_mtime
from mlflow_dvc.record.run_registry import PendingCheck, RunRecordState
from mlflow_dvc.snapshot import Snapshot

# To look at so many files beside the training takes a fifth of a second, as long as to ask another
# process at all.
_MAX_FILES = 10_000
_MAX_BYTES = 50 * 10**9
_MAX_SECONDS = 900.0

# By the DVC root; one at a time, and each remembers for the next.
_children: dict[str, DvcProcess] = {}
_hopeless: WeakSet[DvcProcess] = WeakSet()


def start_check(record: RunRecordState) -> None:
    """Settle what is known already, and start to look at the rest."""
    capture = record.capture
    reading = capture.reading
    if reading is None or capture.data_capture.frozen or not settings.check_enabled():
        return
    asked = evidence.hash_queries(capture.data, reading)
    known = hashing.cached_hashes(reading.root, list(asked.values()), _MAX_FILES)
    if known is not None:
        data = evidence.apply_disk_check(capture.data, asked, known, record.started)
        record.capture = capture.with_data(data)
        return
    paths = {path: os.path.join(reading.root, path) for _, path in asked}
    missing = {
        path
        for path, where in paths.items()
        if not os.path.lexists(where) and parent_mtime(where) <= record.started
    }
    pending = PendingCheck(asked, missing)
    pending.child = _start(record, pending)
    record.pending = pending


def finish_check(record: RunRecordState, seconds: float) -> Snapshot | None:
    """What came of it; None where nothing did within ``seconds``, and it is looked at further.

    Raises OSError or ValueError where there is no answer.
    """
    pending = record.pending
    if pending is None:
        return None
    end = time.monotonic() + seconds
    if pending.child is None:
        pending.child = _start_when_free(record, pending, seconds)
    if pending.child is None or not _wait_once(pending.child, end - time.monotonic()):
        return None
    record.pending = None
    answer = hashing.read_answer(pending.child)
    data, started = record.capture.data, record.started
    return evidence.apply_disk_check(data, pending.asked, answer, started, pending.missing)


def has_ended(record: RunRecordState) -> bool:
    """Whether the child that looks has an answer."""
    child = record.pending.child if record.pending else None
    return child is not None and child.wait(0)


def stop_checks() -> None:
    """At the end of the process: what is not known by now stays unverified."""
    for child in _children.values():
        child.stop()


def after_fork() -> None:
    for child in _children.values():
        child.after_fork()
    _children.clear()


def _start_when_free(
    record: RunRecordState, pending: PendingCheck, seconds: float
) -> DvcProcess | None:
    other = _children.get(_root(record.capture))
    if other is not None and not _wait_once(other, seconds):
        return None
    return _start(record, pending)


def _wait_once(child: DvcProcess, seconds: float) -> bool:
    """Whether the child has ended. One that was waited for in vain may never end.

    A file can be of a size that nobody ever reads: that must not cost every run of the process the
    same time again. If it ends all the same, its answer counts.
    """
    if child.wait(0 if child in _hopeless else max(seconds, 0)):
        _hopeless.discard(child)
        return True
    _hopeless.add(child)
    return False


def _start(record: RunRecordState, pending: PendingCheck) -> DvcProcess | None:
    """None while another run's check of the same project is under way."""
    root = _root(record.capture)
    other = _children.get(root)
    if other is not None and not other.wait(0):
        return None
    questions = list(pending.asked.values())
    child = hashing.start_hashing(root, questions, max_bytes=_MAX_BYTES, seconds=_MAX_SECONDS)
    _children[root] = child
    return child


def _root(capture: RunCapture) -> str:
    return capture.reading.root if capture.reading else ""
