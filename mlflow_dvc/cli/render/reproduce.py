"""A run that was run again (``reproduce``)."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.render.checks import shown_id
from mlflow_dvc.cli.table import Table
from mlflow_dvc.report.labels import short_hash

if TYPE_CHECKING:
    from mlflow_dvc.recall.reproduce import ReproduceResult
    from mlflow_dvc.recall.reproduce.comparison import MetricPair


def reproduce_json(result: ReproduceResult) -> dict[str, Any]:
    return {"schema": terminal.JSON_SCHEMA, **asdict(result), "equal": result.is_equal}


def print_result(result: ReproduceResult) -> None:
    console = terminal.console_of()
    facts = [
        ("run", shown_id(result.run_id, console)),
        (
            "again",
            f"{shown_id(result.new_run_id, console)}  in {os.path.relpath(result.directory)}",
        ),
    ]
    terminal.facts(console, facts)
    console.print()
    if not result.metrics:
        terminal.say("neither run has metrics")
        return
    table = Table("metric", "then", "now", "", right=(1, 2))
    for metric in result.metrics:
        row = (metric.name, _number(metric.before), _number(metric.after), _difference(metric))
        table.add_row(*map(terminal.plain, row))
    for output in result.outputs:
        remark = "equal" if output.is_equal else "another"
        table.add_row(
            terminal.plain(output.path), short_hash(output.before), short_hash(output.after), remark
        )
    table.print_to(console)


def _number(value: float | None) -> str:
    return "-" if value is None else repr(value)


def _difference(metric: MetricPair) -> str:
    if metric.is_equal:
        return "equal"
    if metric.before is None or metric.after is None:
        return "only one has it"
    return f"{metric.after - metric.before:+g}"
