"""A terminal that a test looks at, and a signal at a moment that the work itself makes sure of."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from conftest import PYTHON, SECONDS

STEP = re.compile(r"\x1b\[([0-9;?]*)([a-zA-Z])|([\r\n]|[^\r\n\x1b]+)")
CONTROL = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")
# A module of this name is imported by every Python that has it in PYTHONPATH. It counts an event
# of Python's own audit, and signals the command at the n-th; the child with DVC waits until it is
# told to end.
SITE = """\
import os, sys, time

event, part, count, number = os.environ["INTERRUPT_AT"].split("|")
seen = 0


def look(what, words):
    global seen
    if what != event or not any(part in str(word) for word in words):
        return
    seen += 1
    if seen == int(count):
        child = sys.modules.get("mlflow_dvc.dvc_backend.child_process")
        asked = child and child.asker
        os.kill(int(sys.argv[2]) if asked else os.getpid(), int(number))
        while asked and not child.is_ended():
            time.sleep(0.01)  # until the signal has come here


sys.addaudithook(look)
"""


def interrupt_at(
    folder: Path, event: str, part: str, count: int, number: signal.Signals = signal.SIGINT
) -> dict[str, str]:
    """The environment of a command that gets the signal at the n-th event on a path like this."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(SITE)
    return {
        "PYTHONPATH": str(folder),
        "INTERRUPT_AT": f"{event}|{part}|{count}|{number.value}",
    }


class Terminal:
    """A command in a terminal, with a session of its own; ``text`` is what was written by now."""

    def __init__(self, command: list[str], cwd: Path, env: Mapping[str, str]) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._written = b""
        self.process = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, "TERM": "xterm", **env},
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)

    @property
    def text(self) -> str:
        """Without what moves the cursor or colours."""
        return CONTROL.sub(b"", self._written).decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        """As they stand there by now, without those that are empty."""
        screen, row, column = [""], 0, 0
        for move, code, text in STEP.findall(self._written.decode(errors="replace")):
            if code == "A":
                row = max(0, row - int(move or 1))
            elif code == "K":
                screen[row] = ""
            elif text == "\r":
                column = 0
            elif text == "\n":
                row += 1
                screen += [""] * (row + 1 - len(screen))
            elif text:
                old = screen[row].ljust(column)
                screen[row] = old[:column] + text + old[column + len(text) :]
                column += len(text)
        return [line.rstrip() for line in screen if line.strip()]

    def read_until(self, is_there: Callable[[], bool]) -> None:
        """Until this is so; at the end of the output, and after a long time, it has to be."""
        until = time.monotonic() + SECONDS
        while not is_there() and time.monotonic() < until:
            if select.select([self._ours], [], [], 0.05)[0]:
                try:
                    self._written += os.read(self._ours, 65536)
                except OSError:  # Linux's way to say that the other end is closed
                    break
        assert is_there(), self.text[-300:]

    def interrupt(self, number: signal.Signals) -> None:
        """As Ctrl-C does: the whole group."""
        os.killpg(self.process.pid, number)

    def end(self) -> int:
        with suppress(AssertionError):
            self.read_until(lambda: False)
        return self.process.wait(SECONDS)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(SECONDS)
        os.close(self._ours)


def terminal(cwd: Path, *words: str, **env: str) -> Terminal:
    """``mlflow-dvc WORDS`` by the real Python, which hears signals as a person's does."""
    return Terminal([PYTHON, "-m", "mlflow_dvc", *words], cwd, env)


def processes_with(mark: str) -> list[str]:
    """The commands of all processes that have ``mark`` in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found
