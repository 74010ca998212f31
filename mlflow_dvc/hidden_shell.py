"""A shell that starts a program, and that nobody else in the process gets to see.

Other people's code waits for its own children by ``os.wait()``, or handles SIGCHLD. It would take a
child of ours for one of its own, and take its exit code away. So on Linux a program is started by a
shell that is no child of this process either, but of one that :func:`_run_hidden` makes, which no
wait finds and whose end is no signal. The shell tells by a pipe what its number is, and with what
code the program ended.

The first process of a container gets its orphans back: there nothing can be hidden.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import mmap
import os
import select
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from mlflow_dvc.program import Program, open_memory, send_signal

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_VM, _CLONE_VFORK, _WCLONE = 0x100, 0x4000, -0x80000000
_PR_GET_CHILD_SUBREAPER = 37
_LC_ALL_MASK = 0x1FBF
_STACK_BYTES = 256 * 1024
_START_SECONDS = 10.0
# What a shell's exit code says of the program that it did not start; -1: the shell was ended.
_FAULTS = {126: errno.EACCES, 127: errno.ENOENT, -1: errno.ECHILD}
_SHELL = "/bin/sh"
# Some containers let no other process look at the files of this one.
_is_refused = False


def hides() -> bool:
    """Whether programs can be hidden just now.

    Without a working directory the shell would complain, to the user.
    """
    if _is_refused or not _can_hide():
        return False
    try:
        os.getcwd()
    except OSError:
        return False
    return True


@functools.lru_cache(maxsize=1)
def _can_hide() -> bool:
    if not sys.platform.startswith("linux") or os.getpid() == 1:
        return False
    if not (os.access(_SHELL, os.X_OK) and shutil.which("setsid")):
        return False
    try:
        libc = _libc()
        is_reaper = ctypes.c_int()
        libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(is_reaper), 0, 0, 0)
        # Of a locale that is not there some shells complain, to the user.
        return not is_reaper.value and bool(libc.newlocale(_LC_ALL_MASK, b"", None))
    except (OSError, AttributeError):
        return False


@functools.lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    libc.newlocale.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
    libc.newlocale.restype = ctypes.c_void_p
    return libc


def start_hidden(
    program: Program, streams: tuple[IO[bytes], IO[bytes], IO[bytes] | None]
) -> Orphan | None:
    """None where that is refused, as it will be the next time."""
    global _is_refused
    # Whoever watches what this process starts is told, as of any other.
    sys.audit("subprocess.Popen", program.command[0], program.command, program.cwd, program.env)
    here = f"/proc/{os.getpid()}/fd"
    stdin, stdout, stderr = (f"{here}/{one.fileno()}" if one else os.devnull for one in streams)
    words = [
        f"exec 4<{stdin} 5>{stdout} 6>{stderr}",
        f"cd {shlex.quote(os.fspath(program.cwd))} || exit",
        *_exports(program.env),
        "trap : TERM",  # the program's own answer to it is waited for
        "echo $$ >&3",
        f"{shlex.join(program.command)} <&4 >&5 2>&6 3>&- 4<&- 5>&- 6>&-",
        "echo $? >&3",
    ]
    with open_memory() as script:
        script.write(os.fsencode("\n".join(words) + "\n"))
        script.flush()
        reads, writes = os.pipe()
        opened = f"exec 0<{os.devnull} 1>{os.devnull} 2>&1 3>{here}/{writes}"
        try:
            _run_hidden(f"{opened}; setsid {_SHELL} {here}/{script.fileno()} &")
        finally:
            os.close(writes)
        line = _read_line(reads, _START_SECONDS)
    if line:
        return Orphan(int(line), reads)
    os.close(reads)
    _is_refused = True
    return None


def _exports(env: Mapping[str, str]) -> Iterator[str]:
    """What makes of the environment of this process, which the shell has, the other one."""
    yield from (f"unset {name}" for name in os.environ if name not in env and _is_name(name))
    for name, value in env.items():
        if os.environ.get(name) != value and _is_name(name):
            yield f"export {name}={shlex.quote(value)}"


def _is_name(name: str) -> bool:
    return name.isidentifier() and name.isascii()


def _run_hidden(command: str) -> None:
    """Call ``system(command)`` in a process that nobody sees, and wait for its end.

    It is made as ``vfork`` makes one: it has the memory of this process, which waits. What is not
    done is to ask for a signal at its end; only a wait for such ones finds it (``__WCLONE`` in
    ``man 2 wait``). A handler of SIGCHLD would run in that memory as well: that waits.
    """
    libc = _libc()
    argument = ctypes.create_string_buffer(os.fsencode(command))
    function = ctypes.cast(libc.system, ctypes.c_void_p)
    with mmap.mmap(-1, _STACK_BYTES, flags=mmap.MAP_PRIVATE) as memory:
        stack = ctypes.c_char.from_buffer(memory)
        try:
            top = (ctypes.addressof(stack) + _STACK_BYTES) & ~15
            with _without_sigchld():
                address = ctypes.addressof(argument)
                pid = libc.clone(function, top, _CLONE_VM | _CLONE_VFORK, address)
        finally:  # Ctrl-C too: the memory is not closed while something points to it
            del stack
    if pid > 0:
        with suppress(ChildProcessError):
            os.waitpid(pid, _WCLONE)


@contextmanager
def _without_sigchld() -> Iterator[None]:
    if signal.getsignal(signal.SIGCHLD) in (signal.SIG_DFL, signal.SIG_IGN):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _read_line(pipe: int, seconds: float | None) -> bytes | None:
    """Empty at its end; None where there is none within ``seconds``."""
    until = None if seconds is None else time.monotonic() + seconds
    line = b""
    while not line.endswith(b"\n"):
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        if not poll.poll(None if until is None else max(until - time.monotonic(), 0) * 1000):
            return None
        found = os.read(pipe, 1)
        if not found:
            return b""
        line += found
    return line.strip()


class Orphan:
    """A program that such a shell runs."""

    def __init__(self, pid: int, pipe: int) -> None:
        self._pid = pid
        self._pipe = pipe
        self._code: int | None = None

    def wait(self, seconds: float | None = None) -> int | None:
        if self._code is None:
            line = _read_line(self._pipe, seconds)
            if line is None:
                return None
            self._code = int(line or -1)
            self._close()
        if fault := _FAULTS.get(self._code):
            raise OSError(fault, os.strerror(fault))
        return self._code

    def send(self, number: signal.Signals) -> None:
        """Its number is its own as long as the shell has not said how it ended."""
        with suppress(OSError):
            if self.wait(0) is None:
                send_signal(self._pid, number)

    def after_fork(self) -> None:
        self._code = 0
        self._close()

    def _close(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
        self._pipe = -1

    def __del__(self) -> None:
        self._close()
