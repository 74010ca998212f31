"""A thread that takes what waits ten times in a second, and is gone while anybody forks.

So many events wait that a training that opens many files loses none, and a queue that stays short
costs each of its opens less.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from mlflow_dvc.guard import guard

_SECONDS = 0.1


class Drainer:
    def __init__(self, drain: Callable[[], None]) -> None:
        self._drain = drain
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_wanted = False

    def start(self) -> None:
        self._is_wanted = True
        if self._thread is not None:
            return
        self._stop.clear()
        thread = threading.Thread(target=self._work, name="mlflow-dvc reads", daemon=True)
        with suppress(RuntimeError):  # no more threads: what waits too long is told as a fault
            thread.start()
            self._thread = thread

    def pause(self) -> None:
        """Until :meth:`resume`; for a fork."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def resume(self) -> None:
        if self._is_wanted:
            self.start()

    def end(self) -> None:
        self._is_wanted = False
        self.pause()

    def _work(self) -> None:
        while not self._stop.wait(_SECONDS):
            with guard("observe what is read"):
                self._drain()
