"""Whether a run meets a policy (``check``)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.render.checks import shown_id, styled_verdict
from mlflow_dvc.cli.table import Table

if TYPE_CHECKING:
    from mlflow_dvc.recall.check import PolicyResult


def check_json(result: PolicyResult) -> dict[str, Any]:
    return {"schema": terminal.JSON_SCHEMA, **asdict(result)}


def print_result(result: PolicyResult) -> None:
    console = terminal.console_of()
    name = f"{shown_id(result.run_id, console)}  {result.run_name}"
    said = terminal.plain(f"{name}  policy: {result.policy}")
    console.print(f"{styled_verdict(result.verdict)}  {said}")
    table = Table("", "", "", prose=2)
    for one in result.rules:
        table.add_row(f"  {styled_verdict(one.verdict)}", one.rule, terminal.plain(one.reason))
        if one.remedy:
            table.add_row("", "", f"[dim]{terminal.plain(one.remedy)}[/dim]")
    table.print_to(console)
    if not result.is_recorded:
        terminal.say("the run carries no record")
