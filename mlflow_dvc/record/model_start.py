"""What a logged model gets when it is created, in a run or without one (MLflow 3)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from mlflow_dvc.record import observing, run_tags, stage_seal, write_record
from mlflow_dvc.record.lifecycle import registry, worker
from mlflow_dvc.record.run_registry import RunRecordState
from mlflow_dvc.record.run_start import PendingRun, without_record


def bind_run_tags(
    host: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> inspect.BoundArguments | None:
    """The call with the tags of the model's run in place of those of this moment.

    None where the model has no run.
    """
    call = inspect.signature(host).bind(client, *args, **kwargs)
    run_id = call.arguments.get("source_run_id")
    if not run_id:
        return None
    theirs = without_record(call.arguments.get("tags") or {})
    record = registry.get(run_id)
    call.arguments["tags"] = {**(record.tags if record else {}), **theirs}
    return call


def on_logged(client: Any, model: Any, run_id: str) -> None:
    """What becomes known of the run later goes to the model as well."""
    model_id, uri = model.model_id, client.tracking_uri
    record, there = registry.get(run_id), dict(model.tags or {})
    if record is not None:
        record.models.append(model_id)
    worker.submit(
        run_id,
        f"give model {model_id} the record of run {run_id}",
        lambda: run_tags.tag_model(uri, run_id, model_id, there, record),
    )


def on_created_alone(client: Any, model: Any, start: PendingRun) -> None:
    """A model without a run has a record of its own, in tags: MLflow gives it nothing else."""
    model_id = model.model_id
    record = RunRecordState(
        model_id, client.tracking_uri, start.capture, dict(start.tags), start.looked,
        model.experiment_id, models=[model_id], is_model=True,
    )  # fmt: skip
    registry.add(record)
    stage_seal.watch(record)
    observing.note_start(record)
    worker.submit(
        model_id,
        f"complete the record of model {model_id}",
        lambda: write_record.write_initial(record, None, registry, artifacts=False),
    )
