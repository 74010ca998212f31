"""From the workspace, as it is now, to what a run that starts in it is worth."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

from mlflow_dvc import settings
from mlflow_dvc.capture import ci, frozen, git, settle
from mlflow_dvc.capture.change import Patch, Wanted
from mlflow_dvc.capture.files import FileCache, Glimpse, reason
from mlflow_dvc.capture.frozen import Frozen
from mlflow_dvc.capture.memory import Memory, Told, body_of, keep
from mlflow_dvc.capture.moment import Facts, Moment, kind_of_run
from mlflow_dvc.capture.patch import patch_of
from mlflow_dvc.capture.project import Project, find_project, running_script
from mlflow_dvc.capture.reader import ProjectReader
from mlflow_dvc.capture.reading import Reading
from mlflow_dvc.dvc_backend import check as disk
from mlflow_dvc.errors import NoProjectError
from mlflow_dvc.snapshot import GitState, Snapshot

_READERS_AT_MOST = 16
_GLIMPSED_AT_MOST = 10_000  # files

_readers: dict[str, ProjectReader] = {}
_last: Moment | None = None
_frozen = FileCache(frozen.thaw)
_lock = threading.Lock()


def now() -> Moment:
    """The moment of a run that this process starts now. Reads only what changed since the last."""
    return _look(find_project(script=running_script()))


def status(path: str | None = None, *, check: bool = False) -> Snapshot:
    """What a run started in the directory ``path`` (default: here) would record.

    Asks DVC about templates that it has not been asked about before, and git for the nearest tag.
    With ``check`` what lies on disk is hashed where DVC does not know it already, however long that
    takes. Raises :class:`~mlflow_dvc.errors.NoProjectError` where there is neither git nor DVC.
    """
    return look_at(path, check=check)[1]


def look_at(path: str | None = None, *, check: bool = False) -> tuple[Project, Snapshot]:
    """The same, and the project that was found."""
    moment = _look_at(path)
    if moment.reading is not None and not moment.facts.frozen:
        moment = moment.with_data(_looked_at(moment.data, moment.reading, hashing=check))
    return moment.project, moment.snapshot


def _looked_at(data: Snapshot, reading: Reading, *, hashing: bool) -> Snapshot:
    """``data`` as it lies on disk now; without ``hashing`` as far as time stamps tell."""
    asked = settle.questions(data, reading)
    if hashing:
        answer = disk.ask(reading.root, asked.values())
    else:
        answer = disk.recall(reading.root, asked.values(), _GLIMPSED_AT_MOST)
    return settle.checked(data, asked, answer, None)


def peek(root: str) -> Reading:
    """What the DVC files of the project at ``root`` say; templates as far as they are known."""
    with _lock:
        return _reader(root).read()


def read(root: str) -> Reading:
    """The same with every template filled in, by asking DVC where it must be."""
    reading = peek(root)
    return reading.resolved() if reading.pending else reading


def freeze(path: str | None = None) -> bytes:
    """The record of a run that would start in the directory ``path`` (default: here), as a file.

    Where there is no repository, runs take it for theirs if MLFLOW_DVC_SNAPSHOT names it. Raises
    :class:`~mlflow_dvc.errors.NoProjectError` where there is neither git nor DVC.
    """
    moment = _look_at(path)
    return frozen.freeze(Frozen(moment.snapshot, moment.files))


def _look_at(path: str | None) -> Moment:
    project = find_project(path)
    moment = _look(project)
    if moment.is_empty and project.git_root is None:
        raise NoProjectError(os.path.abspath(path or "."))
    remember(moment)
    return completed(moment)


def completed(moment: Moment, since: float | None = None) -> Moment:
    """The same moment with what takes too long for the start of a run.

    Templates of dvc.yaml are resolved by DVC, in a child process and once for each version of
    them; git is asked for the nearest tag and for what is not committed. Code that has changed
    ``since`` then, in seconds since 1970, is named in the warnings.
    """
    facts = moment.facts
    if facts.frozen:
        return moment
    if facts.reading is not None and facts.reading.pending:
        facts = Facts(moment.project, facts.reading.resolved())
    return _with_code(replace(moment, facts=facts), since)


def _with_code(moment: Moment, since: float | None) -> Moment:
    """What git must be asked for: the nearest tag, and what differs from the commit."""
    root, state = moment.project.git_root, moment.git
    if root is None or state is None or state.sha is None:
        return moment
    sha = state.sha
    state = replace(state, describe=git.describe(root, sha))
    try:
        found = _patch(moment, root, sha, since)
    except (OSError, ValueError) as error:
        fault = f"{root}: what is uncommitted could not be told ({reason(error)})"
        return replace(moment, git=state, faults=(*moment.faults, fault))
    state = replace(state, dirty=found.is_dirty, omitted=found.omitted, changes=found.digest)
    return replace(moment, git=state, patch=None if settings.patch() == "off" else found)


def _patch(moment: Moment, root: str, sha: str, since: float | None) -> Patch:
    reading = moment.reading
    outs = {
        os.path.join(reading.root, out.path)
        for stage in (reading.stages if reading else ())
        for out in stage.outs
        if reading
    }
    untracked = settings.patch() != "tracked"
    return patch_of(root, sha, Wanted(outs, untracked, since=since))


def remember(moment: Moment) -> None:
    """Let the next process of the same kind start from what was read for this one."""
    facts, reading = moment.facts, moment.reading
    if reading is None or reading.pending or facts.kept or facts.is_remembered:
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
    told = Told(kind_of_run(moment.project), facts.tags, list(facts.warnings), folders)
    if witness.lasts:
        facts.is_remembered = True
        before = reading.memory
        body = before.body if before else body_of(reading.content)
        keep(reading.root, Memory(witness, (told, *(before.told if before else ())), body))


def _look(project: Project) -> Moment:
    global _last
    state, faults = _commit(project)
    with _lock:
        record, fault = _frozen_record()
        if record is not None:
            state, faults = record.snapshot.git, ()
        elif fault:
            faults = (fault, *faults)
        root = project.dvc_root if record is None else None
        reading = _reader(root).read() if root else None
        last = _last
        facts = last.facts if last else None
        # A reading, and a frozen record, is the same object while nothing changed.
        if (
            facts is None
            or facts.reading is not reading
            or facts.frozen is not record
            or facts.project != project
        ):
            facts = Facts(project, reading, record)
        if last and last.facts is facts and (last.git, last.faults) == (state, faults):
            return last
        _last = moment = Moment(facts, state, faults)
        return moment


def _commit(project: Project) -> tuple[GitState | None, tuple[str, ...]]:
    """From the repository, else as a CI service names it; and what is wrong, in words."""
    if project.git_root is None:
        return ci.commit(), ()
    state, fault = git.read_head(project.git_root, project.code_source)
    return state or ci.commit(), (fault,) if fault else ()


def _frozen_record() -> tuple[Frozen | None, str | None]:
    path = settings.frozen()
    if path is None:
        return None, None
    try:
        return _frozen.get(path), None
    except (OSError, ValueError, RecursionError) as error:
        return None, f"MLFLOW_DVC_SNAPSHOT={path}: cannot be read ({reason(error)})"


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
