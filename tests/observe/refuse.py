"""Run a Python file where the kernel refuses some calls, as a container's seccomp profile does.

``python refuse.py fanotify_init,inotify_init1 FILE ARGUMENT…``
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

NUMBERS = {
    "x86_64": {"fanotify_init": 300, "inotify_init1": 294},
    "aarch64": {"fanotify_init": 262, "inotify_init1": 26},
}[platform.machine()]
NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # with EPERM


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def refuse(calls: list[str]) -> None:
    rows = [(LOAD, 0, 0, 0)]  # the number of the call
    for name in calls:
        rows += [(JUMP_IF_EQUAL, 0, 1, NUMBERS[name]), (RETURN, 0, 0, REFUSE)]
    rows.append((RETURN, 0, 0, ALLOW))
    code = b"".join(struct.pack("HBBI", *row) for row in rows)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    program = Program(len(rows), code)
    assert libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(program)) == 0, ctypes.get_errno()


refuse(sys.argv[1].split(","))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
