"""Runs that saw some data (``search``)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.report.labels import short_hash

if TYPE_CHECKING:
    from rich.console import Console

    from mlflow_dvc.recall.search import Match

_WIDE_COLUMNS = 136  # columns of a terminal; a narrower one leaves out what `show` tells
_IN_SHOW = frozenset({"experiment", "commit"})


def search_json(what: str, matches: Sequence[Match]) -> dict[str, Any]:
    return {
        "schema": terminal.JSON_SCHEMA,
        "what": what,
        "runs": [asdict(match) for match in matches],
    }


def print_none(what: str, *, read: bool, made: bool, **options: Any) -> None:
    """That no run did, and what to do next. ``options`` are those that leave out other runs."""
    verb = " or ".join(word for word, asked in (("read", read), ("made", made)) if asked)
    is_narrowed = any((read, made, options.get("experiment"), options.get("stage")))
    terminal.say(f"no run {verb or 'saw'} {what}")
    if is_narrowed:
        terminal.say("without these options `mlflow-dvc search` names every run that saw it")
    if os.path.exists(what):
        terminal.say("`mlflow-dvc doctor` tells whether DVC sees it")


def print_matches(matches: Sequence[Match], console: Console | None = None) -> None:
    console = console or terminal.console_of()
    rows = [row for match in matches for row in _rows(match, whole=console.width == terminal.WIDE)]
    shown = [name for name in rows[0] if console.width >= _WIDE_COLUMNS or name not in _IN_SHOW]
    table = terminal.grid(*shown)
    for row in rows:
        table.add_row(*(terminal.plain(row.get(name, "")) for name in shown))
    console.print(table)


def _rows(match: Match, *, whole: bool) -> Iterator[dict[str, str]]:
    """Lines of the table: the run with what it saw first, then what else it saw.

    ``whole`` where a program may read it.
    """
    saw = [
        {"how": entry.relation or "?", "saw": f"{entry.path or '?'} {short_hash(entry.hash)}"}
        for entry in match.data
    ]
    yield _run(match, whole=whole) | saw[0]
    yield from saw[1:]


def _run(match: Match, *, whole: bool) -> dict[str, str]:
    return {
        "run": match.run_id if whole else short_hash(match.run_id),
        "name": match.run_name,
        "experiment": match.experiment,
        "started": match.started if whole else match.started[:16].replace("T", " "),
        "commit": short_hash(match.git_sha),
        "stage": match.stage or "-",
        "data version": match.data_version or "-",
    }
