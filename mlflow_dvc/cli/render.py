"""The only printer: data on stdout, messages on stderr, colour only on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc import tags as tag
from mlflow_dvc.report.words import short, size_in_words
from mlflow_dvc.snapshot import DataEntry, GitState, Snapshot

if TYPE_CHECKING:
    from rich.console import Console

    from mlflow_dvc.capture.project import Project
    from mlflow_dvc.recall.search import Match
    from mlflow_dvc.recall.show import RunRecord
    from mlflow_dvc.recall.sync import Synced

SCHEMA = 1
_STATUS_FIELDS = (
    "path", "algorithm", "hash", "size", "nfiles", "cached", "stage", "source", "state",
)  # fmt: skip
_GIT_FIELDS = ("sha", "branch", "describe", "dirty", "remote_url")
_ROOMY = 125  # columns of a terminal; a narrower one leaves out what `show` tells
_IN_SHOW = frozenset({"experiment", "commit"})
_WIDE = 10_000  # a pipe has no width: never cut or fold there


# --- JSON --------------------------------------------------------------------------------------


def status_json(project: Project, snapshot: Snapshot) -> dict[str, Any]:
    git = snapshot.git
    return {
        "schema": SCHEMA,
        "root": project.dvc_root,
        "git": {name: getattr(git, name) for name in _GIT_FIELDS} if git else None,
        "stage": snapshot.stage or snapshot.script_stage,
        "experiment": snapshot.experiment,
        "data_version": snapshot.data_version,
        "data": [
            {name: getattr(entry, name) for name in _STATUS_FIELDS} for entry in snapshot.data
        ],
        "tags": tag.to_tags(snapshot),
        "warnings": list(snapshot.warnings),
    }


def search_json(what: str, matches: Sequence[Match]) -> dict[str, Any]:
    return {"schema": SCHEMA, "what": what, "runs": [asdict(match) for match in matches]}


def show_json(record: RunRecord) -> dict[str, Any]:
    raw = {**vars(record), "snapshot": record.snapshot.to_dict() if record.snapshot else None}
    return {"schema": SCHEMA, **raw, "artifacts": list(record.artifacts)}


def sync_json(results: Sequence[Synced]) -> dict[str, Any]:
    return {"schema": SCHEMA, "runs": [asdict(result) for result in results]}


# --- people ------------------------------------------------------------------------------------


def status(project: Project, snapshot: Snapshot) -> None:
    console = _console()
    _facts(console, [*_code(snapshot.git, project), *_data(snapshot)])
    if snapshot.data:
        _table(console, snapshot.data)
    warn(snapshot.warnings)


def search(what: str, matches: Sequence[Match], console: Console | None = None) -> None:
    if not matches:
        _say(f"no run saw {what}")
        return
    console = console or _console()
    rows = [_row(match, whole=console.width == _WIDE) for match in matches]
    shown = [name for name in rows[0] if console.width >= _ROOMY or name not in _IN_SHOW]
    table = _grid(*shown)
    for row in rows:
        table.add_row(*(plain(row[name]) for name in shown))
    console.print(table)


def _row(match: Match, *, whole: bool) -> dict[str, str]:
    """A line of the table; ``whole`` where a program may read it."""
    saw = [f"{entry.path or '?'} {short(entry.hash)}" for entry in match.data]
    return {
        "run": match.run_id if whole else short(match.run_id),
        "name": match.run_name,
        "experiment": match.experiment,
        "started": match.started if whole else match.started[:16].replace("T", " "),
        "commit": short(match.git_sha),
        "stage": match.stage or "-",
        "data version": match.data_version or "-",
        "saw": "\n".join(saw),
    }


def show(record: RunRecord) -> None:
    console = _console()
    snapshot = record.snapshot
    if not snapshot:
        _say(f"run {record.run_id} carries no record of ours")
        return
    facts = [
        ("run", f"{record.run_id}  {record.run_name}"),
        ("in", f"{record.experiment}, {record.started}, {record.status.lower()}"),
        *_code(snapshot.git),
        *_data(snapshot),
        ("attached", ", ".join(record.artifacts) or "nothing"),
    ]
    _facts(console, facts)
    if snapshot.data:
        _table(console, snapshot.data)
    warn(snapshot.warnings)


def sync(results: Sequence[Synced]) -> None:
    if not results:
        _say("no run of a stage of this project was found")
        return
    console = _console()
    table = _grid("run", "name", "stage", "record", "")
    for result in results:
        why = [result.reason] if result.reason else []
        why += [
            f"{one.path}: {short(one.recorded)} was recorded, DVC wrote {short(one.locked)}"
            for one in result.differences
        ]
        run_id = result.run_id if console.width == _WIDE else short(result.run_id)
        row = (run_id, result.run_name, result.stage, result.verdict, "\n".join(why))
        table.add_row(*map(plain, row))
    console.print(table)


@contextmanager
def waiting(doing: str) -> Iterator[None]:
    """A spinner on stderr, on a terminal only."""
    if not sys.stderr.isatty():
        yield
        return
    with _console(stderr=True).status(f"{doing} ..."):
        yield


class Narrator:
    """Tells the demo: a line per step with its time, then the result."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _console()

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        started = time.perf_counter()
        with waiting(doing):
            yield
        self._console.print(f"[dim]{time.perf_counter() - started:5.1f} s[/dim]  {plain(doing)}")

    def say(self, text: str = "") -> None:
        self._console.print(plain(text))

    def command(self, command: str) -> None:
        self._console.print(f"[bold]$ {plain(command)}[/bold]")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        table = _grid(*columns)
        for row in rows:
            table.add_row(*map(plain, row))
        self._console.print(table)

    def runs(self, what: str, matches: Sequence[Match]) -> None:
        search(what, matches, self._console)


