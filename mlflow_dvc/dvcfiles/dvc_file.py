"""One ``.dvc`` file, or one dvc.yaml with its lock, parsed into stages."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlflow_dvc.dvc_backend.templates import ResolvedStages, cached_answer, resolve
from mlflow_dvc.dvcfiles import schema, yaml12
from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.dvcfiles.lock_file import lock_path, validate_lock
from mlflow_dvc.dvcfiles.locked_dataset import LockedDataset, parse_datasets
from mlflow_dvc.dvcfiles.output_hash import Raw
from mlflow_dvc.dvcfiles.schema import validate
from mlflow_dvc.dvcfiles.stages import (
    PARAMS,
    InvalidDvcFileError,
    Stage,
    StageParser,
    has_templates,
    templated_stages,
)
from mlflow_dvc.fingerprint import describe_error


@dataclass(frozen=True)
class ParsedFile:
    """The bytes of a file and what they mean as YAML."""

    content: bytes
    raw: Any = field(repr=False)


@dataclass(frozen=True, eq=False)
class DvcFile:
    """One ``.dvc`` file, or one dvc.yaml with its lock. Compared by identity: it is made anew when
    its files change. ``pending``: DVC must fill in templates. ``datasets`` are those that it
    defines.
    """

    file: str
    content: bytes
    stages: tuple[Stage, ...]
    faults: tuple[str, ...]
    lock_content: bytes | None = None
    pending: bool = False
    answer: ResolvedStages | None = field(default=None, repr=False)
    raw: Any = field(default=None, repr=False)
    templated: frozenset[str] = frozenset()
    lock: Mapping[str, Any] = field(default_factory=dict, repr=False)
    datasets: tuple[LockedDataset, ...] = ()
    raw_datasets: Any = field(default=None, repr=False)
    locked_datasets: Any = field(default=None, repr=False)


def param_files(dvc_file: DvcFile) -> Iterator[str]:
    """The files whose values went into the stages; vars files of a template among them."""
    if os.path.basename(dvc_file.file) == PIPELINE_FILE:
        yield posixpath.join(posixpath.dirname(dvc_file.file), PARAMS)
    shown = _named_files(_shown_parts(dvc_file.content).get("params"))
    for path in (
        *_from_root(dvc_file.file, shown),
        *_read_digests(dvc_file),
        *(path for stage in dvc_file.stages for path in stage.params),
    ):
        if not path.startswith(("/", "../")) and "://" not in path:
            yield path


def _read_digests(dvc_file: DvcFile) -> list[str]:
    """The files, there now, that DVC filled the templates in from."""
    return [path for path, md5 in dvc_file.answer.reads.items() if md5] if dvc_file.answer else []


def is_stale(dvc_file: DvcFile, root: str) -> bool:
    """Whether a template's answer may have changed: its parameters did, or it is known by now."""
    if not dvc_file.pending and dvc_file.answer is None:
        return False
    return cached_answer(root, dvc_file.file, dvc_file.content) != dvc_file.answer


# What DVCLive adds to a dvc.yaml while it runs: what is shown, not what is done.
_SHOWN_PARTS = ("metrics", "plots", "params", "artifacts")


def runs_the_same(old: bytes, new: bytes) -> bool:
    """Whether two contents of a dvc.yaml have the same stages, with the same templates."""
    try:
        parts = [yaml12.parse_yaml(content) or {} for content in (old, new)]
        was, now = ({k: v for k, v in part.items() if k not in _SHOWN_PARTS} for part in parts)
    except Exception:  # no YAML, or no mapping: then it counts as it stands
        return False
    return bool(was == now)


def parse_dvc_file(root: str, file: str, loaded: ParsedFile) -> DvcFile:
    """What a ``.dvc`` file says."""
    raw, faults = validate(file, loaded.raw, schema.SINGLE_SCHEMA)
    if faults:
        return DvcFile(file, loaded.content, (), faults)
    reader = StageParser(root)
    try:
        stage = reader.parse_dvc_file(file, raw)
    except InvalidDvcFileError as fault:
        return DvcFile(file, loaded.content, (), (f"{file}: DVC refuses it: {fault}",))
    return DvcFile(file, loaded.content, (stage,), tuple(reader.faults))


def parse_pipeline(root: str, file: str, loaded: ParsedFile, lock: ParsedFile | None) -> DvcFile:
    """What a dvc.yaml says together with its lock."""
    raw, faults = validate(file, loaded.raw, schema.PIPELINE_SCHEMA)
    locked, lock_faults = validate_lock(lock_path(file), lock.raw) if lock else ({}, ())
    dvc_file = DvcFile(
        file=file,
        content=loaded.content,
        stages=(),
        faults=faults + lock_faults,
        lock_content=lock.content if lock else None,
        raw=raw.get("stages") or {},
        lock=locked.get("stages") or {},
        raw_datasets=raw.get("datasets"),
        locked_datasets=locked.get("datasets"),
    )
    dvc_file = replace(dvc_file, templated=templated_stages(loaded.content, dvc_file.raw))
    if dvc_file.templated or has_templates(loaded.content, dvc_file.raw_datasets):
        if known := cached_answer(root, file, loaded.content):
            return _with_templates(root, dvc_file, known)
        dvc_file = replace(dvc_file, pending=True)
    return _read_plainly(root, dvc_file)


