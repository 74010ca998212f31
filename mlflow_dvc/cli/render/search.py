"""Runs that saw some data (``search``)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.report.labels import short_hash

if TYPE_CHECKING:
    from rich.console import Console

    from mlflow_dvc.recall.search import Match

_WIDE_COLUMNS = 125  # columns of a terminal; a narrower one leaves out what `show` tells
_IN_SHOW = frozenset({"experiment", "commit"})


def search_json(what: str, matches: Sequence[Match]) -> dict[str, Any]:
    return {
        "schema": terminal.JSON_SCHEMA,
        "what": what,
        "runs": [asdict(match) for match in matches],
    }


def print_matches(what: str, matches: Sequence[Match], console: Console | None = None) -> None:
    if not matches:
        terminal.say(f"no run saw {what}")
        if os.path.exists(what):
            terminal.say("`mlflow-dvc doctor` tells whether DVC sees it")
        return
    console = console or terminal.console_of()
    rows = [_row(match, whole=console.width == terminal.WIDE) for match in matches]
    shown = [name for name in rows[0] if console.width >= _WIDE_COLUMNS or name not in _IN_SHOW]
    table = terminal.grid(*shown)
    for row in rows:
        table.add_row(*(terminal.plain(row[name]) for name in shown))
    console.print(table)


def _row(match: Match, *, whole: bool) -> dict[str, str]:
    """A line of the table; ``whole`` where a program may read it."""
    saw = [f"{entry.path or '?'} {short_hash(entry.hash)}" for entry in match.data]
    return {
        "run": match.run_id if whole else short_hash(match.run_id),
        "name": match.run_name,
        "experiment": match.experiment,
        "started": match.started if whole else match.started[:16].replace("T", " "),
        "commit": short_hash(match.git_sha),
        "stage": match.stage or "-",
        "data version": match.data_version or "-",
        "saw": "\n".join(saw),
    }
