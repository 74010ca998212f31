"""How far long work has come: told by whoever does it, to whoever follows.

Nobody needs to follow. A process with DVC tells it to the one that asked, see
:mod:`mlflow_dvc.dvc_backend.child_process`.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import TracebackType


@dataclass(frozen=True)
class Progress:
    """Of one piece of work, that ``id`` names: ``done`` of ``total`` things, each a ``unit``.

    A total is None as long as it is not known. ``kept`` says in words what becomes of what is done
    if it is interrupted. ``is_over``: it has come to its end.
    """

    id: str
    doing: str
    unit: str
    total: int | None = None
    bytes_total: int | None = None
    kept: str = ""
    done: int = 0
    bytes_done: int = 0
    is_over: bool = False


Listener = Callable[[Progress], None]
_numbers = itertools.count(1)
# Who follows, and how many seconds lie between two times that one piece of work is told.
_followed: ContextVar[tuple[Listener, float] | None] = ContextVar("followed", default=None)


@contextmanager
def follow_progress(listener: Listener, every: float = 0) -> Iterator[None]:
    """Inside of it ``listener`` is told of all work that this thread begins."""
    token = _followed.set((listener, every))
    try:
        yield
    finally:
        _followed.reset(token)


def is_followed() -> bool:
    return _followed.get() is not None


def tell_progress(progress: Progress) -> None:
    """Of work that is done elsewhere."""
    if followed := _followed.get():
        followed[0](progress)


class Work:
    """``with Work("checking runs", "runs") as work:`` and ``work.advance()``, from any thread.

    Where it ends by an exception it is told once more, and is not over.
    """

    def __init__(
        self,
        doing: str,
        unit: str,
        total: int | None = None,
        bytes_total: int | None = None,
        kept: str = "",
    ) -> None:
        id_ = f"{os.getpid()}-{next(_numbers)}"
        self._progress = Progress(id_, doing, unit, total, bytes_total, kept)
        followed = _followed.get()
        self._listener = followed[0] if followed else None
        self._every = followed[1] if followed else 0
        self._lock = threading.Lock()
        self._told = 0.0

    def __enter__(self) -> Work:
        self._change()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._told = 0.0
        self._change(is_over=kind is None)

    def advance(self, count: int = 1, size: int = 0) -> None:
        """``count`` more things are done, and ``size`` more bytes."""
        self._change(count, size)

    def expect(self, total: int | None) -> None:
        """How many there are, as soon as it is known."""
        self._progress = replace(self._progress, total=total)
        self._change()

    def settle_bytes(self, size: int) -> None:
        """So many bytes are done in all: some came twice, or in a way that told of none."""
        self._change(size=size - self._progress.bytes_done)

    def _change(self, count: int = 0, size: int = 0, *, is_over: bool = False) -> None:
        with self._lock:
            now = self._progress
            self._progress = replace(
                now, done=now.done + count, bytes_done=now.bytes_done + size, is_over=is_over
            )
            if self._listener and time.monotonic() - self._told >= self._every:
                self._told = time.monotonic()
                self._listener(self._progress)
