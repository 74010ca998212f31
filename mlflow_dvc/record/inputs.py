"""Log what a run reads as its dataset inputs, when the run ends."""

from __future__ import annotations

import json
import random
import time

from mlflow_dvc import settings, tracking
from mlflow_dvc.datasets.description import (
    MAX_NAME_CHARACTERS,
    SOURCE_TYPE,
    describe_profile,
    describe_source,
    mlflow_digest,
)
from mlflow_dvc.dvc_backend.schema_cache import SchemaCache
from mlflow_dvc.dvcfiles.remotes import default_remote
from mlflow_dvc.record.run_registry import RunRecordState
from mlflow_dvc.record.run_tags import read_run
from mlflow_dvc.snapshot import inputs
from mlflow_dvc.tags import input_tags
from mlflow_dvc.tracking import Input

CONTEXT = "training"
_MAX_INPUTS = 50
_RETRY_AFTER_SECONDS = (0.1, 0.5)  # seconds


def log_inputs(record: RunRecordState) -> None:
    """Log the run's inputs that the user has not logged, in one request. A model has none.

    Two processes that log one new dataset at the same time collide inside MLflow: then once more.
    """
    capture, wanted = record.capture, unlogged(record)
    if not wanted:
        record.logged = capture
        return
    run = read_run(record)
    if run is None:
        return
    there = tracking.inputs_of(run)
    if missing := [one for one in wanted if not _is_among(one, there)]:
        try:
            _send(record, missing)
        except Exception:
            time.sleep(random.uniform(*_RETRY_AFTER_SECONDS))  # noqa: S311 - apart from the other
            _send(record, missing)
    record.inputs, record.logged = wanted, capture


def unlogged(record: RunRecordState) -> list[Input]:
    """The inputs of a run, unless just these were looked after already."""
    if (
        record.logged is record.capture
        or record.is_model
        or not settings.inputs_enabled()
        or record.capture.is_empty
    ):
        return []
    wanted = _wanted(record)
    return [] if wanted == record.inputs else wanted


def _send(record: RunRecordState, missing: list[Input]) -> None:
    uri, run_id = record.tracking_uri, record.run_id
    tracking.send_inputs(uri, run_id, missing, SOURCE_TYPE, CONTEXT)


def _wanted(record: RunRecordState) -> list[Input]:
    capture = record.capture
    known = [
        entry
        for entry in inputs(capture.data)
        if entry.is_fact and entry.tells_data and entry.state != "missing"
    ]
    if not known:
        return []
    schemas = SchemaCache(capture.reading.root if capture.reading else "")
    sha = capture.git.sha if capture.git else None
    remote = default_remote(capture.reading.root) if capture.reading else None
    # Where a dependency was imported from is only said by the record of its maker.
    imported = {out.path: out for out in capture.data.data if out.source}
    found = []
    for entry in known[:_MAX_INPUTS]:
        source = describe_source(entry, capture.git, remote, capture.data.root)
        found.append(
            Input(
                name=entry.path[:MAX_NAME_CHARACTERS],
                digest=mlflow_digest(entry.hash or ""),
                source=json.dumps(source),
                profile=json.dumps(describe_profile(imported.get(entry.path, entry), source)),
                schema=schemas.recall(entry.path, entry.hash),
                tags=input_tags(entry, sha),
            )
        )
    return found


def _is_among(one: Input, there: list[Input]) -> bool:
    """By name, or by what lies behind it: the user may have given it another name.

    A run that went on with other data at a path has read both.
    """
    mine = json.loads(one.source)
    for other in there:
        path, value = _path_and_hash(other)
        if (path, value) == (mine["path"], mine["hash"]):
            return True
        if other.name == one.name and path != mine["path"]:
            return True
    return False


def _path_and_hash(one: Input) -> tuple[str | None, str | None]:
    """What is said of data of DVC's; nothing of a dataset of another kind."""
    try:
        source = json.loads(one.source)
    except ValueError:  # a source need not be JSON
        return None, None
    return (source.get("path"), source.get("hash")) if isinstance(source, dict) else (None, None)
