"""Draw the pages of a run anew when its record has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mlflow_dvc import tracking
from mlflow_dvc.report.pages import SHOWN_FILES, record_pages
from mlflow_dvc.report.record_markdown import record_md
from mlflow_dvc.tracking import RunPart

if TYPE_CHECKING:
    from mlflow.entities import Run


def redraw_pages(
    run: Run,
    part: RunPart,
    parts: Sequence[RunPart],
    files: Mapping[str, bytes],
    tracking_uri: str | None,
) -> dict[str, bytes]:
    """The pages that tell of ``part``; none for a run that has no record attached.

    ``files`` are those that are about to be attached; the others are there already.
    """
    if not tracking.has_attached(run, tracking_uri):
        return {}
    there = {
        name: tracking.read_attached(run, name, tracking_uri, part.folder) for name in SHOWN_FILES
    }
    known = {name: content for name, content in there.items() if content is not None}
    later = parts[1:] if part.is_first else []
    return record_pages(part.snapshot, {**known, **files}, run.info.experiment_id, later)


def redraw_first_page(run: Run, parts: Sequence[RunPart], tracking_uri: str | None) -> None:
    """Let the page of the run's record tell of a later part that has changed."""
    first, *later = parts
    page = record_md(first.snapshot, run.info.experiment_id, later).encode()
    where = tracking.uri(tracking_uri)
    tracking.attach_files(where, run.info.run_id, {"record.md": page}, first.folder)
