"""The observer of this process: when it begins, what forks and workers do, what runs get of it.

It begins when MLflow is imported, as people read their data before they start a run, in a place
with DVC. A run that starts in another project than that is observed from then on.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from mlflow_dvc import settings
from mlflow_dvc.capture.reads import add_reads
from mlflow_dvc.guard import guard
from mlflow_dvc.observe.beginning import Beginning
from mlflow_dvc.observe.libraries import unwatch_libraries, watch_libraries
from mlflow_dvc.observe.loaded import forget_loaded
from mlflow_dvc.observe.observer import Observer
from mlflow_dvc.project import find_running_project
from mlflow_dvc.record.run_registry import RunRecordState

_MAX_OBSERVERS = 4
_NO_TRAINING = frozenset({"mlflow", "mlflow-dvc", "mlflow_dvc", "gunicorn", "uvicorn"})
_PATIENCE_SECONDS = 1.2  # for workers that go on after the run, as those of joblib do

_observers: dict[str, Observer] = {}  # by the DVC root


def begin() -> None:
    """MLflow is being imported. Not all folders may be watched then, see :func:`watch_rest`."""
    if settings.is_enabled() and settings.reads_enabled() and not _is_server():
        root = find_running_project().dvc_root
        if root is not None:
            _observe(root, sys._getframe())


def watch_rest() -> None:
    """Watch what there was no time for; for a thread beside the training."""
    for observer in list(_observers.values()):
        observer.watch_rest(_main_frame)


def needs_rest() -> bool:
    return any(not observer.is_watching_all for observer in _observers.values())


def note_start(record: RunRecordState) -> None:
    """A run starts: what was read by now was read earlier."""
    root = record.capture.project.dvc_root
    if record.capture.reading is None or root is None or not settings.reads_enabled():
        return
    if root not in _observers:
        _observe(root, sys._getframe())
    record.observed_from = _observers[root].drain()


def look_at_beginning(record: RunRecordState) -> None:
    """Find out what had run before; for a thread beside the training."""
    if observer := _observers.get(record.capture.project.dvc_root or ""):
        observer.look_at_beginning()


def add_to(record: RunRecordState) -> None:
    """Give a record what its run has read by now."""
    root = record.capture.project.dvc_root or ""
    observer = _observers.get(root) if settings.reads_enabled() else None
    seen = None
    if observer is not None:
        observer.watch_also(_data_folders(record, observer.root))
        data = (entry.path for entry in record.capture.data.data)
        places = frozenset(os.path.join(root, path) for path in data)
        seen = observer.observe_patiently(_PATIENCE_SECONDS, places)
    record.capture = add_reads(record.capture, seen, record.observed_from)


def _is_server() -> bool:
    """Whether this is a program of MLflow's, or of this package: no training."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    module = spec.name.partition(".")[0] if spec is not None else ""
    program = os.path.basename(sys.argv[0]) if sys.argv else ""
    return module in _NO_TRAINING or program in _NO_TRAINING


def end() -> None:
    """Observe nothing any more, and forget what was loaded."""
    while _observers:
        _observers.popitem()[1].close()
    unwatch_libraries()
    forget_loaded()


def _observe(root: str, frame: FrameType) -> None:
    if len(_observers) >= _MAX_OBSERVERS:
        _observers.pop(next(iter(_observers))).close()
    _observers[root] = Observer(root, Beginning(frame, root))
    watch_libraries()
    if len(_observers) == 1:
        _at_end(_hand_over)


def _data_folders(record: RunRecordState, root: str) -> list[str]:
    """Those of tracked data that lies outside of the project, or in folders that are hidden."""
    found = set()
    for entry in record.capture.data.data:
        if "://" in entry.path:
            continue
        where = os.path.normpath(os.path.join(root, entry.path))
        folder = os.path.dirname(where)
        is_inside = where.startswith(root + os.sep)
        if not is_inside or any(part.startswith(".") for part in entry.path.split("/")):
            found.add(where if os.path.isdir(where) else folder)
    return sorted(folder for folder in found if os.path.isdir(folder))


def _main_frame() -> FrameType | None:
    return sys._current_frames().get(threading.main_thread().ident or 0)


def _hand_over() -> None:
    with guard("tell what a worker has read"):
        for observer in list(_observers.values()):
            observer.hand_over()


def _at_end(job: Callable[[], None]) -> None:
    """When this process ends, also where it is a worker of `multiprocessing`."""
    early = getattr(threading, "_register_atexit", None)
    with suppress(RuntimeError):  # the process is ending already
        if early is not None:
            early(job)


def before_fork() -> None:
    with guard("observe what a forked process reads"):
        for observer in _observers.values():
            observer.before_fork()


def after_fork_in_parent() -> None:
    with guard("observe what a forked process reads"):
        for observer in _observers.values():
            observer.after_fork_in_parent()


def after_fork() -> None:
    with guard("observe what a forked process reads"):
        for root, observer in list(_observers.items()):
            child = observer.child()
            if child is None:
                del _observers[root]
            else:
                _observers[root] = child
