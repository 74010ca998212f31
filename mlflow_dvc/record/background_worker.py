"""Work beside the training: one thread, there only while there is work, and while nobody forks.

Data loaders fork. From Python 3.12 a process with more than one thread warns of it, and with good
reason: a child has the locks that such a thread holds, and not the thread.
"""

from __future__ import annotations

import atexit
import contextvars
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from mlflow_dvc import settings
from mlflow_dvc.guard import guard, warn_once

Job = Callable[[], None]
_MAX_QUEUED = 1000
_MAX_FORK_WAIT_SECONDS = 2.0
_SHARE_OF_A_RUN = 0.8  # of MLFLOW_DVC_WAIT: what is left is for the end of the process


class BackgroundWorker:
    """Jobs one after another, each belonging to a run that may be waited for."""

    def __init__(self, last_jobs: Callable[[], bool], last_of_all: Job) -> None:
        """``last_jobs`` is called when the process ends, and submits jobs. It returns True to be
        called again once other threads have ended. ``last_of_all`` is called after that.
        """
        self._last_jobs = last_jobs
        self._last_of_all = last_of_all
        self._exits_with_process = False
        self.after_fork()

    def after_fork(self) -> None:
        """In a forked child: what was queued is the parent's to do, and so is its thread."""
        self._ending = False
        self._waited = 0.0  # seconds, since the end of the last run began
        self._jobs: deque[tuple[str, Job]] = deque()
        self._unfinished: Counter[str] = Counter()
        self._errors: list[Exception] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._running: Job | None = None
        self._stuck: Job | None = None
        self._given_up = False
        self._forking = 0  # threads that are about to fork, or do
        self._too_long: Job | None = None  # for a fork to wait for

    def before_fork(self) -> None:
        """Let the thread end after its present job. One that takes long is waited for once."""
        with self._changed:
            self._forking += 1
            thread, job = self._thread, self._running
            hopeless = job is not None and job is self._too_long
            if thread is None or thread is threading.current_thread() or hopeless:
                return
            if not self._changed.wait_for(lambda: self._thread is None, _MAX_FORK_WAIT_SECONDS):
                self._too_long = job
                return
        thread.join(_MAX_FORK_WAIT_SECONDS)

    def after_fork_in_parent(self) -> None:
        with self._changed:
            self._forking -= 1
            if self._jobs and self._thread is None and not self._forking:
                self._start()

    def submit(self, run_id: str, doing: str, job: Job) -> None:
        """Do ``job`` soon, guarded, in the context variables of the caller.

        Raises RuntimeError where no thread can be started.
        """
        context = contextvars.copy_context()

        def guarded() -> None:
            with guard(doing) as watched:
                watched.silent = lambda: self._given_up
                job()

        with self._changed:
            if len(self._jobs) >= _MAX_QUEUED:
                warn_once("too many runs wait for their record; some will stay without")
                return
            self._jobs.append((run_id, lambda: context.run(guarded)))
            self._unfinished[run_id] += 1
            if self._thread is None and not self._forking:
                self._start()
        if not self._exits_with_process:
            self._exits_with_process = True
            _at_exit(self.finish)

    def begin_end(self) -> None:
        """A run ends: from now on MLFLOW_DVC_WAIT counts, for it and for the end of the process."""
        if not self._ending:
            self._waited = 0.0

    def seconds_left(self) -> float:
        """How much longer may be waited."""
        share = 1.0 if self._ending else _SHARE_OF_A_RUN
        return max(share * settings.wait_seconds() - self._waited, 0.0)

    def wait(self, run_id: str) -> None:
        """Until the run's jobs are done, or the time is over. Strict mode raises."""
        self._wait(lambda: not self._unfinished[run_id])

    def finish(self) -> None:
        """Wait for all jobs, when the process ends."""
        self._ending = True
        with guard("wait for the record"):
            self._wait(lambda: not self._unfinished.total())
        with guard("finish the record"):
            if self._last_jobs():
                atexit.register(self.finish)
                return
            self._wait(lambda: not self._unfinished.total())
        self._given_up = True
        with guard("end what is still under way"):
            self._last_of_all()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="mlflow-dvc", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._thread = None
            if self._ending:  # Python starts no more threads; nobody else has anything to do either
                self._work()
                return
            self._jobs.clear()
            self._unfinished.clear()
            raise

    def _wait(self, done: Callable[[], bool]) -> None:
        """One job that hangs is waited for once, however many runs and exits come after it."""
        if threading.current_thread() is self._thread:
            return
        begun = time.monotonic()
        with self._changed:
            hopeless = self._running is not None and self._running is self._stuck
            if not hopeless and not self._changed.wait_for(done, self.seconds_left()):
                self._stuck = self._running
                warn_once(
                    f"the record of a run is not complete after {settings.wait_seconds():g} s and "
                    "may stay so (MLFLOW_DVC_WAIT=<seconds> waits longer)"
                )
            errors, self._errors = self._errors, []
        self._waited += time.monotonic() - begun
        if errors:
            raise errors[0]

    def _work(self) -> None:
        while True:
            with self._changed:
                self._running = None
                if not self._jobs or self._forking:
                    self._thread = None
                    self._changed.notify_all()
                    return
                run_id, self._running = self._jobs.popleft()
                job = self._running
            try:
                job()
            except Exception as error:  # only in strict mode does the guard let one through
                self._errors.append(error)
            except BaseException as error:  # a store that exits or panics ends its job, not ours
                warn_once(f"the record of run {run_id} was broken off: {error!r}")
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
