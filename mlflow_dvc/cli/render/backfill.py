"""Runs that got a record from their commits (``backfill``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.render.checks import shown_id
from mlflow_dvc.cli.table import Table
from mlflow_dvc.report.labels import short_hash

if TYPE_CHECKING:
    from mlflow_dvc.recall.backfill import BackfillResult


def backfill_json(results: Sequence[BackfillResult]) -> dict[str, Any]:
    return {"schema": terminal.JSON_SCHEMA, "runs": [asdict(result) for result in results]}


def print_results(results: Sequence[BackfillResult]) -> None:
    """Those that had a record before are only counted."""
    told = [result for result in results if result.verdict != "recorded"]
    if not told:
        return
    console = terminal.console_of()
    table = Table(
        "run", "name", "commit", "stage", "data", "record", "", right=(4,), prose=6, drop=(3, 1)
    )
    for result in terminal.first_rows(console, told):
        data = str(result.data) if result.verdict == "reconstructed" else "-"
        row = (
            shown_id(result.run_id, console), result.run_name, short_hash(result.commit),
            result.stage or "-", data, result.verdict, result.reason,
        )  # fmt: skip
        table.add_row(*map(terminal.plain, row))
    table.print_to(console)


def summary(results: Sequence[BackfillResult], *, dry_run: bool) -> str:
    """How many runs there are of each kind, in one line."""
    if not results:
        return "no run was found"
    count = Counter(result.verdict for result in results)
    verb = "would get" if dry_run else "got"
    return (
        f"{count['reconstructed']} of {len(results)} runs {verb} a reconstructed record,"
        f" {count['recorded']} had one, {count['left']} were left"
    )
