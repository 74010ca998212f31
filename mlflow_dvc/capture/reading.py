"""One look at all DVC files of a project: its stages, what is wrong, and the bytes themselves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

from mlflow_dvc.capture import source as sources_of
from mlflow_dvc.capture import yaml12
from mlflow_dvc.capture.files import (
    FileCache,
    Glimpse,
    UnreadableError,
    digest_of,
    read_bytes,
    reason,
    shown,
)
from mlflow_dvc.capture.lockfile import Stage, lock_of
from mlflow_dvc.capture.memory import Content, Memory, Witness, recall
from mlflow_dvc.capture.pipeline import conflicts, parents
from mlflow_dvc.capture.project import relative
from mlflow_dvc.capture.source import Loaded, Source
from mlflow_dvc.capture.tree import PIPELINE, Tree

_PARAMS_FILES = 50
_PARAMS_BYTES = 1024 * 1024


class Reading:
    """What the DVC files of one root say at one moment. Paths are relative to ``root``.

    Of one that an earlier process made, the content is only read if somebody asks for it.
    """

    def __init__(
        self,
        root: str,
        content: Content | None,
        memory: Memory | None = None,
        faults_of: Callable[[Sequence[Source]], Iterable[str]] = lambda sources: (),
    ) -> None:
        self.root = root
        self.memory = memory
        self._faults_of = faults_of  # what is wrong with stages that become known later
        if content is not None:
            self.content = content

    @cached_property
    def content(self) -> Content:
        return self.memory.content() if self.memory else Content(())

    @property
    def is_loaded(self) -> bool:
        return "content" in vars(self)

    @property
    def sources(self) -> tuple[Source, ...]:
        return self.content.sources

    @property
    def params(self) -> Mapping[str, bytes]:
        return self.content.params

    @property
    def pending(self) -> bool:
        """Whether the stages of some dvc.yaml are not known yet; such a reading is never kept."""
        return self.is_loaded and any(source.pending for source in self.sources)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        return tuple(stage for source in self.sources for stage in source.stages)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        named = [fault for source in self.sources for fault in source.faults]
        found = (*self.content.faults, *named, *conflicts(self.stages))
        return tuple(dict.fromkeys(shown(fault) for fault in found))

    @cached_property
    def locks(self) -> dict[str, str]:
        """The md5 of the bytes of each lock that counts, by its path."""
        return {
            lock_of(source.file): digest_of(source.lock_content)
            for source in self.sources
            if source.lock_content is not None
        }

    def resolved(self) -> Reading:
        """The same moment with every template filled in, by asking DVC where it must be (slow)."""
        sources = tuple(sources_of.resolved(self.root, source) for source in self.sources)
        params = dict(self.content.params)
        for source in sources:
            reads = source.answer.reads if source.answer else {}
            for path, md5 in reads.items():
                content = params.get(path) or _small(os.path.join(self.root, path))
                if content and digest_of(content) == md5:
                    params[path] = content
        late = [source for source in sources if source not in self.sources]
        faults = (*self.content.faults, *self._faults_of(late))
        return Reading(self.root, Content(sources, faults, params))


class ProjectReader:
    """Reads one DVC root again and again, each time only what changed."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._tree = Tree(root)
        self._files = FileCache(bytes)
        self._yaml: dict[str, tuple[bytes, Any]] = {}
        self._params = FileCache(bytes)
        self._sources: dict[str, Source] = {}
        self._made_of: dict[str, tuple[bytes, bytes | None]] = {}
        self._outs: dict[Source, Set[str]] = {}
        self._named: list[str] = []
        self._named_by: list[Source] = []
        self._folders: tuple[Sequence[Source], Set[str]] | None = None
        self._read_files: list[str] = []
        self._missing: list[str] = []
        self._last: Reading | None = None
        self._seen: Witness | None = None

    def read(self) -> Reading:
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
            last = Reading(self.root, content, faults_of=self._hidden_paths)
        self._last = last
        return last

    def is_last(self, reading: Reading) -> bool:
        return reading is self._last

    def witness(self) -> Witness:
        """Of the last reading."""
        if self._seen is None:
            self._seen = Witness(self._tree.places(), dict(self._glimpses()))
        return self._seen

    def _holds(self, last: Reading) -> bool:
        # In this process a file that changed is read below, and only once.
        places, by_content = self._tree.places(), last is not self._last
        return not last.pending and self.witness().holds(places, by_content=by_content)

    def _recalled(self) -> Reading | None:
        memory = recall(self.root)
        if memory is None:
            return None
        self._seen = memory.witness
        return Reading(self.root, None, memory)

    def _begin_with(self, recalled: Reading) -> None:
        """What changed need not be all: files with the same bytes are not parsed again."""
        with suppress(ValueError, KeyError, TypeError):  # a damaged memory
            self._sources = {source.file: source for source in recalled.sources}

    def _read(self) -> Content:
        found: list[Source] = []
        faults: list[str] = []

        def outs_of(path: str) -> Set[str]:
            source = self._source(path, faults)
            if source is None:
                return set()
            found.append(source)
            if source not in self._outs:
                self._outs[source] = set(_out_paths(self.root, source))
            return self._outs[source]

        self._read_files.clear()
        self._missing.clear()
        for _ in self._tree.dvc_files(outs_of):
            pass
        self._sources = {source.file: source for source in found}
        self._outs = {source: self._outs[source] for source in found}
        faults += self._hidden_paths(found)
        return Content(tuple(found), tuple(faults), self._read_params(found))

    def _hidden_paths(self, sources: Sequence[Source]) -> Iterator[str]:
        hidden = self._tree.hidden
        folders = hidden.folders_with_dvc_rules()
        if folders.isdisjoint(self._folders_of(sources)):
            return
        for source in sources:
            for path in _paths(source):
                if hidden.from_dvc(self._absolute(path)):
                    yield f"{source.file}: DVC refuses it: {path} is hidden by .dvcignore"

    def _folders_of(self, sources: Sequence[Source]) -> Set[str]:
        """Every folder in which something lies that ``sources`` name, or in which that lies."""
        if self._folders is None or self._folders[0] != sources:
            every = (self._absolute(path) for source in sources for path in _paths(source))
            self._folders = (sources, {folder for path in every for folder in parents(path)})
        return self._folders[1]

    def _glimpses(self) -> Iterator[tuple[str, Glimpse]]:
        yield from self._tree.glimpses()
        for source in self._sources.values():
            for path, md5 in (source.answer.reads if source.answer else {}).items():
                yield self._absolute(path), Glimpse(None, md5 or "", missing=md5 is None)
        for path in self._named:
            yield self._absolute(path), self._params.glimpse(self._absolute(path))
        for path in self._read_files:
            yield path, self._files.glimpse(path)
        for path in self._missing:
            yield path, Glimpse.of(path)

    def _absolute(self, path: str) -> str:
        return os.path.join(self.root, path)

    def _read_params(self, sources: list[Source]) -> dict[str, bytes]:
        """As far as they can be read, are small and lie in the project."""
        if sources != self._named_by:
            every = (path for source in sources for path in sources_of.params_of(source))
            self._named = list(dict.fromkeys(every))[:_PARAMS_FILES]
            self._named_by = sources
        found = {}
        for path in self._named:
            where = self._absolute(path)
            with suppress(OSError, UnreadableError):
                if os.stat(where).st_size <= _PARAMS_BYTES:
                    found[path] = self._params.get(where)
        return found

    def _source(self, path: str, faults: list[str]) -> Source | None:
        file = path[len(self.root.rstrip(os.sep)) + 1 :].replace(os.sep, "/")
        content = self._bytes(path, faults)
        if content is None:
            return None
        is_pipeline = file.rpartition("/")[2] == PIPELINE
        lock = self._lock(lock_of(path), faults) if is_pipeline else None
        kept = self._sources.get(file)
        if kept and not sources_of.is_stale(kept, self.root):
            made_of = self._made_of.get(file, (kept.content, kept.lock_content))
            if made_of == (content, lock):
                return kept
        source = self._made(path, file, content, lock, faults)
        if source:
            self._made_of[file] = (content, lock)
        return source

    def _made(
        self, path: str, file: str, content: bytes, lock: bytes | None, faults: list[str]
    ) -> Source | None:
        loaded = self._loaded(path, content, faults)
        if loaded is None:
            return None
        if os.path.basename(path) != PIPELINE:
            return sources_of.single(self.root, file, loaded)
        found: list[str] = []
        locked = None if lock is None else self._loaded(lock_of(path), lock, found)
        source = sources_of.pipeline(self.root, file, loaded, locked)
        return replace(source, faults=(*source.faults, *found)) if found else source

    def _lock(self, path: str, faults: list[str]) -> bytes | None:
        if self._tree.hidden.from_git(path):
            faults.append(f"{relative(path, self.root)} is git-ignored: DVC refuses that")
            return None
        if not os.path.lexists(path):
            self._missing.append(path)
            return None
        if self._tree.hidden.file(path):
            return None
        return self._bytes(path, faults)

    def _bytes(self, path: str, faults: list[str]) -> bytes | None:
        """None, and a fault that names the file, for whatever cannot be opened."""
        self._read_files.append(path)
        try:
            return self._files.get(path)
        except (OSError, ValueError) as error:
            faults.append(self._fault(path, reason(error)))
            return None

    def _loaded(self, path: str, content: bytes, faults: list[str]) -> Loaded | None:
        """None, and a fault that names the file, for whatever is no YAML."""
        known = self._yaml.get(path)
        if known is None or known[0] != content:
            try:
                known = (content, yaml12.parse(content))
            except Exception as error:
                known = (content, error.with_traceback(None))
            self._yaml[path] = known
        if not isinstance(known[1], Exception):
            return Loaded(*known)
        why = "it holds a merge conflict" if _has_conflict(content) else reason(known[1])
        faults.append(self._fault(path, why))
        return None

    def _fault(self, path: str, why: str) -> str:
        return f"{relative(path, self.root)}: cannot be read ({why})"


def _has_conflict(content: bytes) -> bool:
    return any(line.startswith(b"<<<<<<< ") for line in content.splitlines())


def _small(path: str) -> bytes | None:
    try:
        return read_bytes(path) if os.stat(path).st_size <= _PARAMS_BYTES else None
    except (OSError, UnreadableError):
        return None


def _paths(source: Source) -> Iterator[str]:
    """What the stages of ``source`` write and read."""
    for stage in source.stages:
        yield from (out.path for out in stage.outs)
        yield from (*stage.deps, *stage.params)


def _out_paths(root: str, source: Source) -> Iterator[str]:
    for stage in source.stages:
        for out in stage.outs:
            yield os.path.join(root, out.path)
