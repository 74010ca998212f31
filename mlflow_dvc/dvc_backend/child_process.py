"""A process that imports DVC, answers one request in JSON, and ends."""

from __future__ import annotations

import json
import os
import re
import select
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TextIO

from mlflow_dvc.dvc_backend.api import HOST_CHANGED
from mlflow_dvc.errors import DvcUnavailableError
from mlflow_dvc.observe import own_reads
from mlflow_dvc.process import start_process
from mlflow_dvc.program import open_memory, python_program

# Exit codes: the answer says what was wrong; the limit that a task has set itself is reached.
TASK_FAILED, OUT_OF_TIME = 4, 5
_CLEAN_UP_SECONDS = 0.5
_MAX_SAID_CHARACTERS = 500
_CHUNK_BYTES = 1_000_000
_PLUGIN = re.compile(r"\bdvc-(\w+)")


class DvcProcess:
    """``task``, a function of this package, called with one request in a new Python.

    ``idle``: it takes the processor only while nobody else wants it. Raises DvcUnavailableError,
    which is an OSError, where there is no Python to ask.
    """

    def __init__(
        self, task: Callable[..., Any], request: Mapping[str, Any], *, idle: bool = False
    ) -> None:
        name = f"{task.__module__}:{task.__name__}"
        words = [name, str(os.getpid()), *(["idle"] if idle else [])]
        try:
            program = python_program("mlflow_dvc.dvc_backend", *words, DVC_NO_ANALYTICS="1")
        except OSError as error:
            raise DvcUnavailableError(str(error)) from error
        self._answer = open_memory()
        with open_memory() as question:
            question.write(json.dumps(request).encode())
            self._process = start_process(program, question, self._answer)
        self._noted = 0
        own_reads.follow(self)

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it is done, at the latest after ``seconds``."""
        try:
            return self._process.wait(seconds) is not None
        except OSError:  # then it has no result
            return True

    def result(self) -> Any:
        """The answer of one that is done. Raises DvcUnavailableError where there is none."""
        try:
            code = self._process.wait()
        except OSError as error:
            raise DvcUnavailableError(f"its process failed: {error}") from error
        own_reads.take(self)
        with self._answer:
            self._answer.seek(self._noted)
            if code == OUT_OF_TIME:
                raise DvcUnavailableError("it needs more time than other people's input may take")
            if code not in (0, HOST_CHANGED, TASK_FAILED):
                raise DvcUnavailableError(f"its process ended with the exit code {code}")
            try:
                answer = json.loads(self._answer.read())
            except (ValueError, RecursionError) as error:
                raise DvcUnavailableError(f"its answer is not readable ({error})") from error
        if code != 0:
            raise DvcUnavailableError(str(answer))
        return answer

    def stop(self) -> None:
        """It cleans up after itself, if it can do so at once."""
        self._process.send(signal.SIGTERM)
        if not self.wait(_CLEAN_UP_SECONDS):
            self._process.send(signal.SIGKILL)
            self.wait()
        own_reads.take(self)

    def new_notes(self) -> Iterator[int | str]:
        """What the task has noted since the last call, see :func:`note`."""
        if self._answer.closed or not hasattr(os, "pread"):  # not on Windows
            return
        while lines := os.pread(self._answer.fileno(), _CHUNK_BYTES, self._noted):
            whole = lines[: lines.rfind(b"\n") + 1]
            self._noted += len(whole)
            for line in whole.splitlines():
                yield json.loads(line)
            if not whole:
                break

    def after_fork(self) -> None:
        """In a forked process: it is another's child, and not to be waited for."""
        self._process.after_fork()


class Asker:
    """Whoever asked this process: an answer that nobody waits for any more is not worth the work.

    It is not the parent of this process, see :mod:`mlflow_dvc.process`.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._end: int | None = None
        if hasattr(os, "pidfd_open"):  # it tells of the end of one that nobody has waited for, too
            with suppress(OSError):
                self._end = os.pidfd_open(pid)

    @property
    def is_there(self) -> bool:
        if self._end is not None:
            return not select.select([self._end], [], [], 0)[0]
        if os.name == "nt":  # there a signal ends the process, whatever its number
            return True
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass
        return True


# Of this process, if it is such a child.
asker: Asker | None = None
answer: TextIO | None = None


def note(what: int | str) -> None:
    """Tell the asker at once: the id of this process, or a file that it has opened.

    A line for each comes before the answer, which has none.
    """
    if answer is not None:
        print(json.dumps(what), file=answer, flush=True)


def is_asked() -> bool:
    """Whether somebody still waits for what this process does."""
    return asker is None or asker.is_there


def describe_dvc_error(error: Exception) -> str:
    """What DVC says is wrong, on one line; and what to install, if it is that."""
    said = " ".join(str(error).split())[:_MAX_SAID_CHARACTERS] or type(error).__name__
    if isinstance(error, ImportError) and (plugin := _PLUGIN.search(said)):
        return f"{said}: pip install 'dvc[{plugin[1]}]'"
    return said


def call_dvc(task: Callable[..., Any], request: Mapping[str, Any], seconds: float) -> Any:
    """The answer of ``task`` to the request, waited for at most ``seconds``.

    Raises DvcUnavailableError where there is none.
    """
    child = DvcProcess(task, request)
    try:
        if not child.wait(seconds):
            raise DvcUnavailableError(f"it has not answered within {seconds:g} s")
    except BaseException:  # Ctrl-C too: it is in a session of its own
        child.stop()
        raise
    return child.result()
