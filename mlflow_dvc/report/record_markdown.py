"""``record.md``: the record as tables, with links to the runs that saw the same data."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from mlflow_dvc.report.labels import code_facts, data_facts, printable, size_in_words
from mlflow_dvc.snapshot import DataEntry, Snapshot
from mlflow_dvc.tags import DEP, OUT, path_key

_MAX_ROWS = 500


def record_md(snapshot: Snapshot, experiment_id: str | None = None) -> str:
    """The page; links lead to the runs of ``experiment_id`` as MLflow's own page has them."""
    return "\n".join(_lines(snapshot, experiment_id)) + "\n"


def _lines(snapshot: Snapshot, experiment_id: str | None) -> Iterator[str]:
    yield "# Code and data of this run"
    yield ""
    yield "| | |"
    yield "|---|---|"
    for name, value in (*code_facts(snapshot.git), *data_facts(snapshot)):
        yield f"| {name} | {_text(value)} |"
    for title, prefix, entries in (
        (_title_of_deps(snapshot), DEP, snapshot.deps),
        ("Data", OUT, tuple(entry for entry in snapshot.data if entry.is_fact)),
    ):
        if entries:
            yield ""
            yield f"## {title}"
            yield ""
            yield "| path | hash | size | files | from | |"
            yield "|---|---|--:|--:|---|---|"
            yield from (_row(entry, prefix, experiment_id) for entry in entries[:_MAX_ROWS])
            if len(entries) > _MAX_ROWS:
                yield ""
                yield f"and {len(entries) - _MAX_ROWS} more, in `snapshot.json`"
    if snapshot.warnings:
        yield ""
        yield "## What could not be told"
        yield ""
        yield from (f"- {_text(warning)}" for warning in snapshot.warnings)


def _title_of_deps(snapshot: Snapshot) -> str:
    return "What the stage read" if snapshot.stage or snapshot.script_stage else "Datasets"


def _row(entry: DataEntry, prefix: str, experiment_id: str | None) -> str:
    cells = [
        _text(entry.path),
        _hash(entry, prefix, experiment_id),
        size_in_words(entry.size),
        "" if entry.nfiles is None else str(entry.nfiles),
        _text(entry.source or entry.stage or ""),
        "" if entry.state in ("clean", "unverified") else f"**{entry.state}**",
    ]
    return f"| {' | '.join(cells)} |"


def _hash(entry: DataEntry, prefix: str, experiment_id: str | None) -> str:
    if entry.hash is None:
        return ""
    shown = f"`{entry.hash}`"
    has_tag = entry.is_observed if prefix == DEP else entry.cached and entry.is_fact
    if experiment_id is None or not has_tag or "'" in entry.hash:
        return shown
    # A quote would end the link in MLflow's viewer: `quote` makes %27 of it.
    filtered = f"tags.`{path_key(prefix, entry.path)}` = '{entry.hash}'"
    page, query = quote(experiment_id, safe=""), quote(filtered, safe="")
    return f"[{shown}](#/experiments/{page}/runs?searchFilter={query})"


def _text(value: str) -> str:
    """As Markdown shows it letter by letter, on one line of a table."""
    return "".join(f"\\{char}" if char in "\\`*_[]<>|#!~$" else char for char in printable(value))
