"""From the workspace, as it is now, to the Snapshot of a run that starts in it."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, replace
from functools import cached_property

from mlflow_dvc import settings
from mlflow_dvc.capture import git
from mlflow_dvc.capture.files import Glimpse
from mlflow_dvc.capture.inventory import with_data
from mlflow_dvc.capture.memory import Memory, Told, body_of, keep
from mlflow_dvc.capture.patch import Patch, patch_of
from mlflow_dvc.capture.project import Project, find_project, running_script
from mlflow_dvc.capture.reading import ProjectReader, Reading
from mlflow_dvc.errors import NoProjectError
from mlflow_dvc.guard import first_line
from mlflow_dvc.snapshot import GitState, Snapshot
from mlflow_dvc.tags import data_tags, git_tags

_READERS_AT_MOST = 16
_SAME_CODE = 1.0  # seconds


class Facts:
    """What a reading is worth to the runs of one process; all but the git part of a record.

    ``kept`` is what an earlier process of the same kind made of it.
    """

    def __init__(self, project: Project, reading: Reading | None) -> None:
        self.project = project
        self.reading = reading
        memory = reading.memory if reading else None
        run = _kind_of_run(project)
        self.kept = next((told for told in memory.told if told.fits(run)), None) if memory else None

    @cached_property
    def snapshot(self) -> Snapshot:
        return with_data(Snapshot(), self.project, self.reading) if self.reading else Snapshot()

    @cached_property
    def tags(self) -> dict[str, str]:
        return self.kept.tags if self.kept else data_tags(self.snapshot)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self.kept.warnings) if self.kept else self.snapshot.warnings


@dataclass(frozen=True)
class Moment:
    """Everything that was read when a run started.

    :func:`completed` adds what takes longer.
    """

    facts: Facts
    git: GitState | None
    git_fault: str | None = None
    patch: Patch | None = None

    @property
    def project(self) -> Project:
        return self.facts.project

    @property
    def reading(self) -> Reading | None:
        return self.facts.reading

    @property
    def warnings(self) -> tuple[str, ...]:
        omitted = self.git.omitted if self.git else ()
        return (
            *((self.git_fault,) if self.git_fault else ()),
            *(f"uncommitted code is not attached: {line}" for line in omitted),
            *self.facts.warnings,
        )

    @cached_property
    def tags(self) -> dict[str, str]:
        """What the run is tagged with; nothing where there is no commit and no DVC project."""
        if self.reading is None and not (self.git and self.git.sha):
            return {}
        return git_tags(self.git) | self.facts.tags

    @cached_property
    def snapshot(self) -> Snapshot:
        return replace(self.facts.snapshot, git=self.git, warnings=self.warnings)


_readers: dict[str, ProjectReader] = {}
_last: Moment | None = None
_patched: tuple[tuple[object, ...], float, Patch] | None = None
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
    moment = _look(project)
    remember(moment)
    return project, completed(moment).snapshot


def completed(moment: Moment) -> Moment:
    """The same moment with what takes too long for the start of a run.

    Templates of dvc.yaml are resolved by DVC, in a child process and once for each version of
    them; git is asked for the nearest tag and for what is not committed.
    """
    facts = moment.facts
    if facts.reading is not None and facts.reading.pending:
        facts = Facts(moment.project, facts.reading.resolved())
    return _with_code(replace(moment, facts=facts))


def _with_code(moment: Moment) -> Moment:
    """What git must be asked for: the nearest tag, and what differs from the commit."""
    root, state = moment.project.git_root, moment.git
    if root is None or state is None or state.sha is None:
        return moment
    sha = state.sha
    state = replace(state, describe=git.describe(root, sha))
    try:
        found = _patch(root, sha, moment.reading)
    except (OSError, ValueError) as error:
        fault = f"{root}: what is uncommitted could not be told ({first_line(error)})"
        return replace(moment, git=state, git_fault=moment.git_fault or fault)
    state = replace(state, dirty=found.is_dirty, omitted=found.omitted)
    return replace(moment, git=state, patch=None if settings.patch() == "off" else found)


def _patch(root: str, sha: str, reading: Reading | None) -> Patch:
    """Of this moment, or of less than a second ago: a sweep starts many runs on the same code."""
    global _patched
    untracked = settings.patch() != "tracked"
    key = (root, sha, untracked, reading)
    if _patched is not None and _patched[0] == key and time.monotonic() < _patched[1]:
        return _patched[2]
    outs = {
        os.path.join(reading.root, out.path)
        for stage in (reading.stages if reading else ())
        for out in stage.outs
        if reading
    }
    until = time.monotonic() + _SAME_CODE
    found = patch_of(root, sha, outs, untracked=untracked)
    _patched = (key, until, found)
    return found


def remember(moment: Moment) -> None:
    """Let the next process of the same kind start from what was read for this one."""
    facts, reading = moment.facts, moment.reading
    if reading is None or reading.pending or facts.kept:
        return
    with _lock:
        reader = _readers.get(reading.root)
        if reader is None or not reader.is_last(reading):
            return
        witness = reader.witness()
    folders = {
        path: Glimpse.of(path)
        for path in (os.path.join(reading.root, dep.path) for dep in facts.snapshot.deps)
        if os.path.isdir(path)
    }
    told = Told(_kind_of_run(moment.project), facts.tags, list(facts.warnings), folders)
    if witness.lasts:
        before = reading.memory
        body = before.body if before else body_of(reading.content)
        keep(reading.root, Memory(witness, (told, *(before.told if before else ())), body))


def _kind_of_run(project: Project) -> list[str | None]:
    return [
        project.relative_root,
        project.directory,
        project.script,
        project.dvc_stage,
        project.experiment,
    ]


def _look(project: Project) -> Moment:
    global _last
    state, fault = None, None
    if project.git_root:
        state, fault = git.read_head(project.git_root, project.code_source)
    with _lock:
        reading = _reader(project.dvc_root).read() if project.dvc_root else None
        last = _last
        facts = last.facts if last else None
        # A reading is the same object while nothing changed.
        if facts is None or facts.reading is not reading or facts.project != project:
            facts = Facts(project, reading)
        if last and last.facts is facts and (last.git, last.git_fault) == (state, fault):
            return last
        _last = moment = Moment(facts, state, fault)
        return moment


def _reader(root: str) -> ProjectReader:
    if root not in _readers:
        if len(_readers) >= _READERS_AT_MOST:
            _readers.clear()
        _readers[root] = ProjectReader(root)
    return _readers[root]


def _forget_after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_after_fork)
