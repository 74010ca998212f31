"""Ctrl-C and SIGTERM: what is under way is cleaned up, and a sentence says what was done."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any

from mlflow_dvc.scratch_folder import remove_scratch_folders

_PATIENCE_SECONDS = 5.0


class Interruption(KeyboardInterrupt):
    """Its message says what was done until then."""


class _Hearing:
    """The first signal interrupts. Those after it would cut off what cleans up, for a while."""

    def __init__(self) -> None:
        self._heard: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> Any:
        now = time.monotonic()
        if self._heard is None or now - self._heard > _PATIENCE_SECONDS:
            self._heard = now
            raise KeyboardInterrupt


def hear_signals() -> None:
    """Ctrl-C and SIGTERM interrupt, unless whoever started this process has them ignored."""
    hearing = _Hearing()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, hearing)
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, hearing)


def leave_threads(code: int) -> None:
    """End with ``code`` now if a thread still waits for the network: Python would wait for it."""
    others = set(threading.enumerate()) - {threading.current_thread()}
    if not any(one.is_alive() and not one.daemon for one in others):
        return
    remove_scratch_folders()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
