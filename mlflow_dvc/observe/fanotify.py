"""Opened files by fanotify, without rights: https://man7.org/linux/man-pages/man7/fanotify.7.html.

Since Linux 5.13 every user may have a group that watches folders. Only the process that has opened
a file learns that it was itself: for all others its own group tells ``0`` as the process. Equal
events that wait are merged, and 16,384 can wait.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable, Iterator

from mlflow_dvc.observe.event import Event

_CLOEXEC, _NONBLOCK, _UNLIMITED_QUEUE = 0x1, 0x2, 0x10
_REPORT_FOLDER_AND_NAME = 0x400 | 0x800
_ADD, _ONLY_FOLDERS = 0x1, 0x8
_OPEN, _ON_CHILDREN = 0x20, 0x08000000
_WRITE = 0x2 | 0x8 | 0x80  # changed, closed after it was open to be written, moved there
_OVERFLOW, _ON_FOLDER, _NEW = 0x4000, 0x40000000, 0x100 | 0x80
_AT_CWD, _AT_HANDLE_FID = -100, 0x200
_BUFFER_BYTES = 1 << 18
_MAX_HANDLE_BYTES = 128
_MAX_KNOWN = 500_000  # events
# An event: its length, version, length of this head, mask, descriptor, process; then the record
# that names folder and file: kind, its length, file system, length of the handle, kind of it,
# handle, name.
_LENGTH_BYTES, _WHAT, _PID = 4, slice(8, 24), slice(20, 24)
_MASK_AND_PID = struct.Struct("=Q4xi")
_KEY_AT, _HANDLE_LENGTH_AT, _HANDLE_AT = 28, 36, 44
_HANDLE_HEAD_BYTES = 8
_NO_NAME = b"."
_ENCODING = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_MAX_TIMES = 3  # of an event that others made: one may be a process of this package


class FanotifyGroup:
    """One group of this process. Raises OSError where the machine allows none."""

    name = "fanotify"
    fault: str | None = None
    tells_who = True

    def __init__(self) -> None:
        self.has_overflown = False
        self._folders: dict[bytes, str] = {}
        self._file_systems: dict[int, bytes] = {}
        self._fresh: list[bytes] = []
        self._known: dict[bytes, int] = {}  # how often each was told
        self._me = struct.pack("=i", os.getpid())
        if not sys.platform.startswith("linux"):
            raise OSError("fanotify is part of Linux")
        libc = ctypes.CDLL(None, use_errno=True)
        self._mark, self._handle_at = libc.fanotify_mark, libc.name_to_handle_at
        self._mark.argtypes = (
            ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p,
        )  # fmt: skip
        flags = _CLOEXEC | _NONBLOCK | _REPORT_FOLDER_AND_NAME
        for more in (_UNLIMITED_QUEUE, 0):  # who may have a queue without limit needs it
            self.descriptor = libc.fanotify_init(flags | more, os.O_RDONLY)
            if self.descriptor >= 0:
                return
        raise _last_error("fanotify_init")

    def watch(self, folder: str) -> None:
        """From now on. Raises OSError where that is not allowed, or not possible."""
        path = os.fsencode(folder)
        mask = _OPEN | _WRITE | _NEW | _ON_FOLDER | _ON_CHILDREN
        if self._mark(self.descriptor, _ADD | _ONLY_FOLDERS, mask, _AT_CWD, path) != 0:
            raise _last_error(folder)
        self._folders[self._key_of(folder, path)] = folder

    def drain(self) -> None:
        """Take the events that wait; cheap, whatever they are."""
        while True:
            try:
                block = os.read(self.descriptor, _BUFFER_BYTES)
            except BlockingIOError:
                return
            at, known = 0, self._known
            while at < len(block):
                length = int.from_bytes(block[at : at + _LENGTH_BYTES], sys.byteorder)
                event = block[at : at + length]
                times = known.get(event, 0)
                if times < (1 if event[_PID] == self._me else _MAX_TIMES):
                    known[event] = times + 1
                    self._fresh.append(event)
                at += length
            if len(known) > _MAX_KNOWN:
                known.clear()
                self.has_overflown |= len(self._fresh) > _MAX_KNOWN
                del self._fresh[_MAX_KNOWN:]

    def events(self) -> Iterator[Event]:
        """Those which were taken since the last call: of this process each kind once.

        There may be a hundred thousand. Those of one kind in one folder differ in their names.
        """
        fresh, self._fresh = self._fresh, []
        alike: dict[tuple[bytes, bytes], list[bytes]] = {}
        for raw in fresh:
            if len(raw) < _HANDLE_AT:
                self._note_overflow(raw)
                continue
            end = _HANDLE_AT + int.from_bytes(
                raw[_HANDLE_LENGTH_AT : _HANDLE_LENGTH_AT + 4], sys.byteorder
            )
            kind = raw[_WHAT], raw[_KEY_AT:end]
            name = raw[end : raw.find(b"\0", end)]
            if names := alike.get(kind):
                names.append(name)
            else:
                alike[kind] = [name]
        for (what, key), names in alike.items():
            if found := self._event(what, key, names):
                yield found

    @property
    def has_fresh(self) -> bool:
        return bool(self._fresh)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _event(self, what: bytes, key: bytes, names: Iterable[bytes]) -> Event | None:
        mask, pid = _MASK_AND_PID.unpack(what)
        folder = self._folders.get(key)
        if folder is None or (mask & _ON_FOLDER and not mask & _NEW):
            return None
        read = [name.decode(*_ENCODING) for name in names if name not in (b"", _NO_NAME)]
        if mask & _ON_FOLDER:
            return Event(folder, read, pid, is_new_folder=True)
        return Event(folder, read, pid, bool(mask & _OPEN), bool(mask & _WRITE))

    def _note_overflow(self, raw: bytes) -> None:
        mask, _ = _MASK_AND_PID.unpack(raw[_WHAT])
        self.has_overflown |= bool(mask & _OVERFLOW)

    def _key_of(self, folder: str, path: bytes) -> bytes:
        """The file system and the handle of a folder, as events name it."""
        device = os.stat(folder).st_dev
        if device not in self._file_systems:
            number = os.statvfs(folder).f_fsid & 0xFFFFFFFFFFFFFFFF
            self._file_systems[device] = struct.pack("=Q", number)
        handle = ctypes.create_string_buffer(_HANDLE_HEAD_BYTES + _MAX_HANDLE_BYTES)
        mount = ctypes.c_int()
        for flags in (0, _AT_HANDLE_FID):  # some file systems have only the second kind
            struct.pack_into("=I", handle, 0, _MAX_HANDLE_BYTES)
            if self._handle_at(_AT_CWD, path, handle, ctypes.byref(mount), flags) == 0:
                length = int.from_bytes(handle.raw[:4], sys.byteorder)
                return self._file_systems[device] + handle.raw[: _HANDLE_HEAD_BYTES + length]
        raise _last_error(folder)


def _last_error(where: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), where)
