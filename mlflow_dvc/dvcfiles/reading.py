"""What all DVC files of a project said at one moment: stages, faults, bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from mlflow_dvc.dvcfiles.dvc_file import DvcFile, ProjectContent, resolve_templates
from mlflow_dvc.dvcfiles.lock_file import lock_path
from mlflow_dvc.dvcfiles.locked_dataset import LockedDataset
from mlflow_dvc.dvcfiles.reading_cache import CachedReading
from mlflow_dvc.dvcfiles.stage_graph import overlapping_outputs
from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.fingerprint import UnreadableError, md5_of, read_bytes
from mlflow_dvc.limits import MAX_PARAMS_BYTES, MAX_TEMPLATE_SECONDS
from mlflow_dvc.secrets.urls import public_text
from mlflow_dvc.visible_text import escape_hidden


class ProjectReading:
    """What the DVC files of one root say at one moment. Paths are relative to ``root``.

    Of one that an earlier process made, the content is only read if somebody asks for it.
    """

    def __init__(
        self,
        root: str,
        content: ProjectContent | None,
        cached: CachedReading | None = None,
        faults_of: Callable[[Sequence[DvcFile]], Iterable[str]] = lambda dvc_files: (),
    ) -> None:
        self.root = root
        self.cached = cached
        self._faults_of = faults_of  # what is wrong with stages that become known later
        if content is not None:
            self.content = content

    @cached_property
    def content(self) -> ProjectContent:
        return self.cached.content() if self.cached else ProjectContent(())

    @property
    def is_loaded(self) -> bool:
        return "content" in vars(self)

    @property
    def dvc_files(self) -> tuple[DvcFile, ...]:
        return self.content.dvc_files

    @property
    def params(self) -> Mapping[str, bytes]:
        return self.content.params

    @property
    def pending(self) -> bool:
        """Whether the stages of some dvc.yaml are not known yet; such a reading is never kept."""
        return self.is_loaded and any(dvc_file.pending for dvc_file in self.dvc_files)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        return tuple(stage for dvc_file in self.dvc_files for stage in dvc_file.stages)

    @cached_property
    def datasets(self) -> tuple[LockedDataset, ...]:
        """Those of every dvc.yaml: a stage may read what another file defines."""
        return tuple(one for dvc_file in self.dvc_files for one in dvc_file.datasets)

    @cached_property
    def unhashed(self) -> frozenset[str]:
        """The cached outputs for which no DVC file has a hash: never made, or never locked."""
        outs = (out for stage in self.stages for out in stage.outs)
        return frozenset(
            out.path for out in outs if out.cached and out.hash is None and "://" not in out.path
        )

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        named = [fault for dvc_file in self.dvc_files for fault in dvc_file.faults]
        found = (*self.content.faults, *named, *overlapping_outputs(self.stages))
        return tuple(dict.fromkeys(public_text(escape_hidden(fault)) for fault in found))

    @cached_property
    def locks(self) -> dict[str, str]:
        """The md5 of the bytes of each lock that counts, by its path."""
        return {
            lock_path(dvc_file.file): md5_of(dvc_file.lock_content)
            for dvc_file in self.dvc_files
            if dvc_file.lock_content is not None
        }

    def with_templates(self, *, foreign: bool = False) -> ProjectReading:
        """A copy with every template filled in; DVC is asked where it must be (slow).

        ``foreign``: these are files out of a record, and limits hold of what DVC may take for them.
        """
        dvc_files = tuple(self._resolved(foreign=foreign))
        params = dict(self.content.params)
        for dvc_file in dvc_files:
            reads = dvc_file.answer.reads if dvc_file.answer else {}
            for path, md5 in reads.items():
                content = params.get(path) or _read_small(os.path.join(self.root, path))
                if content and md5_of(content) == md5:
                    params[path] = content
        pairs = zip(dvc_files, self.dvc_files, strict=True)
        late = [dvc_file for dvc_file, before in pairs if dvc_file is not before]
        faults = (*self.content.faults, *self._faults_of(late))
        return ProjectReading(self.root, ProjectContent(dvc_files, faults, params))

    def _resolved(self, *, foreign: bool) -> Iterator[DvcFile]:
        started = time.monotonic()
        for one in self.dvc_files:
            is_late = foreign and time.monotonic() - started > MAX_TEMPLATE_SECONDS
            if is_late and one.pending:
                fault = f"{one.file}: its templates are not filled in: those before it took long"
                yield replace(one, pending=False, faults=(*one.faults, fault))
            else:
                yield resolve_templates(self.root, one, foreign=foreign)


def _read_small(path: str) -> bytes | None:
    try:
        return read_bytes(path) if os.stat(path).st_size <= MAX_PARAMS_BYTES else None
    except (OSError, UnreadableError):
        return None
