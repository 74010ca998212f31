"""A program that works for us: what is run, and the files that are its streams."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class Program:
    """What to run, where, and with which environment."""

    command: Sequence[str]
    cwd: str | os.PathLike[str]
    env: Mapping[str, str]


def python_program(module: str, *words: str, **env: str) -> Program:
    """``python -m MODULE WORDS`` by the Python of this process, and what its environment is more.

    Raises OSError where this process is no Python, but a program that has one inside.
    """
    if getattr(sys, "frozen", False) or "python" not in os.path.basename(sys.executable or ""):
        raise OSError(f"{sys.executable!r} is no Python")
    # Python looks for modules in the working directory first: not in the user's.
    here = Path(__file__).resolve().parents[1]
    return Program([sys.executable, "-m", module, *words], here, os.environ | env)


def open_memory() -> IO[bytes]:
    """A file for a stream of a program; no disk is needed for it where there is another way."""
    if hasattr(os, "memfd_create"):
        with suppress(OSError):
            return os.fdopen(os.memfd_create("mlflow-dvc"), "w+b")
    return tempfile.TemporaryFile()


def send_signal(pid: int, number: signal.Signals) -> None:
    """To the program that leads the session ``pid``, and to what it has started there."""
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):  # not on Windows
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
