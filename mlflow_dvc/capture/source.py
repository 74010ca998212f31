"""One DVC file with its lock, as the stages it stands for."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlflow_dvc.capture.files import reason
from mlflow_dvc.capture.lockfile import (
    PARAMS,
    MalformedError,
    Reader,
    Stage,
    lock_of,
    needs_resolving,
)
from mlflow_dvc.capture.tree import PIPELINE
from mlflow_dvc.dvc_backend.resolve import Resolved, recall, resolve

_LOCK_SCHEMA = "2.0"


@dataclass(frozen=True)
class Loaded:
    """The bytes of a file and what they mean as YAML."""

    content: bytes
    raw: Any = field(repr=False)


@dataclass(frozen=True, eq=False)
class Source:
    """One ``.dvc`` file, or one dvc.yaml with its lock. Compared by identity: it is made anew when
    its files change. ``pending``: DVC must fill in templates.
    """

    file: str
    content: bytes
    stages: tuple[Stage, ...]
    faults: tuple[str, ...]
    lock_content: bytes | None = None
    pending: bool = False
    answer: Resolved | None = field(default=None, repr=False)
    raw: Any = field(default=None, repr=False)
    lock: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def is_of(self, loaded: Loaded, lock: Loaded | None) -> bool:
        """Whether it was made of just these bytes."""
        return self.content == loaded.content and self.lock_content == (
            lock.content if lock else None
        )


def params_of(source: Source) -> Iterator[str]:
    """The files whose values went into the stages; vars files of a template among them."""
    if os.path.basename(source.file) == PIPELINE:
        yield posixpath.join(posixpath.dirname(source.file), PARAMS)
    for path in (*_reads(source), *(path for stage in source.stages for path in stage.params)):
        if not path.startswith(("/", "../")) and "://" not in path:
            yield path


def _reads(source: Source) -> list[str]:
    """The files, there now, that DVC filled the templates in from."""
    return [path for path, md5 in source.answer.reads.items() if md5] if source.answer else []


def is_stale(source: Source, root: str) -> bool:
    """Whether a template's answer may have changed: its parameters did, or it is known by now."""
    if not source.pending and source.answer is None:
        return False
    return recall(root, source.file, source.content) != source.answer


def single(root: str, file: str, loaded: Loaded) -> Source:
    """What a ``.dvc`` file says."""
    reader = Reader(root)
    try:
        stages = reader.single(file, {} if loaded.raw is None else loaded.raw)
    except MalformedError as fault:
        stages, reader.faults = [], [f"{file}: {fault}"]
    return Source(file, loaded.content, tuple(stages), tuple(reader.faults))


def pipeline(root: str, file: str, loaded: Loaded, lock: Loaded | None) -> Source:
    """What a dvc.yaml says together with its lock."""
    faults: list[str] = []
    source = Source(
        file=file,
        content=loaded.content,
        stages=(),
        faults=(),
        lock_content=lock.content if lock else None,
        raw=_stages(loaded.raw, file, faults),
        lock=_locked_stages(lock.raw, lock_of(file), faults) if lock else {},
    )
    source = replace(source, faults=tuple(faults))
    if any(map(needs_resolving, source.raw.values())):
        if known := recall(root, file, loaded.content):
            return _filled(root, source, known)
        source = replace(source, pending=True)
    return _read_plainly(root, source)


def _read_plainly(root: str, source: Source) -> Source:
    plain = {name: raw for name, raw in source.raw.items() if not needs_resolving(raw)}
    return _with_stages(root, source, plain)


def _filled(root: str, source: Source, resolved: Resolved) -> Source:
    """Stages that DVC could not resolve are read as far as their text goes."""
    plain = {name: raw for name, raw in source.raw.items() if not needs_resolving(raw)}
    known = replace(
        source,
        pending=False,
        answer=resolved,
        faults=source.faults + tuple(f"{source.file}: {fault}" for fault in resolved.faults),
    )
    order = {name: position for position, name in enumerate(source.raw)}
    stages = sorted(
        {**plain, **resolved.stages}.items(),
        key=lambda item: order.get(item[0].rpartition("@")[0], order.get(item[0], 0)),
    )
    return _with_stages(root, known, dict(stages))


def _with_stages(root: str, source: Source, stages: Mapping[str, Any]) -> Source:
    reader = Reader(root)
    found = reader.pipeline(source.file, stages, source.lock)
    return replace(source, stages=tuple(found), faults=source.faults + tuple(reader.faults))


def resolved(root: str, source: Source) -> Source:
    """``source`` with its templates filled in; where DVC cannot, it says so and stays plain."""
    if not source.pending:
        return source
    try:
        return _filled(root, source, resolve(root, source.file, source.content))
    except Exception as error:
        fault = f"{source.file}: DVC could not resolve its templates ({reason(error)})"
        return replace(source, pending=False, faults=(*source.faults, fault))


def _stages(raw: Any, file: str, faults: list[str]) -> Mapping[str, Any]:
    stages = raw.get("stages") if isinstance(raw, Mapping) else raw
    if stages is None:
        return {}
    if not isinstance(stages, Mapping):
        faults.append(f"{file}: holds no stages")
        return {}
    return stages


def _locked_stages(lock: Any, file: str, faults: list[str]) -> Mapping[str, Any]:
    if not isinstance(lock, Mapping):
        faults.append(f"{file}: holds no stages: DVC refuses that")
        return {}
    if "schema" not in lock and "stages" not in lock:  # as DVC 1 wrote it
        faults.append(f"{file}: is of DVC 1, which DVC 3 refuses; run `dvc repro` or `dvc commit`")
        return lock
    if lock.get("schema") != _LOCK_SCHEMA:
        faults.append(
            f"{file}: its schema is {lock.get('schema')!r} where DVC wants {_LOCK_SCHEMA!r}"
        )
    return _stages(lock, file, faults)
