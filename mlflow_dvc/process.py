"""Start programs that work for us, so that code of the user does not meet them."""

from __future__ import annotations

import signal
import subprocess
import threading
from typing import IO, Protocol

from mlflow_dvc.hidden_shell import hides, start_hidden
from mlflow_dvc.program import Program, send_signal


class Process(Protocol):
    """A program that was started, in a session of its own."""

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit code; None where it has not ended within ``seconds``.

        Raises OSError where nobody knows how it ended.
        """

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it and to what it has started, unless it has ended."""

    def after_fork(self) -> None:
        """In a forked process: it is another's, and not to be waited for."""


def start_process(
    program: Program, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes] | None = None
) -> Process:
    """Start ``program``, out of the reach of a Ctrl-C that is meant for the training.

    Every stream is a file: who inherits a pipe keeps ``python train.py | tee`` waiting. They are
    read and written from their beginning. Raises OSError where it cannot be started.
    """
    stdin.seek(0)
    if hides() and (hidden := start_hidden(program, (stdin, stdout, stderr))):
        return hidden
    return _Child(
        subprocess.Popen(
            program.command,
            cwd=program.cwd,
            env=program.env,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.DEVNULL if stderr is None else stderr,
            start_new_session=True,
        )
    )


def is_seen() -> bool:
    """Whether others can see a child that this thread has now and waits for at once."""
    is_alone = (
        threading.active_count() == 1 and threading.current_thread() is threading.main_thread()
    )
    return hides() and not (is_alone and signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL)


class _Child:
    """Where nothing can be hidden."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def wait(self, seconds: float | None = None) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def send(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            send_signal(self._process.pid, number)

    def after_fork(self) -> None:
        self._process.returncode = 0
