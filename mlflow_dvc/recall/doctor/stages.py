"""Rules about stages: whether they declare what they run and read, and have run."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from mlflow_dvc.dvcfiles.locked_dataset import dataset_name, find_dataset
from mlflow_dvc.enumeration import first_of
from mlflow_dvc.recall.doctor.context import DoctorContext
from mlflow_dvc.recall.doctor.files import is_lock_seen
from mlflow_dvc.recall.doctor.finding import Violation
from mlflow_dvc.recall.doctor.script import find_script, is_declared, parse_reads

_MAX_NAMED_STAGES = 3


def script_not_declared(context: DoctorContext) -> Iterator[Violation]:
    for stage, raw in context.stages:
        script = find_script(stage, raw, context.reading.root)
        if script and not is_declared(script, stage):
            seen = posixpath.relpath(script, stage.wdir)
            fix = f"Add {seen} to its deps in {stage.file}"
            yield Violation(stage.address, f"it runs {script}, which is not among its deps", fix)


def params_not_declared(context: DoctorContext) -> Iterator[Violation]:
    for stage, raw in context.stages:
        script = find_script(stage, raw, context.reading.root)
        if script is None or stage.params:
            continue
        reads = parse_reads(context.absolute(script))
        fix = f"List the keys that it reads as its params in {stage.file}"
        names = {posixpath.basename(dep) for dep in stage.deps}
        for file, line in reads.params:
            inside = posixpath.normpath(posixpath.join(stage.wdir, file))
            if posixpath.basename(file) not in names and not is_declared(inside, stage):
                what = f"{script} reads {file} (line {line}), and it declares no params"
                yield Violation(stage.address, what, fix)
                break
        else:
            if reads.shows_params and not names & {"params.yaml"}:
                what = f"{script} asks DVC for params (line {reads.shows_params}), it declares none"
                yield Violation(stage.address, what, fix)


def metric_cached(context: DoctorContext) -> Iterator[Violation]:
    for stage, raw in context.stages:
        for path in _cached_metrics(raw):
            fix = f"In {stage.file}, under its metrics: `- {path}: {{cache: false}}`"
            yield Violation(stage.address, f"its metrics file {path} goes to DVC's cache", fix)


def _cached_metrics(raw: Mapping[str, Any]) -> Iterator[str]:
    """``metrics: [a.json, {b.json: {cache: false}}]``"""
    metrics = raw.get("metrics")
    for item in metrics if isinstance(metrics, list) else ():
        for path, flags in item.items() if isinstance(item, Mapping) else [(item, None)]:
            if not (isinstance(flags, Mapping) and flags.get("cache") is False):
                yield str(path)


def never_run(context: DoctorContext) -> Iterator[Violation]:
    for pipeline in context.pipelines:
        names = [str(stage.name) for stage, _ in pipeline.stages]
        missing = [name for name in names if name not in pipeline.locked]
        if missing and is_lock_seen(context, pipeline.file):
            what = f"{pipeline.lock} has no entry of {first_of(missing, _MAX_NAMED_STAGES)}"
            yield Violation(pipeline.file, what, "dvc repro, then commit the lock")


def dataset_without_version(context: DoctorContext) -> Iterator[Violation]:
    for stage, _ in context.stages:
        for dep in filter(dataset_name, stage.deps):
            dataset = find_dataset(dep, context.reading.datasets)
            if dataset.fault:
                name = dataset.name
                fix = f"Define {name} in one dvc.yaml, then `dvc dataset update {name}`"
                yield Violation(stage.address, f"it reads {dep}: {dataset.fault}", fix)


def dead_lock_entry(context: DoctorContext) -> Iterator[Violation]:
    for pipeline in context.pipelines:
        names = {stage.name for stage, _ in pipeline.stages}
        dead = [name for name in pipeline.locked if name not in names]
        if dead and not pipeline.dvc_file.faults:  # a stage that cannot be read is not gone
            what = f"{pipeline.file} has no stage {first_of(dead, _MAX_NAMED_STAGES)} any more"
            yield Violation(
                pipeline.lock, what, f"Remove what {pipeline.lock} says of it, and commit"
            )
