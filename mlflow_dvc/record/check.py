"""What lay on disk when a run started: asked beside the training, told when the run ends.

While the child process works, no thread of ours waits for it: from Python 3.12 every ``fork`` of
the training would warn.
"""

from __future__ import annotations

import os
import time

from mlflow_dvc import settings
from mlflow_dvc.capture import settle
from mlflow_dvc.capture.moment import Moment
from mlflow_dvc.dvc_backend import check
from mlflow_dvc.dvc_backend.child import Child
from mlflow_dvc.dvc_backend.stamp import touched_around
from mlflow_dvc.record.ledger import Pending, Record
from mlflow_dvc.snapshot import Snapshot

# To look at so many files in the training's own process takes a hundredth of a second.
_FILES_AT_MOST = 1000
_BYTES_AT_MOST = 50 * 10**9
_SECONDS_AT_MOST = 900.0

# By the DVC root; one at a time, and each remembers for the next.
_children: dict[str, Child] = {}


def begin(record: Record) -> None:
    """Settle what is known already, and start to look at the rest."""
    moment = record.moment
    reading = moment.reading
    if reading is None or moment.facts.frozen or not settings.check():
        return
    asked = settle.questions(moment.data, reading)
    known = check.recall_all(reading.root, list(asked.values()), _FILES_AT_MOST)
    if known is not None:
        data = settle.checked(moment.data, asked, known, record.started)
        record.moment = moment.with_data(data)
        return
    paths = {path: os.path.join(reading.root, path) for _, path in asked}
    missing = {
        path
        for path, where in paths.items()
        if not os.path.lexists(where) and touched_around(where) <= record.started
    }
    pending = Pending(asked, missing)
    pending.child = _start(record, pending)
    record.pending = pending


def conclude(record: Record, seconds: float) -> Snapshot | None:
    """What came of it; None where nothing did within ``seconds``, and it is looked at further.

    Raises OSError or ValueError where there is no answer.
    """
    pending = record.pending
    if pending is None:
        return None
    end = time.monotonic() + seconds
    if pending.child is None:
        pending.child = _after_the_other(record, pending, seconds)
    if pending.child is None or not pending.child.wait(max(end - time.monotonic(), 0)):
        return None
    record.pending = None
    answer = check.answer_of(pending.child)
    data, started = record.moment.data, record.started
    return settle.checked(data, pending.asked, answer, started, pending.missing)


def stop() -> None:
    """At the end of the process: what is not known by now stays unverified."""
    for child in _children.values():
        child.stop()


def after_fork() -> None:
    for child in _children.values():
        child.after_fork()
    _children.clear()


def _after_the_other(record: Record, pending: Pending, seconds: float) -> Child | None:
    other = _children.get(_root(record.moment))
    if other is not None and not other.wait(seconds):
        return None
    return _start(record, pending)


def _start(record: Record, pending: Pending) -> Child | None:
    """None while another run's check of the same project is under way."""
    root = _root(record.moment)
    other = _children.get(root)
    if other is not None and not other.wait(0):
        return None
    questions = list(pending.asked.values())
    child = check.start(root, questions, bytes_at_most=_BYTES_AT_MOST, seconds=_SECONDS_AT_MOST)
    _children[root] = child
    return child


def _root(moment: Moment) -> str:
    return moment.reading.root if moment.reading else ""
