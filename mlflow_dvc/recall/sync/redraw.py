"""Draw the pages of a run anew when its record has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlflow_dvc import tracking
from mlflow_dvc.report.pages import SHOWN_FILES, record_pages
from mlflow_dvc.snapshot import Snapshot

if TYPE_CHECKING:
    from mlflow.entities import Run


def redraw_pages(
    run: Run, snapshot: Snapshot, files: Mapping[str, bytes], tracking_uri: str | None
) -> dict[str, bytes]:
    """The pages that say ``snapshot``; none for a run that has no record attached.

    ``files`` are those that are about to be attached; the others are there already.
    """
    if not tracking.list_attached(run, tracking_uri):
        return {}
    there = {name: tracking.read_attached(run, name, tracking_uri) for name in SHOWN_FILES}
    known = {name: content for name, content in there.items() if content is not None}
    return record_pages(snapshot, {**known, **files}, run.info.experiment_id)
