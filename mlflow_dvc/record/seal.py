"""What a stage has made, told when its process ends: DVC itself writes it down a moment later.

Not of a process that failed: DVC will write nothing then. Not of workers that end without exit
handlers. ``mlflow-dvc sync`` makes up for it.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

from mlflow_dvc import settings
from mlflow_dvc.capture import settle
from mlflow_dvc.capture.lockfile import Stage, lock_of
from mlflow_dvc.dvc_backend import seal
from mlflow_dvc.dvc_backend.child import Child
from mlflow_dvc.guard import warn_once
from mlflow_dvc.record import attach
from mlflow_dvc.record.ledger import Record

_SUCCESS = (None, 0)
_BYTES_A_SECOND = 400 * 10**6  # of hashing on a slow disk; more than fits is left to `sync`


@dataclass
class Sealing:
    """A stage being sealed, with the runs that it is of."""

    stage: Stage
    child: Child
    records: list[Record]


class _Exit:
    """With which code ``sys.exit`` was called last; ``raise SystemExit`` leaves none."""

    def __init__(self) -> None:
        self.code: Any = None
        self.called = False
        self.forked = False
        self._watching = False

    def watch(self) -> None:
        if self._watching:
            return
        self._watching = True
        real = sys.exit

        @functools.wraps(real)
        def mlflow_dvc_exit(*args: Any) -> NoReturn:
            self.code, self.called = args[0] if args else None, True
            real(*args)

        sys.exit = mlflow_dvc_exit


_exit = _Exit()


def watch(record: Record) -> None:
    """A run of a stage has started: whether its process fails will count."""
    if settings.seal() and record.moment.project.dvc_stage:
        _exit.watch()


def begin(records: Iterable[Record], seconds: float) -> list[Sealing]:
    """Start to seal what is due, at the end of the process; nothing if it has failed."""
    due = [record for record in records if _is_due(record)]
    if not due or has_failed():
        return []
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
        data = settle.sealed(record.moment.data, answer, sealing.stage.file, now)
        attach.settle(record, data, {lock_of(sealing.stage.file): answer.lock})


def _unsealed(sealing: Sealing, why: str) -> None:
    warn_once(
        f"what stage {sealing.stage.address} made is not recorded yet: {why} "
        "(after DVC has ended, `mlflow-dvc sync` records it)"
    )


def _is_due(record: Record) -> bool:
    return (
        settings.seal()
        and not record.failed
        and record.moment.reading is not None
        and record.moment.project.dvc_stage is not None
        and record.moment.data.stage is not None
    )


def others_at_work() -> bool:
    """Whether threads of the user still run, which Python waits for after its first exit hooks."""
    main, frames = threading.main_thread(), sys._current_frames()
    return any(
        thread is not main and not thread.daemon and not _is_idle(frames.get(thread.ident or 0))
        for thread in threading.enumerate()
    )


def _is_idle(frame: FrameType | None) -> bool:
    """Whether it is a pool's thread that has nothing to do: those are there until the very end."""
    return frame is None or (frame.f_code.co_name, os.path.basename(frame.f_code.co_filename)) == (
        "_worker",
        "thread.py",
    )


def after_fork() -> None:
    """Somebody else's process tells how the stage ends."""
    _exit.forked = True


def has_failed() -> bool:
    """Whether the process ends in a failure, or where nobody can tell.

    Python tells nobody its exit code. After an exception it keeps that, and ``sys.exit`` is
    watched. Of a script that ends by any SystemExit, and of no other, ``__main__`` still has its
    ``__file__`` (``_PyRun_SimpleFile`` takes it away when the script has come to its end).
    """
    if _exit.forked or multiprocessing.parent_process() is not None:
        return True
    if any(getattr(sys, name, None) is not None for name in ("last_exc", "last_value")):
        return True
    main = sys.modules.get("__main__")
    is_script = getattr(main, "__spec__", None) is None and sys.argv[:1] not in ([], ["-c"])
    if is_script and not hasattr(main, "__file__"):
        return False
    if _exit.called:
        return _exit.code not in _SUCCESS
    return is_script