def _read_plainly(root: str, dvc_file: DvcFile) -> DvcFile:
    return _with_stages(root, dvc_file, _parse_again(dvc_file), dvc_file.raw_datasets)


def _parse_again(dvc_file: DvcFile) -> Raw:
    if not dvc_file.templated:
        return dvc_file.raw
    return {name: raw for name, raw in dvc_file.raw.items() if name not in dvc_file.templated}


def _with_templates(root: str, dvc_file: DvcFile, resolved: ResolvedStages) -> DvcFile:
    """Stages that DVC could not resolve are read as far as their text goes."""
    known = replace(
        dvc_file,
        pending=False,
        answer=resolved,
        faults=dvc_file.faults + tuple(f"{dvc_file.file}: {fault}" for fault in resolved.faults),
    )
    order = {name: position for position, name in enumerate(dvc_file.raw)}
    stages = sorted(
        {**_parse_again(dvc_file), **resolved.stages}.items(),
        key=lambda item: order.get(item[0].rpartition("@")[0], order.get(item[0], 0)),
    )
    specs = dvc_file.raw_datasets if resolved.datasets is None else resolved.datasets
    return _with_stages(root, known, dict(stages), specs)


def _with_stages(root: str, dvc_file: DvcFile, stages: Mapping[str, Any], datasets: Any) -> DvcFile:
    reader = StageParser(root)
    found = reader.parse_pipeline(dvc_file.file, stages, dvc_file.lock)
    lock = lock_path(dvc_file.file)
    return replace(
        dvc_file,
        stages=tuple(found),
        faults=dvc_file.faults + tuple(reader.faults),
        datasets=tuple(parse_datasets(lock, datasets, dvc_file.locked_datasets)),
    )


def resolve_templates(root: str, dvc_file: DvcFile, *, foreign: bool = False) -> DvcFile:
    """``dvc_file`` with its templates filled in; where DVC cannot, it says so and stays plain."""
    if not dvc_file.pending:
        return dvc_file
    try:
        answer = resolve(root, dvc_file.file, dvc_file.content, foreign=foreign)
        return _with_templates(root, dvc_file, answer)
    except Exception as error:
        fault = f"{dvc_file.file}: DVC could not resolve its templates ({describe_error(error)})"
        return replace(dvc_file, pending=False, faults=(*dvc_file.faults, fault))


def shown_files(file: str, content: bytes) -> Iterator[str]:
    """The files and folders that a dvc.yaml shows or names models: what runs make, as DVCLive."""
    raw = _shown_parts(content)
    artifacts = raw.get("artifacts")
    models = artifacts.values() if isinstance(artifacts, dict) else ()
    paths = (one.get("path") for one in models if isinstance(one, dict))
    yield from _from_root(
        file, (*_named_files(raw.get("metrics")), *_named_files(raw.get("plots")))
    )
    yield from _from_root(file, paths)


def _shown_parts(content: bytes) -> Mapping[str, Any]:
    """Of a dvc.yaml what stands beside its stages."""
    if not any(f"{part}:".encode() in content for part in _SHOWN_PARTS):
        return {}
    try:
        raw = yaml12.parse_yaml(content)
    except Exception:  # DVC refuses it, which is said elsewhere
        return {}
    return raw if isinstance(raw, dict) else {}


def _from_root(file: str, paths: Iterable[Any]) -> Iterator[str]:
    folder = posixpath.dirname(file)
    for path in paths:
        if isinstance(path, str) and "\0" not in path:
            yield posixpath.normpath(posixpath.join(folder, path))


def _named_files(shown: Any) -> Iterator[Any]:
    """Of ``[a.json, {b.csv: {x: step}}, {curve: {y: {c.csv: [p, q]}}}]`` all the names."""
    for one in shown if isinstance(shown, list) else [shown] if shown else ():
        if not isinstance(one, dict):
            yield one
            continue
        for name, told in one.items():
            yield name
            axes = told.values() if isinstance(told, dict) else ()
            yield from (file for axis in axes if isinstance(axis, dict) for file in axis)


def with_lock(root: str, dvc_file: DvcFile, lock: bytes) -> DvcFile:
    """``dvc_file``, a dvc.yaml, as it would be with another lock. Raises what YAML raises."""
    loaded = [ParsedFile(text, yaml12.parse_yaml(text)) for text in (dvc_file.content, lock)]
    return parse_pipeline(root, dvc_file.file, *loaded)


@dataclass(frozen=True)
class ProjectContent:
    """What the DVC files of a project say. ``params`` holds the parameter files' bytes."""

    dvc_files: tuple[DvcFile, ...]
    faults: tuple[str, ...] = ()
    params: Mapping[str, bytes] = field(default_factory=dict, repr=False)
