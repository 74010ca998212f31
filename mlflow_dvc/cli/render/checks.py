"""What was checked of a run, one line each: a part, its verdict, the reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.table import Table
from mlflow_dvc.report.labels import short_hash

if TYPE_CHECKING:
    from rich.console import Console

    from mlflow_dvc.recall.verdict import Check


_STYLE = {"PASS": "green", "FAIL": "red", "TAMPERED": "bold red", "UNVERIFIED": "yellow"}


def print_checks(console: Console, items: Sequence[Check]) -> None:
    if not items:
        return
    table = Table("", "", "", "", prose=3)
    if len(items) > terminal.MAX_ROWS:  # those first that somebody has to look at
        items = sorted(items, key=lambda item: item.verdict == "PASS")
    for item in terminal.first_rows(console, items):
        name = item.name
        if item.part == "commit" and console.width != terminal.WIDE:
            name = short_hash(name)
        table.add_row(
            f"  {styled_verdict(item.verdict)}",
            item.part,
            terminal.plain(name),
            terminal.plain(item.reason),
        )
    table.print_to(console)


def styled_verdict(verdict: str) -> str:
    return f"[{_STYLE[verdict]}]{verdict:10}[/]"


def shown_id(run_id: str, console: Console) -> str:
    return run_id if console.width == terminal.WIDE else short_hash(run_id)
