"""Opened files as Python itself tells of them: only what is opened through Python.

An audit hook cannot be taken away again, so there is one at most, which can be told to do nothing.
https://docs.python.org/3/library/audit_events.html
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from mlflow_dvc.observe.event import Event

_WRITES = os.O_WRONLY | os.O_RDWR
_MAX_FILES = 200_000

_opened: dict[tuple[str, bool], None] | None = None
_is_hooked = False


class AuditHook:
    """What this process opens through Python, in any folder."""

    name = "audit"
    fault: str | None = (
        "only what Python itself opened was seen: this machine allows neither fanotify nor inotify"
    )
    tells_who = True

    def __init__(self) -> None:
        global _opened, _is_hooked
        self.has_overflown = False
        _opened = {}
        if not _is_hooked:
            _is_hooked = True
            sys.addaudithook(_hook)

    def watch(self, folder: str) -> None:
        """There is nothing to do."""

    def drain(self) -> None:
        """There is nothing to do."""

    def events(self) -> Iterator[Event]:
        global _opened
        taken, _opened = _opened or {}, {}
        self.has_overflown |= len(taken) >= _MAX_FILES
        for path, is_write in taken:
            folder, name = os.path.split(os.path.normpath(path))
            yield Event(folder, [name], os.getpid(), True, is_write)

    @property
    def has_fresh(self) -> bool:
        return bool(_opened)

    def close(self) -> None:
        global _opened
        _opened = None


def _hook(event: str, values: tuple[Any, ...]) -> None:
    """Called for everything that Python does: it must be cheap, and never fail."""
    if event != "open" or _opened is None or len(_opened) >= _MAX_FILES:
        return
    path, _, flags = values
    if type(path) is bytes:
        path = os.fsdecode(path)
    if type(path) is str:
        if not path.startswith(os.sep):
            path = os.path.join(_working_directory(), path)
        _opened[path, bool(isinstance(flags, int) and flags & _WRITES)] = None


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # somebody removed it under the process
        return os.sep
