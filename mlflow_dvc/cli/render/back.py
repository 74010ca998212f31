"""What can be had back of a run: ``verify``, ``restore``, ``reproduce``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli.render import terminal
from mlflow_dvc.report.labels import short_hash

if TYPE_CHECKING:
    from rich.console import Console

    from mlflow_dvc.recall.reproduce import Plan, ReproduceResult
    from mlflow_dvc.recall.reproduce.comparison import MetricPair
    from mlflow_dvc.recall.restore import RestoreResult
    from mlflow_dvc.recall.verdict import Check
    from mlflow_dvc.recall.verify import VerifyResult

_STYLE = {"PASS": "green", "FAIL": "red", "TAMPERED": "bold red", "UNVERIFIED": "yellow"}


# --- JSON --------------------------------------------------------------------------------------


def verify_json(results: Sequence[VerifyResult]) -> dict[str, Any]:
    return {"schema": terminal.SCHEMA, "runs": [asdict(result) for result in results]}


def restore_json(result: RestoreResult) -> dict[str, Any]:
    return {"schema": terminal.SCHEMA, **asdict(result)}


def reproduce_json(result: ReproduceResult) -> dict[str, Any]:
    return {"schema": terminal.SCHEMA, **asdict(result), "equal": result.is_equal}


# --- people ------------------------------------------------------------------------------------


def verify(results: Sequence[VerifyResult]) -> None:
    if not results:
        terminal.say("no run was found")
        return
    console = terminal.console_of()
    for result in results:
        name = f"{_id(result.run_id, console)}  {result.run_name}"
        console.print(f"{_verdict(result.verdict)}  {terminal.plain(name)}")
        is_only_one = len(results) == 1
        _items(console, [i for i in result.items if is_only_one or i.verdict != "PASS"])


def restore(result: RestoreResult) -> None:
    console = terminal.console_of()
    facts = [
        ("run", f"{_id(result.run_id, console)}  {result.run_name}"),
        ("commit", result.sha),
        ("in", os.path.relpath(result.directory)),
    ]
    terminal.facts(console, facts)
    console.print()
    _items(console, result.items)


def plan(plan: Plan) -> None:
    """On stderr: the answer is yet to come."""
    console = terminal.console_of(stderr=True)
    lost = [item for item in plan.restored.items if item.verdict != "PASS"]
    _items(console, lost)
    console.print(terminal.plain(f"In {plan.command.directory}, for the stage {plan.stage}:\n"))
    for line in plan.command.lines:
        console.print(f"  [bold]{terminal.plain(line)}[/bold]")
    console.print()


def reproduce(result: ReproduceResult) -> None:
    console = terminal.console_of()
    facts = [
        ("run", _id(result.run_id, console)),
        ("again", f"{_id(result.new_run_id, console)}  in {os.path.relpath(result.directory)}"),
    ]
    terminal.facts(console, facts)
    console.print()
    if not result.metrics:
        terminal.say("neither run has metrics")
        return
    table = terminal.grid("metric", "then", "now", "")
    table.columns[1].justify = table.columns[2].justify = "right"
    for metric in result.metrics:
        row = (metric.name, _number(metric.before), _number(metric.after), _difference(metric))
        table.add_row(*map(terminal.plain, row))
    for output in result.outputs:
        remark = "equal" if output.is_equal else "another"
        table.add_row(
            terminal.plain(output.path), short_hash(output.before), short_hash(output.after), remark
        )
    console.print(table)


def _items(console: Console, items: Sequence[Check]) -> None:
    if not items:
        return
    table = terminal.grid("", "", "", "")
    table.show_header = False
    for item in items:
        name = item.name
        if item.part == "commit" and console.width != terminal.WIDE:
            name = short_hash(name)
        table.add_row(
            f"  {_verdict(item.verdict)}",
            item.part,
            terminal.plain(name),
            terminal.plain(item.reason),
        )
    console.print(table)


def _verdict(verdict: str) -> str:
    return f"[{_STYLE[verdict]}]{verdict:10}[/]"


def _id(run_id: str, console: Console) -> str:
    return run_id if console.width == terminal.WIDE else short_hash(run_id)


def _number(value: float | None) -> str:
    return "-" if value is None else repr(value)


def _difference(metric: MetricPair) -> str:
    if metric.is_equal:
        return "equal"
    if metric.before is None or metric.after is None:
        return "only one has it"
    return f"{metric.after - metric.before:+g}"
