"""A run that was brought back (``restore``)."""

from __future__ import annotations

import os
from dataclasses import asdict
from shlex import quote
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.render.checks import print_checks, shown_id

if TYPE_CHECKING:
    from mlflow_dvc.recall.restore import RestoreResult


def restore_json(result: RestoreResult) -> dict[str, Any]:
    return {"schema": terminal.JSON_SCHEMA, **asdict(result)}


def print_result(result: RestoreResult) -> None:
    console = terminal.console_of()
    facts = [
        ("run", f"{shown_id(result.run_id, console)}  {result.run_name}"),
        ("commit", result.sha),
        ("in", os.path.relpath(result.directory)),
    ]
    terminal.facts(console, facts)
    console.print()
    print_checks(console, result.items)
    where = quote(os.path.relpath(result.directory))
    terminal.say(f"Go on there: cd {where} && dvc status; `dvc repro` runs its stages again")
