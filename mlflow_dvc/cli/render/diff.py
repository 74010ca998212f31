"""Two runs side by side: what differs in code, parameters, metrics and data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.table import Table
from mlflow_dvc.report.labels import printable, short_hash, size_in_words
from mlflow_dvc.snapshot import DataEntry, GitState

if TYPE_CHECKING:
    from rich.console import Console

    from mlflow_dvc.dvc_backend.storage.directory_diff import FileChange, FileChanges
    from mlflow_dvc.git.history import CommitRange
    from mlflow_dvc.recall.diff import ChangedValue, ComparedRun, Diff
    from mlflow_dvc.recall.diff.code import CodeDiff
    from mlflow_dvc.recall.diff.data import DataChange, DataDiff

_MAX_COMMITS = 10
_MAX_FILES = 20
_MARKS = {"added": "A", "removed": "D", "deleted": "D", "modified": "M", "renamed": "R"}
_COLOURS = {"A": "green", "D": "red", "M": "yellow", "R": "cyan"}
# As git colours a patch; what a header begins with comes before what a line does.
_STYLES = (
    ("diff --git ", "bold"), ("--- ", "bold"), ("+++ ", "bold"), ("index ", "bold"),
    ("@@", "cyan"), ("+", "green"), ("-", "red"),
)  # fmt: skip


def diff_json(found: Diff) -> dict[str, Any]:
    raw = asdict(found)
    for metric in raw["metrics"]:  # JSON has no NaN
        for name in ("old", "new"):
            metric[name] = _number(metric[name])
    return {"schema": terminal.JSON_SCHEMA, "equal": found.equal, **raw}


def print_diff(found: Diff, console: Console | None = None) -> None:
    console = console or terminal.console_of()
    whole = console.width == terminal.WIDE  # a program may read it
    terminal.facts(console, [("old", _side(found.old, whole)), ("new", _side(found.new, whole))])
    _values(console, "record", found.record)
    _values(console, "parameters", found.params)
    _metrics(console, found)
    _data(console, found.data)
    _code(console, found.code, whole)
    verdict = {True: "nothing differs", None: "nothing that is known differs"}
    if found.equal is not False:
        terminal.say(verdict[found.equal])
    terminal.warn([*found.notes, *found.data.notes, *found.code.notes])


def _side(side: ComparedRun, whole: bool) -> str:
    run_id = side.run_id if whole else short_hash(side.run_id)
    started = side.started if whole else side.started[:16].replace("T", " ")
    where = ", ".join([side.experiment, started, side.status.lower()])
    return f"{run_id}  {side.run_name}  {where}"


def _values(console: Console, title: str, values: Iterable[ChangedValue]) -> None:
    rows = [(one.key, _told(one.old), _told(one.new)) for one in values]
    _table(console, title, ("old", "new"), rows)


def _metrics(console: Console, found: Diff) -> None:
    rows = [
        (one.key, _figure(one.old), _figure(one.new), _figure(one.delta, signed=True))
        for one in found.metrics
    ]
    _table(console, "metrics", ("old", "new", "difference"), rows)


def _table(
    console: Console, title: str, columns: Sequence[str], rows: Iterable[Iterable[str]]
) -> None:
    rows = list(rows)
    if not rows:
        return
    table = Table(f"[bold]{title}[/bold]", *columns, drop=range(3, len(columns) + 1))
    for row in terminal.first_rows(console, rows):
        table.add_row(*map(terminal.plain, row))
    console.print()
    table.print_to(console)


# --- data ----------------------------------------------------------------------------------------


def _data(console: Console, data: DataDiff) -> None:
    if not data.changes:
        if data.unchanged:
            said = "the same" if data.differs is False else "not known to differ"
            console.print(f"\n[bold]data[/bold]  {said}: {_counted(data.unchanged, 'path')}")
        return
    rows = [
        (f"{_mark(one.status)} {one.path}", *_columns(one.old, one.new)) for one in data.changes
    ]
    _table(console, "data", ("old", "new", "size"), rows)
    if data.unchanged:
        console.print(f"  [dim]and {data.unchanged} unchanged[/dim]")
    for one in data.changes[: terminal.MAX_ROWS]:
        if one.files or one.reason:
            _folder(console, one)


def _columns(old: DataEntry | None, new: DataEntry | None) -> Iterator[str]:
    yield short_hash(old.hash) if old else "-"
    yield short_hash(new.hash) if new else "-"
    sizes = [_amount(entry) for entry in (old, new) if entry]
    yield " -> ".join(dict.fromkeys(size for size in sizes if size))


def _amount(entry: DataEntry) -> str:
    size = size_in_words(entry.size)
    return size if entry.nfiles is None else f"{size} in {entry.nfiles}".strip()


def _folder(console: Console, change: DataChange) -> None:
    console.print()
    name = terminal.plain(change.path)
    if change.files is None:
        console.print(f"{name}: {terminal.plain(change.reason)}", soft_wrap=True)
        return
    console.print(f"{name}: {_summary(change.files)}", soft_wrap=True)
    table = Table("", "", "", "", drop=(3,))
    for file in islice(change.files.listed, _MAX_FILES):
        mark = _mark(file.status)
        path = f"{file.old_path} -> {file.path}" if file.old_path else file.path
        hashes = " -> ".join(
            short_hash(value) for value in dict.fromkeys((file.old, file.new)) if value
        )
        marked = f"[{_COLOURS[mark]}]{mark}[/]"
        table.add_row(f"  {marked}", *map(terminal.plain, (path, hashes, _sizes(file))))
    table.print_to(console)
    if (more := change.files.count - _MAX_FILES) > 0:
        console.print(f"  [dim]and {more} more (--json lists the first 1,000)[/dim]")


def _summary(files: FileChanges) -> str:
    names = ("added", "deleted", "modified", "renamed")
    counts = [f"{count} {name}" for name in names if (count := getattr(files, name))]
    return ", ".join([*counts, f"{files.unchanged} unchanged"])


def _sizes(file: FileChange) -> str:
    sizes = dict.fromkeys(size_in_words(size) for size in (file.old_size, file.new_size))
    return " -> ".join(size for size in sizes if size)


def _mark(status: str) -> str:
    return _MARKS.get(status, "?")


# --- code ----------------------------------------------------------------------------------------


def _code(console: Console, code: CodeDiff, whole: bool) -> None:
    console.print()
    differs = {True: "differs", False: "the same", None: "not known whether it differs"}
    console.print(f"[bold]code[/bold]  {differs[code.differs]}")
    states = [("old", _commit(code.old, whole)), ("new", _commit(code.new, whole))]
    facts = [*states, *_between(code)]
    terminal.facts(console, [(f"  {name}", value) for name, value in facts])
    if code.text_of == "patches":
        console.print("\n[dim]the uncommitted changes, one patch compared with the other:[/dim]")
    elif code.text:
        console.print()
    _patch(console, code.text)


def _patch(console: Console, text: str) -> None:
    """As it is, tabs and long lines included: it may go into a file."""
    from rich.segment import Segment, Segments

    segments = []
    for line in text.split("\n")[:-1]:
        style = next((style for start, style in _STYLES if line.startswith(start)), "none")
        segments.append(Segment(_as_git(line), console.get_style(style)))
        segments.append(Segment.line())
    console.print(Segments(segments), crop=False, end="")


def _commit(git: GitState | None, whole: bool) -> str:
    if git is None or not git.sha:
        return "no commit"
    words = [git.sha if whole else short_hash(git.sha), git.branch or "detached HEAD"]
    words += [f"({git.describe})"] if git.describe else []
    words += ["with uncommitted changes"] if git.dirty else []
    return "  ".join(words)


def _between(code: CodeDiff) -> Iterator[tuple[str, list[str]]]:
    for name, line in (("only in new", code.gained), ("only in old", code.lost)):
        if line and line.count:
            yield name, [_counted(line.count, "commit"), *_subjects(line)]


def _subjects(line: CommitRange) -> list[str]:
    shown = [f"{short_hash(one.sha)} {one.subject}" for one in line.commits[:_MAX_COMMITS]]
    more = line.count - len(shown)
    return [*shown, f"and {more} more"] if more > 0 else shown


def _as_git(line: str) -> str:
    """A line of code as it is, but for what would steer a terminal."""
    line = f"{line[:-1]}^M" if line.endswith("\r") else line
    return printable(line, keep="\t")


# --- words ---------------------------------------------------------------------------------------


def _told(value: str | None) -> str:
    return "-" if value is None else value


def _figure(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+.6g}" if signed else f"{value:.6g}"


def _number(value: float | None) -> float | str | None:
    if value is None or json.dumps(value)[-1].isdigit():
        return value
    return json.dumps(value)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
