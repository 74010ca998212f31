"""A process that imports DVC, answers one request in JSON, and ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlflow_dvc.dvc_backend.api import HOST_CHANGED
from mlflow_dvc.errors import DvcUnavailableError

# Exit codes: the answer says what was wrong; the limit that a task has set itself is reached.
TASK_FAILED, OUT_OF_TIME = 4, 5
_CLEAN_UP_SECONDS = 0.5
_MAX_SAID_CHARACTERS = 500
_PLUGIN = re.compile(r"\bdvc-(\w+)")


class DvcProcess:
    """``task``, a function of this package, called with one request in a new Python.

    ``idle``: it takes the processor only while nobody else wants it. Raises DvcUnavailableError,
    which is an OSError, where there is no Python to ask.
    """

    def __init__(
        self, task: Callable[..., Any], request: Mapping[str, Any], *, idle: bool = False
    ) -> None:
        if getattr(sys, "frozen", False) or "python" not in os.path.basename(sys.executable or ""):
            raise DvcUnavailableError(f"{sys.executable!r} is no Python")
        name = f"{task.__module__}:{task.__name__}"
        # Every stream is a file: who inherits a pipe keeps `python train.py | tee` waiting.
        self._answer = tempfile.TemporaryFile()  # noqa: SIM115
        with tempfile.TemporaryFile() as question:
            question.write(json.dumps(request).encode())
            question.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow_dvc.dvc_backend", name, *(["idle"] if idle else [])],
                stdin=question,
                stdout=self._answer,
                stderr=subprocess.DEVNULL,
                # Python looks for modules in the working directory first: not in the user's.
                cwd=Path(__file__).resolve().parents[2],
                env=os.environ | {"DVC_NO_ANALYTICS": "1"},
                start_new_session=True,  # Ctrl-C is meant for the training
            )

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it is done, at the latest after ``seconds``."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def result(self) -> Any:
        """The answer of one that is done. Raises DvcUnavailableError where there is none."""
        code = self._process.wait()
        with self._answer:
            self._answer.seek(0)
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
        if self._process.poll() is None:
            self._process.terminate()
            if not self.wait(_CLEAN_UP_SECONDS):
                self._process.kill()
                self._process.wait()

    def after_fork(self) -> None:
        """In a forked process: it is another's child, and not to be waited for."""
        self._process.returncode = 0


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
