"""One look at all DVC files of a project: its stages, what is wrong, and the bytes themselves."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

from mlflow_dvc.capture import source as sources_of
from mlflow_dvc.capture import yaml12
from mlflow_dvc.capture.files import FileCache, UnreadableError, read_bytes, reason, shown
from mlflow_dvc.capture.lockfile import Stage, lock_of
from mlflow_dvc.capture.pipeline import conflicts
from mlflow_dvc.capture.project import relative
from mlflow_dvc.capture.source import Loaded, Source
from mlflow_dvc.capture.tree import PIPELINE, Tree

_PARAMS_FILES = 50
_PARAMS_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Reading:
    """What the DVC files of one root say at one moment. Paths are relative to ``root``.

    ``params`` holds the bytes of the parameter files that the stages name.
    """

    root: str
    sources: tuple[Source, ...]
    faults: tuple[str, ...]
    params: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def pending(self) -> bool:
        """Whether the stages of some dvc.yaml are not known yet."""
        return any(source.pending for source in self.sources)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        return tuple(stage for source in self.sources for stage in source.stages)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        named = [fault for source in self.sources for fault in source.faults]
        found = (*self.faults, *named, *conflicts(self.stages))
        return tuple(dict.fromkeys(shown(fault) for fault in found))

    @cached_property
    def locks(self) -> dict[str, str]:
        """The md5 of the bytes of each lock that counts, by its path."""
        return {
            lock_of(source.file): hashlib.md5(
                source.lock_content, usedforsecurity=False
            ).hexdigest()
            for source in self.sources
            if source.lock_content is not None
        }

    def resolved(self) -> Reading:
        """The same moment with every template filled in, by asking DVC where it must be (slow)."""
        sources = tuple(sources_of.resolved(self.root, source) for source in self.sources)
        params = dict(self.params)
        for source in sources:
            reads = source.answer.reads if source.answer else {}
            for path, md5 in reads.items():
                content = params.get(path) or _small(os.path.join(self.root, path))
                if content and hashlib.md5(content, usedforsecurity=False).hexdigest() == md5:
                    params[path] = content
        return replace(self, sources=sources, params=params)


class ProjectReader:
    """Reads one DVC root again and again, each time only what changed."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._tree = Tree(root)
        self._files = FileCache(yaml12.parse)
        self._params = FileCache(lambda content: content)
        self._sources: dict[str, Source] = {}
        self._outs: dict[Source, Set[str]] = {}
        self._named: list[str] = []
        self._last: Reading | None = None

    def read(self) -> Reading:
        """Equal to the last reading, and the same object, where nothing changed. Never raises."""
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

        for _ in self._tree.dvc_files(outs_of):
            pass
        self._sources = {source.file: source for source in found}
        self._outs = {source: self._outs[source] for source in found}
        reading = Reading(self.root, tuple(found), tuple(faults), self._read_params(found))
        last = self._last
        if last == reading:
            return last
        self._last = reading
        return reading

    def _read_params(self, sources: list[Source]) -> dict[str, bytes]:
        """As far as they can be read, are small and lie in the project."""
        if self._last is None or list(self._last.sources) != sources:
            every = (path for source in sources for path in sources_of.params_of(source))
            self._named = list(dict.fromkeys(every))[:_PARAMS_FILES]
        found = {}
        for path in self._named:
            where = os.path.join(self.root, path)
            with suppress(OSError, UnreadableError):
                if os.stat(where).st_size <= _PARAMS_BYTES:
                    found[path] = self._params.get(where)[0]
        return found

    def _source(self, path: str, faults: list[str]) -> Source | None:
        file = path[len(self.root.rstrip(os.sep)) + 1 :].replace(os.sep, "/")
        loaded = self._load(path, faults)
        if loaded is None:
            return None
        is_pipeline = file.rpartition("/")[2] == PIPELINE
        lock = self._lock(lock_of(path), faults) if is_pipeline else None
        kept = self._sources.get(file)
        if kept and kept.is_of(loaded, lock) and not sources_of.is_stale(kept, self.root):
            return kept
        if is_pipeline:
            return sources_of.pipeline(self.root, file, loaded, lock)
        return sources_of.single(self.root, file, loaded)

    def _lock(self, path: str, faults: list[str]) -> Loaded | None:
        if self._tree.hidden.from_git(path):
            faults.append(f"{relative(path, self.root)} is git-ignored: DVC refuses that")
            return None
        if not os.path.lexists(path) or self._tree.hidden.file(path):
            return None
        return self._load(path, faults)

    def _load(self, path: str, faults: list[str]) -> Loaded | None:
        """None, and a fault that names the file, for whatever cannot be read."""
        try:
            return Loaded(*self._files.get(path))
        except Exception as error:
            why = "it holds a merge conflict" if _has_conflict(path) else reason(error)
            faults.append(f"{relative(path, self.root)}: cannot be read ({why})")
            return None


def _has_conflict(path: str) -> bool:
    with suppress(OSError, UnreadableError):
        return any(line.startswith(b"<<<<<<< ") for line in read_bytes(path).splitlines())
    return False


def _small(path: str) -> bytes | None:
    try:
        return read_bytes(path) if os.stat(path).st_size <= _PARAMS_BYTES else None
    except (OSError, UnreadableError):
        return None


def _out_paths(root: str, source: Source) -> Iterator[str]:
    for stage in source.stages:
        for out in stage.outs:
            yield os.path.join(root, out.path)
