"""From the workspace, as it is now, to the Snapshot of a run that starts in it."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field, replace

from mlflow_dvc.capture import git
from mlflow_dvc.capture.inventory import with_data
from mlflow_dvc.capture.project import Project, find_project, running_script
from mlflow_dvc.capture.reading import ProjectReader, Reading
from mlflow_dvc.errors import NoProjectError
from mlflow_dvc.snapshot import GitState, Snapshot

_READERS_AT_MOST = 16


@dataclass(frozen=True)
class Moment:
    """Everything that was read when a run started, and the Snapshot it is worth so far.

    :func:`completed` adds what takes longer.
    """

    snapshot: Snapshot
    project: Project
    reading: Reading | None = field(default=None, repr=False)
    git_fault: str | None = None

    def is_of(
        self, project: Project, reading: Reading | None, state: GitState | None, fault: str | None
    ) -> bool:
        """Whether it was made of just these; a reading is the same object while nothing changed."""
        return (
            self.reading is reading
            and self.project == project
            and self.snapshot.git == state
            and self.git_fault == fault
        )


_readers: dict[str, ProjectReader] = {}
_last: Moment | None = None
_lock = threading.Lock()


def now() -> Moment:
    """The moment of a run that this process starts now. Reads only what changed since the last."""
    return _look(find_project(script=running_script()))


def status(path: str | None = None) -> Snapshot:
    """What a run started in the directory ``path`` (default: here) would record.

    Asks DVC about templates that it has not been asked about before, and git for the nearest tag.
    Raises :class:`~mlflow_dvc.errors.NoProjectError` where there is neither git nor DVC.
    """
    return look_at(path)[1]


def look_at(path: str | None = None) -> tuple[Project, Snapshot]:
    """The same, and the project that was found."""
    project = find_project(path)
    if project.git_root is None and project.dvc_root is None:
        raise NoProjectError(os.path.abspath(path or "."))
    return project, completed(_look(project)).snapshot


def completed(moment: Moment) -> Moment:
    """The same moment with what takes too long for the start of a run.

    Templates of dvc.yaml are resolved by DVC, in a child process and once for each version of
    them; git is asked for the nearest tag.
    """
    reading, state = moment.reading, moment.snapshot.git
    if state and state.sha and moment.project.git_root:
        nearest = git.describe(moment.project.git_root, state.sha)
        state = replace(state, describe=nearest)
    if reading is not None and reading.pending:
        reading = reading.resolved()
        return _moment(moment.project, reading, state, moment.git_fault)
    return replace(moment, snapshot=replace(moment.snapshot, git=state))


def _look(project: Project) -> Moment:
    global _last
    state, fault = None, None
    if project.git_root:
        state, fault = git.read_head(project.git_root, project.code_source)
    with _lock:
        reading = _reader(project.dvc_root).read() if project.dvc_root else None
        last = _last
        if last and last.is_of(project, reading, state, fault):
            return last
        _last = moment = _moment(project, reading, state, fault)
        return moment


def _reader(root: str) -> ProjectReader:
    if root not in _readers:
        if len(_readers) >= _READERS_AT_MOST:
            _readers.clear()
        _readers[root] = ProjectReader(root)
    return _readers[root]


def _moment(
    project: Project, reading: Reading | None, state: GitState | None, fault: str | None
) -> Moment:
    snapshot = Snapshot(git=state, warnings=(fault,) if fault else ())
    if reading is not None:
        snapshot = with_data(snapshot, project, reading)
    return Moment(snapshot, project, reading, fault)


def _forget_after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_after_fork)
