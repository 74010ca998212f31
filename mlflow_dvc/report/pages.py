"""The two pages for people that a record has, of one Snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlflow_dvc.report.record_html import report_html
from mlflow_dvc.report.record_markdown import record_md
from mlflow_dvc.snapshot import Snapshot
from mlflow_dvc.tracking import RunPart

SHOWN_FILES = ("code.patch", "dvc.lock")  # whole, in ``report.html``


def record_pages(
    snapshot: Snapshot,
    files: Mapping[str, bytes],
    experiment_id: str | None,
    later: Sequence[RunPart] = (),
) -> dict[str, bytes]:
    """``record.md`` and ``report.html``. ``files`` are the record's; those to show are taken.

    They say what ``snapshot`` says: whoever changes an attached record draws them anew. ``later``
    are the parts in which the run went on.
    """
    shown = {n: files[n].decode("utf-8", "replace") for n in SHOWN_FILES if n in files}
    return {
        "record.md": record_md(snapshot, experiment_id, later).encode(),
        "report.html": report_html(snapshot, shown).encode(),
    }
