"""One DVC file with its lock, as the stages it stands for."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlflow_dvc.capture import schema
from mlflow_dvc.capture.entry import Raw
from mlflow_dvc.capture.files import reason
from mlflow_dvc.capture.lockfile import (
    PARAMS,
    MalformedError,
    Reader,
    Stage,
    lock_of,
    templated,
)
from mlflow_dvc.capture.tree import PIPELINE
from mlflow_dvc.dvc_backend.resolve import Resolved, recall, resolve


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
    templated: frozenset[str] = frozenset()
    lock: Mapping[str, Any] = field(default_factory=dict, repr=False)


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
    raw, faults = _allowed(file, loaded.raw, schema.SINGLE)
    if faults:
        return Source(file, loaded.content, (), faults)
    reader = Reader(root)
    try:
        stage = reader.single(file, raw)
    except MalformedError as fault:
        return Source(file, loaded.content, (), (f"{file}: DVC refuses it: {fault}",))
    return Source(file, loaded.content, (stage,), tuple(reader.faults))


def pipeline(root: str, file: str, loaded: Loaded, lock: Loaded | None) -> Source:
    """What a dvc.yaml says together with its lock."""
    raw, faults = _allowed(file, loaded.raw, schema.PIPELINE)
    locked, lock_faults = _locked(lock_of(file), lock) if lock else ({}, ())
    source = Source(
        file=file,
        content=loaded.content,
        stages=(),
        faults=faults + lock_faults,
        lock_content=lock.content if lock else None,
        raw=raw.get("stages") or {},
        lock=locked.get("stages") or {},
    )
    source = replace(source, templated=templated(loaded.content, source.raw))
    if source.templated:
        if known := recall(root, file, loaded.content):
            return _filled(root, source, known)
        source = replace(source, pending=True)
    return _read_plainly(root, source)


def _read_plainly(root: str, source: Source) -> Source:
    return _with_stages(root, source, _plain(source))


def _plain(source: Source) -> Raw:
    if not source.templated:
        return source.raw
    return {name: raw for name, raw in source.raw.items() if name not in source.templated}


def _filled(root: str, source: Source, resolved: Resolved) -> Source:
    """Stages that DVC could not resolve are read as far as their text goes."""
    known = replace(
        source,
        pending=False,
        answer=resolved,
        faults=source.faults + tuple(f"{source.file}: {fault}" for fault in resolved.faults),
    )
    order = {name: position for position, name in enumerate(source.raw)}
    stages = sorted(
        {**_plain(source), **resolved.stages}.items(),
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


def _allowed(file: str, raw: Any, rule: schema.Rule) -> tuple[Raw, tuple[str, ...]]:
    """What a file may say as DVC sees it; nothing, and the reason, where DVC refuses the file."""
    raw = raw or {}  # an empty file, to DVC
    fault = schema.fault_in(raw, rule)
    return ({}, (f"{file}: DVC refuses it: {fault}",)) if fault else (raw, ())


def _locked(file: str, lock: Loaded) -> tuple[Raw, tuple[str, ...]]:
    raw, faults = _allowed(file, lock.raw, schema.LOCK)
    if faults and isinstance(lock.raw, Mapping) and not {"schema", "stages"} & lock.raw.keys():
        hint = "it is of DVC 1; `dvc repro` or `dvc commit` with DVC 2 makes a new one"
        return {}, (f"{faults[0]} ({hint})",)
    return raw, faults
