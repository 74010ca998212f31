"""Work beside the training: one thread, there only while there is something to do.

It must not outlive its work: from Python 3.12 a process with more than one thread warns at every
``fork``, and data loaders fork.
"""

from __future__ import annotations

import atexit
import contextvars
import threading
from collections import Counter, deque
from collections.abc import Callable

from mlflow_dvc import settings
from mlflow_dvc.guard import guard, warn_once

Job = Callable[[], None]


class Worker:
    """Jobs one after another, each belonging to a run that may be waited for."""

    def __init__(self) -> None:
        self._jobs: deque[tuple[str, Job]] = deque()
        self._unfinished: Counter[str] = Counter()
        self._errors: list[Exception] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._exits_with_process = False

    def submit(self, run_id: str, doing: str, job: Job) -> None:
        """Do ``job`` soon, guarded, in the context variables of the caller."""
        context = contextvars.copy_context()

        def guarded() -> None:
            with guard(doing):
                job()

        with self._changed:
            self._jobs.append((run_id, lambda: context.run(guarded)))
            self._unfinished[run_id] += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="mlflow-dvc", daemon=True)
                self._thread.start()
        if not self._exits_with_process:
            self._exits_with_process = True
            _at_exit(self.finish)

    def wait(self, run_id: str) -> None:
        """Until the run's jobs are done, MLFLOW_DVC_WAIT seconds at most. Strict mode raises."""
        self._wait(lambda: not self._unfinished[run_id], f"the record of run {run_id}")

    def finish(self) -> None:
        """The same for all jobs, when the process ends."""
        self._wait(lambda: not self._unfinished.total(), "the record of a run")

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        if threading.current_thread() is self._thread:
            return
        limit = settings.wait()
        with self._changed:
            if not self._changed.wait_for(done, limit):
                warn_once(
                    f"{what} is not complete after {limit:g} s and may stay so "
                    "(MLFLOW_DVC_WAIT=<seconds> waits longer)"
                )
            errors, self._errors = self._errors, []
        if errors:
            raise errors[0]

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._jobs:
                    self._thread = None
                    return
                run_id, job = self._jobs.popleft()
            try:
                job()
            except Exception as error:  # only in strict mode does the guard let one through
                self._errors.append(error)
            finally:
                with self._changed:
                    self._unfinished[run_id] -= 1
                    if not self._unfinished[run_id]:
                        del self._unfinished[run_id]
                    self._changed.notify_all()


def _at_exit(callback: Job) -> None:
    """Before thread pools are closed, where Python allows it: uploads to S3 need one.

    https://github.com/python/cpython/issues/86813
    """
    early = getattr(threading, "_register_atexit", None)
    try:
        if early is not None:
            early(callback)
            return
    except RuntimeError:  # the process is ending already
        pass
    atexit.register(callback)
