"""Capture the workspace as it is now: for a run that starts, for `status`, for `snapshot`."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

from mlflow_dvc import settings
from mlflow_dvc.capture import evidence, frozen_record
from mlflow_dvc.capture.code_facts import add_code_facts
from mlflow_dvc.capture.frozen_record import FrozenRecord
from mlflow_dvc.capture.run_capture import DataCapture, RunCapture, cache_key
from mlflow_dvc.capture.undeclared import undeclared_warnings
from mlflow_dvc.capture.withheld_files import withhold_files
from mlflow_dvc.dvc_backend import hashing as disk
from mlflow_dvc.dvcfiles.reader import ProjectReader
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.dvcfiles.reading_cache import CachedReading, CachedTags, save_reading, serialize
from mlflow_dvc.errors import NoProjectError
from mlflow_dvc.fingerprint import FileCache, Fingerprint, describe_error
from mlflow_dvc.git import ci, head
from mlflow_dvc.project import Project, find_project, find_running_project
from mlflow_dvc.snapshot import GitState, Snapshot

_MAX_READERS = 16
_MAX_FINGERPRINTED_FILES = 10_000  # files

_readers: dict[str, ProjectReader] = {}
_last: RunCapture | None = None
_frozen = FileCache(frozen_record.load_frozen)
_lock = threading.Lock()


def capture_run() -> RunCapture:
    """The moment of a run that this process starts now. Reads only what changed since the last."""
    return _capture(find_running_project())


def status(project: str | None = None, *, check: bool = False) -> Snapshot:
    """What a run that starts in ``project`` now would record.

    ``project`` is a directory inside the project, by default the working directory. DVC is asked
    about templates that it has not been asked about before, and git for the nearest tag. With
    ``check`` what lies on disk is hashed where DVC does not know it already, however long that
    takes; without it, ``state`` of an entry is ``unverified`` where time stamps do not tell.

    Raises :class:`~mlflow_dvc.NoProjectError` where there is neither git nor DVC.

    >>> snapshot = mlflow_dvc.status()
    >>> {entry.path: entry.hash for entry in snapshot.data}
    {'data/raw/train.csv': '5afc23b9622f8f9ffa60824f4e97d0d5', ...}
    """
    return inspect(project, check=check)[1]


def inspect(project: str | None = None, *, check: bool = False) -> tuple[Project, Snapshot]:
    """What :func:`status` returns, and the project that was found."""
    capture = _capture_at(project)
    if capture.reading is not None and not capture.data_capture.frozen:
        data = _check_disk(capture.data, capture.reading, hashing=check)
        undeclared = undeclared_warnings(capture.reading.root, data.stages)
        capture = capture.with_data(replace(data, warnings=(*data.warnings, *undeclared)))
    return capture.project, capture.snapshot


def _check_disk(data: Snapshot, reading: ProjectReading, *, hashing: bool) -> Snapshot:
    """``data`` as it lies on disk now; without ``hashing`` as far as time stamps tell."""
    asked = evidence.hash_queries(data, reading)
    if hashing:
        answer = disk.hash_now(reading.root, asked.values())
    else:
        answer = disk.cached_hashes_or_none(reading.root, asked.values(), _MAX_FINGERPRINTED_FILES)
    return evidence.apply_disk_check(data, asked, answer, None)


def read_cached(root: str) -> ProjectReading:
    """What the DVC files of the project at ``root`` say; templates as far as they are known."""
    with _lock:
        return _reader_for(root).read()


def read_project(root: str) -> ProjectReading:
    """What the DVC files say, every template filled in; DVC is asked where it must be."""
    reading = read_cached(root)
    return reading.with_templates() if reading.pending else reading


def freeze(project: str | None = None) -> bytes:
    """The record of a run that would start in ``project`` now, as the bytes of a file.

    ``project`` is a directory inside the project, by default the working directory. Where there is
    no repository, such as in an image, runs carry this record if MLFLOW_DVC_SNAPSHOT names the
    file.

    Raises :class:`~mlflow_dvc.NoProjectError` where there is neither git nor DVC.

    >>> pathlib.Path("record.json").write_bytes(mlflow_dvc.freeze())
    """
    capture = _capture_at(project)
    return frozen_record.dump_frozen(FrozenRecord(capture.snapshot, capture.all_files))


def _capture_at(directory: str | None) -> RunCapture:
    project = find_project(directory)
    capture = _capture(project)
    if capture.is_empty and project.git_root is None:
        raise NoProjectError(os.path.abspath(directory or "."))
    save_cache(capture)
    return add_slow_facts(capture)


def add_slow_facts(capture: RunCapture, since: float | None = None) -> RunCapture:
    """Add to a capture what takes too long for the start of a run.

    Templates of dvc.yaml are resolved by DVC, in a child process and once for each version of
    them; git is asked for the nearest tag and for what is not committed, and all that may be
    attached is searched for secrets. Code that has changed
    ``since`` then, in seconds since 1970, is named in the warnings.
    """
    data_capture = capture.data_capture
    if data_capture.frozen:
        return capture
    if data_capture.reading is not None and data_capture.reading.pending:
        data_capture = DataCapture(capture.project, data_capture.reading.with_templates())
    found = add_code_facts(replace(capture, data_capture=data_capture), since)
    return withhold_files(found)


def save_cache(capture: RunCapture) -> None:
    """Let the next process of the same kind start from what was read for this one."""
    data_capture, reading = capture.data_capture, capture.reading
    if reading is None or reading.pending or data_capture.cached_tags or data_capture.is_saved:
        return
    with _lock:
        reader = _readers.get(reading.root)
        if reader is None or not reader.is_last(reading):
            return
        inputs = reader.inputs()
    deps = (os.path.join(reading.root, dep.path) for dep in data_capture.snapshot.deps)
    unhashed = (os.path.join(reading.root, path) for path in reading.unhashed)
    folders = {path: Fingerprint.of(path) for path in (*filter(os.path.isdir, deps), *unhashed)}
    told = CachedTags(
        cache_key(capture.project), data_capture.tags, list(data_capture.warnings), folders
    )
    if inputs.detects_changes:
        data_capture.is_saved = True
        before = reading.cached
        body = before.body if before else serialize(reading.content)
        save_reading(
            reading.root,
            CachedReading(inputs, (told, *(before.tags_by_run if before else ())), body),
        )


def _capture(project: Project) -> RunCapture:
    global _last
    state, faults = _read_commit(project)
    with _lock:
        record, fault = _load_frozen_record()
        if record is not None:
            state, faults = record.snapshot.git, ()
        elif fault:
            faults = (fault, *faults)
        root = project.dvc_root if record is None else None
        reading = _reader_for(root).read() if root else None
        last = _last
        data_capture = last.data_capture if last else None
        # A reading, and a frozen record, is the same object while nothing changed.
        if (
            data_capture is None
            or data_capture.reading is not reading
            or data_capture.frozen is not record
            or data_capture.project != project
            or not data_capture.is_current()
        ):
            data_capture = DataCapture(project, reading, record)
        if (
            last
            and last.data_capture is data_capture
            and (last.git, last.faults) == (state, faults)
        ):
            return last
        _last = capture = RunCapture(data_capture, state, faults)
        return capture


def _read_commit(project: Project) -> tuple[GitState | None, tuple[str, ...]]:
    """From the repository, else as a CI service names it; and what is wrong, in words."""
    if project.git_root is None:
        return ci.commit_from_env(), ()
    state, fault = head.read_head(project.git_root, project.code_source)
    return state or ci.commit_from_env(), (fault,) if fault else ()


def _load_frozen_record() -> tuple[FrozenRecord | None, str | None]:
    path = settings.snapshot_file()
    if path is None:
        return None, None
    try:
        return _frozen.get(path), None
    except (OSError, ValueError, RecursionError) as error:
        return None, f"MLFLOW_DVC_SNAPSHOT={path}: cannot be read ({describe_error(error)})"


def _reader_for(root: str) -> ProjectReader:
    if root not in _readers:
        if len(_readers) >= _MAX_READERS:
            _readers.clear()
        _readers[root] = ProjectReader(root)
    return _readers[root]


def _forget_after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_after_fork)
