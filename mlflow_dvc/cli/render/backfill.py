"""Runs that got a record from their commits (``backfill``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.render.checks import shown_id
from mlflow_dvc.cli.table import Table
from mlflow_dvc.report.labels import short_hash

if TYPE_CHECKING:
    from rich.console import Console

    from mlflow_dvc.recall.backfill import BackfillResult

_NAME_WIDTH = 20  # of most names that MLflow makes up


def backfill_json(results: Sequence[BackfillResult]) -> dict[str, Any]:
    return {"schema": terminal.JSON_SCHEMA, "runs": [asdict(result) for result in results]}


class BackfillTable:
    """Rows that are printed as they come. Runs that had a record before are only counted."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._table = Table(
            "run", "name", "commit", "stage", "data", "record", "",
            right=(4,), prose=6, drop=(3, 1), least={1: _NAME_WIDTH},
        )  # fmt: skip

    def print_result(self, result: BackfillResult) -> None:
        if result.verdict == "recorded":
            return
        data = str(result.data) if result.verdict == "reconstructed" else "-"
        row = (
            shown_id(result.run_id, self._console), result.run_name, short_hash(result.commit),
            result.stage or "-", data, result.verdict, result.reason,
        )  # fmt: skip
        self._table.print_row(self._console, *map(terminal.plain, row))


def print_results(results: Iterable[BackfillResult]) -> None:
    table = BackfillTable(terminal.console_of())
    for result in results:
        table.print_result(result)


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
