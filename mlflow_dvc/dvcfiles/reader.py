"""Reads the DVC files of one root again and again, each time only what changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from typing import Any

from mlflow_dvc.dvcfiles import yaml12
from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE, DvcFileFinder
from mlflow_dvc.dvcfiles.dvc_file import (
    DvcFile,
    ParsedFile,
    ProjectContent,
    is_stale,
    param_files,
    parse_dvc_file,
    parse_pipeline,
)
from mlflow_dvc.dvcfiles.lock_file import lock_path
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.dvcfiles.reading_cache import ReadingInputs, load_reading
from mlflow_dvc.fingerprint import FileCache, Fingerprint, UnreadableError, describe_error
from mlflow_dvc.limits import MAX_PARAMS_BYTES
from mlflow_dvc.paths import parents
from mlflow_dvc.project import relative

_MAX_PARAMS_FILES = 50


class ProjectReader:
    """Reads one DVC root again and again, each time only what changed."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._tree = DvcFileFinder(root)
        self._files = FileCache(bytes)
        self._yaml: dict[str, tuple[bytes, Any]] = {}
        self._params = FileCache(bytes)
        self._dvc_files: dict[str, DvcFile] = {}
        self._made_of: dict[str, tuple[bytes, bytes | None]] = {}
        self._outs: dict[DvcFile, Set[str]] = {}
        self._named: list[str] = []
        self._named_by: list[DvcFile] = []
        self._folders: tuple[Sequence[DvcFile], Set[str]] | None = None
        self._read_files: list[str] = []
        self._missing: list[str] = []
        self._last: ProjectReading | None = None
        self._seen: ReadingInputs | None = None

    def read(self) -> ProjectReading:
        """Equal to the last reading, and the same object, where nothing changed. Never raises."""
        last = self._last or self._recalled()
        if last is not None and self._holds(last):
            self._last = last
            return last
        if self._last is None and last is not None:
            self._begin_with(last)
        # A reading that is broken off leaves nothing that could be taken for a whole one.
        self._last = self._seen = None
        content = self._read()
        if last is None or not last.is_loaded or last.content != content:
            last = ProjectReading(self.root, content, faults_of=self._hidden_paths)
        self._last = last
        return last

    def is_last(self, reading: ProjectReading) -> bool:
        return reading is self._last

    def inputs(self) -> ReadingInputs:
        """Of the last reading."""
        if self._seen is None:
            self._seen = ReadingInputs(self._tree.config_locations(), dict(self._glimpses()))
        return self._seen

    def _holds(self, last: ProjectReading) -> bool:
        # In this process a file that changed is read below, and only once.
        inputs = self.inputs()
        if last.pending or self._tree.config_locations() != inputs.config_locations:
            return False
        if last is not self._last:
            return not any(inputs.changed(by_content=True))
        return all(self._passes_over(path) for path in list(inputs.changed()))

    def _passes_over(self, directory: str) -> bool:
        """Whether there are just more folders in it that DVC finds nothing in, such as a run's."""
        fresh = self._tree.passed_over(directory, self._is_output)
        if fresh is None:
            return False
        self._seen = self.inputs().with_fingerprints(fresh)
        return True

    def _is_output(self, path: str) -> bool:
        return any(path in outs for outs in self._outs.values())

    def _recalled(self) -> ProjectReading | None:
        cached = load_reading(self.root)
        if cached is None:
            return None
        self._seen = cached.inputs
        return ProjectReading(self.root, None, cached)

    def _begin_with(self, recalled: ProjectReading) -> None:
        """What changed need not be all: files with the same bytes are not parsed again."""
        with suppress(ValueError, KeyError, TypeError):  # a damaged memory
            self._dvc_files = {dvc_file.file: dvc_file for dvc_file in recalled.dvc_files}

    def _read(self) -> ProjectContent:
        found: list[DvcFile] = []
        faults: list[str] = []

        def outs_of(path: str) -> Set[str]:
            dvc_file = self._read_dvc_file(path, faults)
            if dvc_file is None:
                return set()
            found.append(dvc_file)
            if dvc_file not in self._outs:
                self._outs[dvc_file] = set(_out_paths(self.root, dvc_file))
            return self._outs[dvc_file]

        self._read_files.clear()
        self._missing.clear()
        for _ in self._tree.dvc_files(outs_of):
            pass
        self._dvc_files = {dvc_file.file: dvc_file for dvc_file in found}
        self._outs = {dvc_file: self._outs[dvc_file] for dvc_file in found}
        faults += self._hidden_paths(found)
        return ProjectContent(tuple(found), tuple(faults), self._read_params(found))

    def _hidden_paths(self, dvc_files: Sequence[DvcFile]) -> Iterator[str]:
        hidden = self._tree.hidden
        folders = hidden.folders_with_dvc_rules()
        if folders.isdisjoint(self._folders_of(dvc_files)):
            return
        for dvc_file in dvc_files:
            for path in _paths(dvc_file):
                if hidden.hidden_by_dvc(self._absolute(path)):
                    yield f"{dvc_file.file}: DVC refuses it: {path} is hidden by .dvcignore"

    def _folders_of(self, dvc_files: Sequence[DvcFile]) -> Set[str]:
        """Every folder above a path that ``dvc_files`` name."""
        if self._folders is None or self._folders[0] != dvc_files:
            every = (self._absolute(path) for dvc_file in dvc_files for path in _paths(dvc_file))
            self._folders = (dvc_files, {folder for path in every for folder in parents(path)})
        return self._folders[1]

    def _glimpses(self) -> Iterator[tuple[str, Fingerprint]]:
        yield from self._tree.fingerprints()
        for dvc_file in self._dvc_files.values():
            for path, md5 in (dvc_file.answer.reads if dvc_file.answer else {}).items():
                yield self._absolute(path), Fingerprint(None, md5 or "", missing=md5 is None)
        for path in self._named:
            yield self._absolute(path), self._params.fingerprint(self._absolute(path))
        for path in self._read_files:
            yield path, self._files.fingerprint(path)
        for path in self._missing:
            yield path, Fingerprint.of(path)

    def _absolute(self, path: str) -> str:
        return os.path.join(self.root, path)

    def _read_params(self, dvc_files: list[DvcFile]) -> dict[str, bytes]:
        """As far as they can be read, are small and lie in the project."""
        if dvc_files != self._named_by:
            every = (path for dvc_file in dvc_files for path in param_files(dvc_file))
            self._named = list(dict.fromkeys(every))[:_MAX_PARAMS_FILES]
            self._named_by = dvc_files
        found = {}
        for path in self._named:
            where = self._absolute(path)
            with suppress(OSError, UnreadableError):
                if os.stat(where).st_size <= MAX_PARAMS_BYTES:
                    found[path] = self._params.get(where)
        return found

    def _read_dvc_file(self, path: str, faults: list[str]) -> DvcFile | None:
        file = path[len(self.root.rstrip(os.sep)) + 1 :].replace(os.sep, "/")
        content = self._bytes(path, faults)
        if content is None:
            return None
        is_pipeline = file.rpartition("/")[2] == PIPELINE_FILE
        lock = self._lock(lock_path(path), faults) if is_pipeline else None
        kept = self._dvc_files.get(file)
        if kept and not is_stale(kept, self.root):
            made_of = self._made_of.get(file, (kept.content, kept.lock_content))
            if made_of == (content, lock):
                return kept
        dvc_file = self._made(path, file, content, lock, faults)
        if dvc_file:
            self._made_of[file] = (content, lock)
        return dvc_file

    def _made(
        self, path: str, file: str, content: bytes, lock: bytes | None, faults: list[str]
    ) -> DvcFile | None:
        loaded = self._loaded(path, content, faults)
        if loaded is None:
            return None
        if os.path.basename(path) != PIPELINE_FILE:
            return parse_dvc_file(self.root, file, loaded)
        found: list[str] = []
        locked = None if lock is None else self._loaded(lock_path(path), lock, found)
        dvc_file = parse_pipeline(self.root, file, loaded, locked)
        return replace(dvc_file, faults=(*dvc_file.faults, *found)) if found else dvc_file

    def _lock(self, path: str, faults: list[str]) -> bytes | None:
        if self._tree.hidden.hidden_by_git(path):
            faults.append(f"{relative(path, self.root)}: git ignores it, and DVC refuses that")
            return None
        if not os.path.lexists(path):
            self._missing.append(path)
            return None
        if self._tree.hidden.hides_file(path):
            return None
        return self._bytes(path, faults)

    def _bytes(self, path: str, faults: list[str]) -> bytes | None:
        """None, and a fault that names the file, for whatever cannot be opened."""
        self._read_files.append(path)
        try:
            return self._files.get(path)
        except (OSError, ValueError) as error:
            faults.append(self._fault(path, describe_error(error)))
            return None

    def _loaded(self, path: str, content: bytes, faults: list[str]) -> ParsedFile | None:
        """None, and a fault that names the file, for whatever is no YAML."""
        known = self._yaml.get(path)
        if known is None or known[0] != content:
            try:
                known = (content, yaml12.parse_yaml(content))
            except Exception as error:
                known = (content, error.with_traceback(None))
            self._yaml[path] = known
        if not isinstance(known[1], Exception):
            return ParsedFile(*known)
        why = "it holds a merge conflict" if _has_conflict(content) else describe_error(known[1])
        faults.append(self._fault(path, why))
        return None

    def _fault(self, path: str, why: str) -> str:
        return f"{relative(path, self.root)}: cannot be read ({why})"


def _has_conflict(content: bytes) -> bool:
    return any(line.startswith(b"<<<<<<< ") for line in content.splitlines())


def _paths(dvc_file: DvcFile) -> Iterator[str]:
    """What the stages of ``dvc_file`` write and read."""
    for stage in dvc_file.stages:
        yield from (out.path for out in stage.outs)
        yield from (*stage.deps, *stage.params)


def _out_paths(root: str, dvc_file: DvcFile) -> Iterator[str]:
    for stage in dvc_file.stages:
        for out in stage.outs:
            yield os.path.join(root, out.path)
