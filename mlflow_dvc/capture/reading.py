"""One look at all DVC files of a project: its stages, what is wrong, and the bytes themselves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

from mlflow_dvc.capture import source as sources_of
from mlflow_dvc.capture.files import (
    UnreadableError,
    digest_of,
    read_bytes,
    shown,
)
from mlflow_dvc.capture.lockfile import Stage, lock_of
from mlflow_dvc.capture.memory import Content, Memory
from mlflow_dvc.capture.pipeline import conflicts
from mlflow_dvc.capture.source import Source

PARAMS_BYTES = 1024 * 1024


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
        pairs = zip(sources, self.sources, strict=True)
        late = [source for source, before in pairs if source is not before]
        faults = (*self.content.faults, *self._faults_of(late))
        return Reading(self.root, Content(sources, faults, params))


def _small(path: str) -> bytes | None:
    try:
        return read_bytes(path) if os.stat(path).st_size <= PARAMS_BYTES else None
    except (OSError, UnreadableError):
        return None
