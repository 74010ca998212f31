"""Opened files by inotify, where fanotify is refused: somebody has opened them, nobody knows who.

https://man7.org/linux/man-pages/man7/inotify.7.html
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterator

from mlflow_dvc.observe.event import UNKNOWN_PROCESS, Event

_CLOEXEC, _NONBLOCK = os.O_CLOEXEC, os.O_NONBLOCK
_OPEN, _WRITE = 0x20, 0x2 | 0x8 | 0x80
_OVERFLOW, _ON_FOLDER, _ONLY_FOLDERS = 0x4000, 0x40000000, 0x01000000
_EVENT = struct.Struct("=iIII")
_BUFFER_BYTES = 1 << 18


class InotifyGroup:
    """Raises OSError where the machine allows none."""

    name = "inotify"
    fault: str | None = (
        "this machine does not tell who opened a file: fanotify is refused, of inotify it is "
        "known that somebody did, and of Python's own calls that it was this process"
    )
    tells_who = False

    def __init__(self) -> None:
        if not sys.platform.startswith("linux"):
            raise OSError("inotify is part of Linux")
        libc = ctypes.CDLL(None, use_errno=True)
        self._add = libc.inotify_add_watch
        self.has_overflown = False
        self._folders: dict[int, str] = {}
        self._fresh: dict[tuple[int, int, bytes], None] = {}
        self._known: set[tuple[int, int, bytes]] = set()
        self.descriptor = libc.inotify_init1(_CLOEXEC | _NONBLOCK)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def watch(self, folder: str) -> None:
        mask = _OPEN | _WRITE | _ONLY_FOLDERS
        number = self._add(self.descriptor, os.fsencode(folder), mask)
        if number < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), folder)
        self._folders[number] = folder

    def drain(self) -> None:
        while True:
            try:
                block = os.read(self.descriptor, _BUFFER_BYTES)
            except BlockingIOError:
                return
            at = 0
            while at < len(block):
                number, mask, _, length = _EVENT.unpack_from(block, at)
                at += _EVENT.size + length
                key = number, mask, block[at - length : at]
                if key not in self._known:
                    self._known.add(key)
                    self._fresh[key] = None

    def events(self) -> Iterator[Event]:
        fresh, self._fresh = self._fresh, {}
        for number, mask, padded in fresh:
            if mask & _OVERFLOW:
                self.has_overflown = True
            folder, name = self._folders.get(number), padded.rstrip(b"\0")
            if folder is None or not name or mask & _ON_FOLDER:
                continue
            is_open, is_write = bool(mask & _OPEN), bool(mask & _WRITE)
            yield Event(folder, [os.fsdecode(name)], UNKNOWN_PROCESS, is_open, is_write)

    @property
    def has_fresh(self) -> bool:
        return bool(self._fresh)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
