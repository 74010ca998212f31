"""The tags of a run, or of a model, brought to what is known; nobody else's are overwritten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mlflow_dvc import settings, tracking
from mlflow_dvc import tags as tag
from mlflow_dvc.record.run_registry import RunRecordState
from mlflow_dvc.report.description import describe_run

if TYPE_CHECKING:
    from mlflow.entities import Run


def sync_tags(record: RunRecordState) -> None:
    """Bring the run's tags to what is known now."""
    capture = record.capture
    if record.told is capture:
        return
    if record.later is not None:  # other parts of the run have written there
        record.server_tags = tracking.run_tags(record.tracking_uri, record.run_id)
    found, mine = wanted_tags(record)
    _bring_tags_to(record, mine, found)
    record.told = capture


def wanted_tags(record: RunRecordState) -> tuple[dict[str, str], dict[str, str]]:
    """The tags that a run is to have from a record, and those that it has from it."""
    if record.later is None:
        return record.capture.tags, record.tags
    return _later_tags(record, record.later), record.later


def tag_model(
    tracking_uri: str,
    run_id: str,
    model_id: str,
    there: dict[str, str],
    record: RunRecordState | None,
) -> None:
    """Give a logged model the tags of its run's record that it lacks."""
    found = record.tags if record else tag.own_tags(tracking.run_tags(tracking_uri, run_id))
    missing = {key: found[key] for key in found if key not in there}
    if missing:
        tracking.set_model_tags(tracking_uri, model_id, missing)


def description_tag(record: RunRecordState) -> dict[str, str]:
    """The tag with the description that a run is to have; none before its end has told all."""
    is_first = record.folder == tracking.FOLDER and record.later is None and not record.is_model
    if not (is_first and record.capture.data.reads and settings.description_enabled()):
        return {}
    text = describe_run(record.capture.snapshot, record.experiment_id, record.run_id)
    return {tag.MLFLOW_NOTE: text}


def _new_description(record: RunRecordState) -> dict[str, str]:
    """That which the run lacks; what somebody else wrote stays."""
    wanted = description_tag(record)
    there = tags_of(record).get(tag.MLFLOW_NOTE) if wanted else None
    is_ours = there in (None, record.description)
    return wanted if is_ours and there != wanted.get(tag.MLFLOW_NOTE) else {}


def set_tags(
    record: RunRecordState,
    mine: dict[str, str],
    found: Mapping[str, str],
    description: Mapping[str, str] | None = None,
) -> None:
    """On the run and its models; what the user has set under such a name meanwhile stays.

    ``mine`` are the tags that came from this record. The ``description`` is of the run alone.
    """
    there = tags_of(record)
    fresh = {key: found[key] for key in found if there.get(key) in (None, mine.get(key))}
    if not fresh and not description:
        return
    if not record.is_model:
        described = dict(description or {})
        tracking.set_run_tags(record.tracking_uri, record.run_id, fresh | described)
        there |= described
        record.description = described.get(tag.MLFLOW_NOTE, record.description)
    mine |= fresh
    there |= fresh
    for model_id in record.models if fresh else ():
        tracking.set_model_tags(record.tracking_uri, model_id, fresh)


def tags_of(record: RunRecordState) -> dict[str, str]:
    """What the run, or the model without one, is tagged with by now."""
    uri, run_id = record.tracking_uri, record.run_id
    if record.is_model:
        return tracking.model_tags(uri, run_id)
    if record.server_tags is None or record.is_ended:
        read_run(record)
    return record.server_tags or {}


def read_run(record: RunRecordState) -> Run | None:
    """The run as the server has it, asked once; None where it is gone."""
    if record.read is None:
        record.note_read(tracking.read_run(record.tracking_uri, record.run_id))
    return record.read


def _bring_tags_to(record: RunRecordState, mine: dict[str, str], found: Mapping[str, str]) -> None:
    late = {key: value for key, value in found.items() if mine.get(key) != value}
    description = _new_description(record)
    if late or description:
        set_tags(record, mine, late, description)
    if gone := [key for key in mine if key not in found]:
        _remove_tags(record, mine, gone)


def _remove_tags(record: RunRecordState, mine: dict[str, str], keys: Iterable[str]) -> None:
    there = tags_of(record)
    for key in keys:
        if there.get(key) == mine[key]:
            if not record.is_model:
                tracking.delete_run_tag(record.tracking_uri, record.run_id, key)
            for model_id in record.models:
                tracking.delete_model_tag(record.tracking_uri, model_id, key)
            there.pop(key)
        del mine[key]


def _later_tags(record: RunRecordState, mine: Mapping[str, str]) -> dict[str, str]:
    """So that a run is found by the data of its second part as well."""
    there = record.server_tags or {}
    others = {key: there[key] for key in there if key not in mine}
    data = record.capture.data
    return (
        tag.later_tags(data)
        | tag.more_hash_tags(others, tag.hashes_in(record.capture.tags))
        | tag.add_stage(others, data.stage)
    )
