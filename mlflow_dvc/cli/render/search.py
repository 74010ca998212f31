"""Runs that saw some data (``search``)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.table import Table
from mlflow_dvc.report.labels import short_hash

if TYPE_CHECKING:
    from rich.console import Console

    from mlflow_dvc.recall.search import Match

_FEW_DIGITS = re.compile(r"[0-9a-f]{1,3}")
_HASH = re.compile(r"[0-9a-f]{4,}(\.dir)?")
_COLUMNS = (
    "run", "name", "experiment", "started", "commit", "stage", "data version", "how", "data",
)  # fmt: skip
# What a narrow terminal leaves out: `show` tells it.
_IN_SHOW = ("experiment", "commit", "data version", "stage", "name", "started", "how")


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
    elif _FEW_DIGITS.fullmatch(what):
        terminal.say("the beginning of a hash has 4 digits at least")
    elif not _HASH.fullmatch(what):
        terminal.say("nor is there such a file here; `mlflow-dvc status` lists what DVC tracks")


def print_matches(matches: Sequence[Match], console: Console | None = None) -> None:
    console = console or terminal.console_of()
    rows = [row for match in matches for row in _rows(match, whole=console.width == terminal.WIDE)]
    table = Table(*_COLUMNS, drop=[_COLUMNS.index(name) for name in _IN_SHOW])
    for row in rows:
        table.add_row(*(terminal.plain(row.get(name, "")) for name in _COLUMNS))
    table.print_to(console)


def _rows(match: Match, *, whole: bool) -> Iterator[dict[str, str]]:
    """Lines of the table: the run with what it saw first, then what else it saw.

    ``whole`` where a program may read it.
    """
    lines = [
        {"how": entry.relation or "?", "data": f"{entry.path or '?'} {short_hash(entry.hash)}"}
        for entry in match.data
    ]
    yield _run(match, whole=whole) | lines[0]
    yield from lines[1:]


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