def plain(text: str) -> str:
    """``text`` from elsewhere, without markup and without control characters of a terminal."""
    from rich.markup import escape

    shown = "".join(
        char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text
    )
    return escape(shown)


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=False)
    return (
        console
        if console.is_terminal
        else Console(stderr=stderr, highlight=False, emoji=False, width=_WIDE)
    )


def _facts(console: Console, facts: Iterable[tuple[str, str]]) -> None:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, plain(value))
    console.print(table)


def _code(git: GitState | None, project: Project | None = None) -> Iterator[tuple[str, str]]:
    if git is None:
        yield "code", "no git repository"
        return
    words = [git.branch or "detached HEAD", git.sha or "no commit yet"]
    words += [f"({git.describe})"] if git.describe else []
    words += ["with uncommitted changes"] if git.dirty else []
    yield "code", "  ".join(words)
    if git.source not in ("script", "working directory"):
        yield "", f"as {git.source} says"
    if git.remote_url:
        yield "", git.remote_url
    if project and project.script and project.code_source != "script":
        yield "", f"of the working directory: {project.script} lies in no repository"


def _data(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    if snapshot.root is None:
        yield "data", "no DVC project"
        return
    count = len(snapshot.data)
    version = snapshot.data_version or "unknown"
    status = f", {snapshot.data_status}" if snapshot.data_status else ""
    status += ", as frozen before" if snapshot.frozen else ""
    status += f", record {snapshot.seal}" if snapshot.seal not in (None, "none") else ""
    yield "data", f"version {version}  ({count} output{'' if count == 1 else 's'}{status})"
    if stage := snapshot.stage or snapshot.script_stage:
        yield "stage", stage + ("" if snapshot.stage else "  (the script is its dependency)")
    if snapshot.experiment:
        yield "experiment", snapshot.experiment


def _table(console: Console, entries: Iterable[DataEntry]) -> None:
    table = _grid("path", "hash", "size", "files", "from", "")
    table.columns[2].justify = table.columns[3].justify = "right"
    for entry in entries:
        table.add_row(
            plain(entry.path),
            short(entry.hash),
            size_in_words(entry.size),
            "" if entry.nfiles is None else str(entry.nfiles),
            plain(entry.source or entry.stage or ""),
            plain(_remark(entry)),
        )
    console.print()
    console.print(table)


def _remark(entry: DataEntry) -> str:
    if entry.state in ("modified", "missing"):
        return entry.state
    if entry.certainty == "stale":
        return "no tag: of an earlier run"
    if entry.hash is None:
        return "no tag: never locked"
    return "" if entry.cached else "no tag: not cached"


def _grid(*columns: str) -> Any:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        _say(f"warning: {warning}")


def _say(message: str) -> None:
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in message)
    print(shown, file=sys.stderr)
