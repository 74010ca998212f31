"""Runs that were compared with DVC's lock (``sync``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.render.checks import shown_id
from mlflow_dvc.cli.table import Table
from mlflow_dvc.report.labels import short_hash

if TYPE_CHECKING:
    from mlflow_dvc.recall.sync import SyncResult


def sync_json(results: Sequence[SyncResult]) -> dict[str, Any]:
    return {"schema": terminal.JSON_SCHEMA, "runs": [asdict(result) for result in results]}


def print_results(results: Sequence[SyncResult], server: str) -> None:
    if not results:
        terminal.say(f"no run of a stage of this project was found in {server}")
        return
    console = terminal.console_of()
    table = Table("run", "name", "stage", "record", "", prose=4, drop=(1,))
    for result in results:
        why = [result.reason] if result.reason else []
        why += [
            f"{one.path}: {short_hash(one.recorded)} was recorded,"
            f" DVC wrote {short_hash(one.locked)}"
            for one in result.differences
        ]
        row = (shown_id(result.run_id, console), result.run_name, result.stage, result.verdict)
        table.add_row(*map(terminal.plain, row), "\n".join(map(terminal.plain, why)))
    table.print_to(console)
