"""A process that imports DVC, answers one request in JSON, and ends."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, TextIO

from mlflow_dvc.dvc_backend.api import HOST_CHANGED, NOT_INSTALLED
from mlflow_dvc.errors import DvcNotInstalledError, DvcUnavailableError
from mlflow_dvc.observe import own_reads
from mlflow_dvc.process import start_process
from mlflow_dvc.program import open_memory, python_program
from mlflow_dvc.progress import Progress, follow_progress, is_followed, tell_progress

# Exit codes: the answer says what was wrong; the limit that a task has set itself is reached.
TASK_FAILED, OUT_OF_TIME = 4, 5
_CLEAN_UP_SECONDS = 1.0  # an idle one hears late on a busy machine
_CALLED_CLEAN_UP_SECONDS = 5.0  # of one that somebody waits for, who has asked for it to end
_ASKED_AGAIN_SECONDS = 1.0
_LOOK_SECONDS = 0.1  # between two looks at how far it has come
_MAX_SAID_CHARACTERS = 500
_CHUNK_BYTES = 1_000_000
_PLUGIN = re.compile(r"\bdvc-(\w+)")


class DvcProcess:
    """``task``, a function of this package, called with one request in a new Python.

    ``idle``: it takes the processor only while nobody else wants it. ``called``: this process
    waits for it, and it ends when this process does. Raises DvcUnavailableError, which is an
    OSError, where there is no Python to ask.
    """

    def __init__(
        self,
        task: Callable[..., Any],
        request: Mapping[str, Any],
        *,
        idle: bool = False,
        called: bool = False,
    ) -> None:
        modes = {"idle": idle, "called": called, "followed": called and is_followed()}
        name = f"{task.__module__}:{task.__name__}"
        words = [name, str(os.getpid()), *(word for word, is_meant in modes.items() if is_meant)]
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
            if code == NOT_INSTALLED:
                raise DvcNotInstalledError
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

    def answer_within(self, seconds: float) -> Any:
        """As :meth:`result`; whoever follows is told meanwhile how far it has come."""
        until = time.monotonic() + seconds
        step = _LOOK_SECONDS if is_followed() else seconds
        try:
            while not self.wait(max(0.0, min(step, until - time.monotonic()))):
                own_reads.take(self)
                if time.monotonic() >= until:
                    raise DvcUnavailableError(f"it has not answered within {seconds:g} s")
        except BaseException:  # Ctrl-C too: it is in a session of its own
            self.stop(_CALLED_CLEAN_UP_SECONDS)
            raise
        return self.result()

    def stop(self, seconds: float = _CLEAN_UP_SECONDS) -> None:
        """It cleans up after itself, if it can do so within these."""
        self._process.send(signal.SIGTERM)
        if not self.wait(seconds):
            self._process.send(signal.SIGKILL)
            self.wait()
        own_reads.take(self)

    def new_notes(self) -> Iterator[int | str]:
        """What the task has noted since the last call, see :func:`note`.

        How far it has come is told to whoever follows.
        """
        if self._answer.closed or not hasattr(os, "pread"):  # not on Windows
            return
        while lines := os.pread(self._answer.fileno(), _CHUNK_BYTES, self._noted):
            whole = lines[: lines.rfind(b"\n") + 1]
            self._noted += len(whole)
            for line in whole.splitlines():
                what = json.loads(line)
                if isinstance(what, dict):
                    tell_progress(Progress(**what))
                else:
                    yield what
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
        return self.is_there_for(0)

    def is_there_for(self, seconds: float) -> bool:
        """Whether it still is after these, as far as it can be told at once when it ends."""
        if self._end is not None:
            return not select.select([self._end], [], [], seconds)[0]
        time.sleep(seconds)
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
_noting = threading.Lock()
_is_held = _is_ended = False


def note(what: int | str | Mapping[str, Any]) -> None:
    """Tell the asker at once: the id of this process, a file that it has opened, or progress.

    A line for each comes before the answer, which has none.
    """
    if answer is not None:
        with _noting:
            answer.write(f"{json.dumps(what)}\n")
            answer.flush()


def end() -> None:
    """What a signal to end does: every ``finally`` runs, but for what :func:`finish_first` holds.

    A second one is not heard: it would cut off the cleaning up after the first.
    """
    global _is_ended
    if not _is_ended:
        _is_ended = True
        if not _is_held:
            sys.exit(1)


def is_ended() -> bool:
    return _is_ended


@contextmanager
def finish_first() -> Iterator[None]:
    """A signal to end is heard after the block: what is done in it is done, and told."""
    global _is_held
    _is_held = True
    try:
        yield
    finally:
        _is_held = False
        if _is_ended:
            sys.exit(1)


def end_with_asker() -> None:
    """Let this process end as soon as whoever asked it has."""

    def watch(asked: Asker) -> None:
        while asked.is_there_for(_ASKED_AGAIN_SECONDS):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    if asker is not None and os.name != "nt":  # there nobody is told of its end
        threading.Thread(target=watch, args=(asker,), daemon=True).start()


@contextmanager
def telling() -> Iterator[None]:
    """How far the work in it has come is noted."""
    with follow_progress(lambda progress: note(asdict(progress)), every=_LOOK_SECONDS):
        yield


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
    return DvcProcess(task, request, called=True).answer_within(seconds)
