"""Records that could not be written in time, or that the server did not take: kept for later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.datasets.description import SOURCE_TYPE
from mlflow_dvc.guard import guard, warn_once
from mlflow_dvc.project import Project
from mlflow_dvc.record import inputs, write_record
from mlflow_dvc.record.run_registry import RunRecordState
from mlflow_dvc.record.run_tags import description_tag, wanted_tags

_MAX_COMPLETED = 5  # by one run: nobody is to wait for more


def keep_unfinished(records: Iterable[RunRecordState]) -> None:
    """At the end of the process: what is not written by now the next one is to write."""
    kept = False
    for record in records:
        with guard(f"keep what is left to write to {record.label}"):
            root = _root(record.capture.project)
            if root and _is_worth_it(record) and not is_written(record):
                kept |= tracking.keep(root, _leftover(record))
    if kept:
        warn_once(
            "what is not written of a record is kept: the next run of this project writes it, "
            "or `mlflow-dvc sync`"
        )


def is_written(record: RunRecordState) -> bool:
    """Whether a run carries all that is known of it."""
    is_attached = record.folder is None or record.drawn is record.capture
    return record.told is record.capture and is_attached and not inputs.unlogged(record)


def _is_worth_it(record: RunRecordState) -> bool:
    """Not without what git says, and not for a run that is gone. Of a model nothing is kept."""
    return record.begun is not None and not record.is_gone and not record.is_model


def is_kept_for(project: Project) -> bool:
    """Whether an earlier process left something to write."""
    root = _root(project)
    return root is not None and tracking.has_leftovers(root)


def complete_earlier(project: Project) -> None:
    """What an earlier process kept for the next run of ``project``: it has reached its server."""
    if root := _root(project):
        for _ in tracking.complete_leftovers(root, _MAX_COMPLETED):
            pass


def _leftover(record: RunRecordState) -> tracking.Leftover:
    tags, before = wanted_tags(record)
    described = {tag.MLFLOW_NOTE: record.description} if record.description else {}
    told: dict[str, Any] = {"source_type": SOURCE_TYPE, "context": inputs.CONTEXT}
    return tracking.Leftover(
        tracking.absolute_uri(record.tracking_uri),
        record.run_id,
        record.artifact_uri,
        record.folder,
        {**tags, **described, **description_tag(record)},
        {**before, **described},
        write_record.unsent_files(record) if record.folder else {},
        tuple(inputs.unlogged(record)),
        **told,
    )


def _root(project: Project) -> str | None:
    return project.dvc_root or project.git_root
