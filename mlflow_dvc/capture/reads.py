"""What a run was seen to read, told by the data that DVC tracks and by what its stage declares."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from mlflow_dvc.capture import evidence
from mlflow_dvc.capture.loaded_data import ProjectOutputs
from mlflow_dvc.capture.run_capture import RunCapture
from mlflow_dvc.capture.running_code import loaded_files, process_began
from mlflow_dvc.capture.undeclared import remember_undeclared
from mlflow_dvc.dvcfiles.ignored import IgnoreChecker
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.fingerprint import small_file_md5
from mlflow_dvc.git.code_files import is_never_code
from mlflow_dvc.observe.libraries import unseen_library
from mlflow_dvc.observe.loaded import LoadedData, Noted, copied_so_far, is_full, loaded_so_far
from mlflow_dvc.observe.observer import Observation
from mlflow_dvc.observe.seen_file import SeenFile
from mlflow_dvc.paths import is_address, lies_in, parents
from mlflow_dvc.project import relative
from mlflow_dvc.snapshot import DataEntry, DataRead, Reader, Reads, Role, Snapshot

_MAX_LISTED = 100_000  # files
_MAX_CODE_FILES = _MAX_NAMED = 1000
_NOTHING = "no tracked data was seen to be read"
_MANY = "so much data was loaded that not all of it was noted"
_CLUSTERS = ("ray", "distributed", "pyspark")
_JOB_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS")
_IGNORED_NAMES = frozenset({"dvc.yaml", "dvc.lock"})

# What was added last: the runs of a sweep have read the same.
_added: tuple[Snapshot, Reads, Snapshot] | None = None


def add_reads(capture: RunCapture, seen: Observation | None, began: int) -> RunCapture:
    """``capture`` with what was read until now by a run that ``began`` then, in ns since 1970.

    None for ``seen`` where nobody looked.
    """
    reading = capture.reading
    if reading is None and not capture.data_capture.frozen:
        return capture
    if seen is None or reading is None or capture.data_capture.frozen:
        return capture.with_data(_with_reads(capture.data, Reads("off")))
    found = _Found(capture, reading, seen, began)
    reads = found.reads()
    stage = capture.data.stage or capture.data.script_stage
    if stage is not None and reads.status == "observed":
        remember_undeclared(reading.root, stage, reads.undeclared)
    told = capture.with_data(_with_reads(capture.data, reads))
    return replace(told, read_files=found.listed())


def _with_reads(data: Snapshot, reads: Reads) -> Snapshot:
    global _added
    if _added is not None and _added[0] is data and _added[1] == reads:
        return _added[2]
    told = replace(data, reads=reads)
    if told.knows_reads:
        entries = (_with_role(entry, reads.read_paths) for entry in data.data)
        told = evidence.with_status(replace(told, data=tuple(entries)))
    _added = data, reads, told
    return told


def _with_role(entry: DataEntry, read: frozenset[str]) -> DataEntry:
    """Without a stage the inputs are what was read, and nothing else."""
    role: Role | None = None if entry.role == "input" else entry.role
    if entry.path in read and entry.certainty != "sealed":
        role = "input"
    return entry if role == entry.role else replace(entry, role=role)


@dataclass
class _OfEntry:
    """What was opened of one output. ``is_whole``: all of it was given to the program."""

    is_folder: bool
    is_whole: bool = False
    mine: list[str] = field(default_factory=list)
    workers: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    is_by_another: bool = False
    first: int | None = None

    @property
    def is_read(self) -> bool:
        return bool(self.mine or self.workers)

    @property
    def nfiles(self) -> int | None:
        """Of a folder of which only single files were opened."""
        return len(self.names) if self.is_folder and not self.is_whole else None

    @property
    def names(self) -> list[str]:
        """Each once, in the order in which they were found."""
        return list(dict.fromkeys((*self.mine, *self.workers)))


class _Found:
    def __init__(
        self,
        capture: RunCapture,
        reading: ProjectReading,
        seen: Observation,
        began: int,
    ) -> None:
        self.capture, self.reading, self.seen, self.began = capture, reading, seen, began
        self.data = capture.data
        self._entries = {entry.path: entry for entry in self.data.data}
        self._of_data: dict[str, _OfEntry] = {}
        self._others: list[str] = []  # files that DVC does not track, and that were read
        self.code = self._find_code()
        self._by_folder: dict[str, DataEntry | None] = {}
        inside = reading.root.rstrip(os.sep) + os.sep
        for path, one in seen.files.items():
            is_inside = path.startswith(inside)
            self._place(path[len(inside) :] if is_inside else relative(path, reading.root), one)
        for path, noted in copied_so_far().items():
            copied = SeenFile(noted.when, is_mine=True, was_unchanged=True)
            self._place(relative(os.path.realpath(path), os.path.realpath(reading.root)), copied)
        self._elsewhere: str | None = None  # data that was loaded, and is none of this project
        self._tracked = ProjectOutputs(reading.root, self.data.data)
        for loaded, noted in loaded_so_far().items():
            self._place_loaded(loaded, noted)

    def reads(self) -> Reads:
        reason = self._reason()
        is_partial = reason is not None
        return Reads(
            "partial" if is_partial else "observed",
            reason,
            self.seen.since / 1e9,
            tuple(self._data_reads()),
            tuple(sorted(self._undeclared())[:_MAX_NAMED]) if self.data.has_stage else (),
            tuple(self._unread()) if self.data.has_stage and not is_partial else (),
            self.code,
        )

    def listed(self) -> bytes | None:
        """The files of folders that were read, as JSON; None where there are none."""
        files, left = {}, _MAX_LISTED
        for path, one in sorted(self._of_data.items()):
            if one.nfiles:
                files[path] = [name[len(path) + 1 :] for name in sorted(one.names)[:left]]
                left -= len(files[path])
        if not files:
            return None
        text = json.dumps({"schema": 1, "read": files}, indent=0, ensure_ascii=True)
        return text.encode()

    def _place(self, path: str, one: SeenFile) -> None:
        entry = self._entry_of(path)
        if entry is None:
            if one.is_read and not path.startswith("../"):
                self._others.append(path)
            return
        found = self._of_data.get(entry.path)
        if found is None:
            found = self._of_data[entry.path] = _OfEntry(entry.path != path)
        if one.is_read:
            (found.mine if one.is_mine else found.workers).append(path)
            found.first = min(one.first, found.first or one.first)
        elif one.is_others and not one.is_written:
            found.is_by_another = True
            if one.may_be_workers and entry.cached:  # what is not, git has, and looks at
                found.unclear.append(path)

    def _place_loaded(self, loaded: LoadedData, noted: Noted) -> None:
        """Data that was read from a cache or a remote, and need not lie in the project."""
        outputs = self._tracked.find(loaded)
        for entry, inside in outputs:
            found = self._of_data.setdefault(entry.path, _OfEntry(is_folder=bool(inside)))
            found.first = min(noted.when, found.first or noted.when)
            found.is_whole |= not inside
            path = os.path.join(entry.path, inside) if inside else entry.path
            (found.workers if noted.is_workers else found.mine).append(path)
        if not outputs:
            what = loaded.path or f"what has the hash {loaded.hash}"
            self._elsewhere = f"{what} was loaded in a version that is not of this project"

    def _entry_of(self, path: str) -> DataEntry | None:
        if path in self._entries:
            return self._entries[path]
        folder = path.rpartition("/")[0]
        if folder not in self._by_folder:
            above = (folder, *parents(folder))
            found = (self._entries[one] for one in above if one in self._entries)
            self._by_folder[folder] = next(found, None)
        return self._by_folder[folder]

    def _data_reads(self) -> Iterator[DataRead]:
        for path, one in sorted(self._of_data.items()):
            if one.is_read:
                by: Reader = "process" if one.mine else "worker"
                is_early = one.first is not None and one.first < self.began
                yield DataRead(path, by, one.nfiles, earlier=is_early)
            elif one.is_by_another:
                yield DataRead(path, "another", None)

    def _reason(self) -> str | None:
        """Why something may have been missed; None where nothing can."""
        if self.seen.faults:
            return self.seen.faults[0]
        if elsewhere := self._elsewhere or _by_library() or _other_processes():
            return elsewhere
        if folder := self._new_folder():
            return f"{folder} came into being while the run went on"
        for path, one in sorted(self._of_data.items()):
            if one.unclear and not one.is_read:
                return f"{path} was opened by a program that may belong to this run"
        is_read = any(one.is_read for one in self._of_data.values())
        return None if is_read or self.data.has_stage else _NOTHING

    def _new_folder(self) -> str | None:
        """The first that holds tracked data, or is part of some, which the run does not make."""
        found = self._entries.items() if self.seen.new_folders else ()
        data = {
            path for path, entry in found if entry.role != "output" and entry.certainty != "stale"
        }
        above = {folder for path in data for folder in parents(path)}
        folders = (relative(folder, self.reading.root) for folder in self.seen.new_folders)
        return next((path for path in folders if path in above or lies_in(path, data)), None)

    def _undeclared(self) -> Iterator[str]:
        deps = frozenset(dep.path for dep in self.data.deps)
        for path, one in self._of_data.items():
            entry = self._entries[path]
            is_declared = lies_in(path, deps) or any(lies_in(dep, {path}) for dep in deps)
            if one.is_read and not is_declared and entry.role != "output":
                yield path
        code = self.code
        ignored = self._ignore_checker()
        for path in {*self._others[:_MAX_NAMED], *code}:
            if lies_in(path, deps) or (path not in code and not self._counts(path, ignored)):
                continue
            yield path

    def _counts(self, path: str, ignored: IgnoreChecker | None) -> bool:
        """Whether a file that DVC does not track and that was read is worth a word."""
        parts = path.split("/")
        if any(part.startswith(".") for part in parts) or is_never_code(path):
            return False
        if parts[-1] in _IGNORED_NAMES or path in self.reading.params:
            return False
        return ignored is None or not self._is_ignored(path, ignored)

    def _ignore_checker(self) -> IgnoreChecker | None:
        if not self._others:
            return None
        checker = IgnoreChecker(self.reading.root)
        checker.refresh()
        return checker

    def _is_ignored(self, path: str, checker: IgnoreChecker) -> bool:
        where = os.path.join(self.reading.root, path)
        return checker.hiding_folder(where) is not None or checker.hides_file(where)

    def _unread(self) -> Iterator[str]:
        """Declared data of which no file was opened."""
        data = (path for path, one in self._of_data.items() if one.is_read or one.unclear)
        opened = {*data, *self._others}
        above = {folder for path in opened for folder in parents(path)}
        for dep in self.data.deps:
            is_opened = dep.path in above or lies_in(dep.path, opened)
            if dep.role == "input" and not is_address(dep.path) and not is_opened:
                yield dep.path

    def _find_code(self) -> Mapping[str, str]:
        """Empty where a file was changed since it can have been loaded."""
        root, began = self.reading.root, process_began()
        files = sorted(relative(file, root) for file in loaded_files(self.capture.project))
        inside = [path for path in files if not path.startswith("../")][:_MAX_CODE_FILES]
        return {path: _md5_since(os.path.join(root, path), began) for path in inside}


def _by_library() -> str | None:
    """Why what libraries have read is not known, in words."""
    if library := unseen_library():
        return f"what {library} has read is not known"
    return _MANY if is_full() else None


def _other_processes() -> str | None:
    """Who reads for the run and cannot be seen from here, in words."""
    for name in _CLUSTERS:
        if name in sys.modules:
            return f"the program works with {name}, which may read by processes elsewhere"
    for name in _JOB_SIZES:
        if os.environ.get(name, "1") not in ("", "0", "1"):
            return f"other processes of the same job may have read more ({name})"
    return None


def _md5_since(path: str, began: float) -> str:
    try:
        is_same = os.stat(path).st_mtime <= began
    except OSError:
        return ""
    return small_file_md5(path) if is_same else ""
