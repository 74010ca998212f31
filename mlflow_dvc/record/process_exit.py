"""How this process ends, which Python tells nobody.

Seen on Python 3.10 to 3.13, when exit hooks run:

| the process ends by | how it is recognised |
|---|---|
| the end of its script | the last instruction of the main thread's lowest frame is a return |
| an exception | ``sys.last_exc`` or ``sys.last_value`` is set |
| ``sys.exit`` | the SystemExit, marked when it was raised, is freed with no frame below |
| anything else | nothing of that: the outcome is unknown |
"""

from __future__ import annotations

import dis
import functools
import multiprocessing
import os
import sys
import threading
import weakref
from types import FrameType
from typing import Any, Literal, NoReturn

Outcome = Literal["well", "failed", "unknown"]


class ExitWatcher:
    """Watches the process from the first stage's run on."""

    def __init__(self) -> None:
        self._lowest: FrameType | None = None
        self._exits: list[weakref.ref[_ExitMarker]] = []
        self._code: Any = None
        self._ended_by_exit = False
        self._is_watching = False
        self._is_forked = False

    def watch(self) -> None:
        """``sys.exit`` does what it did; its exceptions carry one attribute more."""
        if self._is_watching:
            return
        self._is_watching = True
        self._lowest = _lowest_frame()
        real = sys.exit

        @functools.wraps(real)
        def mlflow_dvc_exit(*args: Any) -> NoReturn:
            try:
                real(*args)
            except SystemExit as error:
                self._follow(error)
                raise

        sys.exit = mlflow_dvc_exit

    def after_fork(self) -> None:
        """Another process tells how the stage ends."""
        self._is_forked = True

    @property
    def tells(self) -> bool:
        """Whether exit hooks will run in this process, and say how it ended."""
        is_main = not self._is_forked and multiprocessing.parent_process() is None
        return self._is_watching and is_main

    def exit_outcome(self) -> Outcome:
        """Asked when exit hooks run: later ones may still fail, or end the process themselves."""
        if not self.tells:
            return "unknown"
        if has_raised():
            return "failed"
        if self._lowest is not None and _has_returned(self._lowest):
            return "well"
        if not self._ended_by_exit:
            return "unknown"
        is_success = self._code is None or (type(self._code) in (int, bool) and self._code == 0)
        return "well" if is_success else "failed"

    def _follow(self, error: SystemExit) -> None:
        """Where the exception is freed shows whether it was caught, or ends the process."""
        trace, code = _ExitMarker(), error.code

        def gone(reference: weakref.ref[_ExitMarker]) -> None:
            is_last = sys._getframe().f_back is None
            if is_last and threading.current_thread() is threading.main_thread():
                self._ended_by_exit, self._code = True, code

        error._mlflow_dvc = trace  # type: ignore[attr-defined]
        self._exits = [known for known in self._exits if known() is not None]
        self._exits.append(weakref.ref(trace, gone))


class _ExitMarker:
    """Goes away with the exception that carries it, which itself cannot be watched."""


def _lowest_frame() -> FrameType | None:
    """Of the main thread: the script's own, or that of whatever runs it."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _has_returned(frame: FrameType) -> bool:
    last = frame.f_lasti
    return last >= 0 and dis.opname[frame.f_code.co_code[last]].startswith("RETURN")


def has_raised() -> bool:
    """Whether an exception has reached the end of the main thread, Ctrl-C included."""
    return any(getattr(sys, name, None) is not None for name in ("last_exc", "last_value"))


def user_threads_running() -> bool:
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
