"""How anything is printed: data on stdout, messages on stderr, colour only on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.visible_text import escape_hidden

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")
JSON_SCHEMA = 1  # of what ``--json`` prints
MAX_ROWS = 5_000  # of one table: a terminal needs three seconds for these
WIDE = 10_000  # a pipe has no width: never cut or fold there


def plain(text: str) -> str:
    """``text`` from elsewhere on one line: no markup, and what does not print is escaped."""
    return block(escape_hidden(text))


def block(text: str) -> str:
    """The same of several lines, each of them our own."""
    from rich.markup import escape

    return escape(escape_hidden(text, keep="\n"))


def console_of(*, stderr: bool = False) -> Console:
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=False)
    if found.is_terminal:
        return found
    return _pipe(stderr=stderr)


def _pipe(*, stderr: bool) -> Console:
    """Where nobody looks at columns: nothing is cut, folded or padded at the end of a line."""
    from rich.console import Console

    class Pipe(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            with self.capture() as captured:
                super().print(*objects, **options)
            lines = captured.get().split("\n")
            self.file.write("\n".join(line.rstrip() for line in lines))

    return Pipe(stderr=stderr, highlight=False, emoji=False, width=WIDE)


def facts(console: Console, facts: Iterable[tuple[str, str | Sequence[str]]]) -> None:
    """A name and a value each; a value of several lines is a list."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts:
        lines = [value] if isinstance(value, str) else value
        table.add_row(name, "\n".join(map(plain, lines)))
    console.print(table)


def first_rows(console: Console, rows: Sequence[T]) -> Sequence[T]:
    """As many as a table shows; how many there are besides is said before it."""
    if (more := len(rows) - MAX_ROWS) > 0:
        console.print(f"the first {MAX_ROWS} of {len(rows)} rows; --json has the other {more}")
    return rows[:MAX_ROWS]


def grid(*columns: str) -> Any:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


@contextmanager
def waiting(doing: str) -> Iterator[None]:
    """A spinner on stderr, on a terminal only."""
    if not sys.stderr.isatty():
        yield
        return
    with console_of(stderr=True).status(f"{doing} ..."):
        yield


@contextmanager
def counting(doing: str) -> Iterator[tuple[Console, Callable[[int, int | None], None]]]:
    """A console for data, and ``count(done, total)``, which moves a bar on a terminal.

    The total may be None. The bar is on the terminal that the data is printed to, so that neither
    runs into the other; where that is a pipe, on stderr.
    """
    data = console_of()
    beside = data if data.is_terminal else console_of(stderr=True)
    if not beside.is_terminal:
        yield data, lambda done, total: None
        return
    from rich import progress

    bar = progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description} ..."),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=beside,
        transient=True,
        redirect_stdout=False,
    )
    with bar:
        task = bar.add_task(doing, total=None)
        yield data, lambda done, total: bar.update(task, completed=done, total=total)


def warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        say(f"warning: {warning}")


def say(message: str) -> None:
    print(escape_hidden(message), file=sys.stderr)


def confirm(question: str, refusal: str) -> bool:
    """Whether a person says yes; where nobody is there, MlflowDvcError says ``refusal``."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        print(file=sys.stderr)
        raise MlflowDvcError(refusal, "Say --yes to do it without being asked")
    return line.strip().lower() in ("y", "yes")


class DemoOutput:
    """Tells the demo: a line per step with its time, then the result."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or console_of()

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        started = time.perf_counter()
        with waiting(doing):
            yield
        self.console.print(f"[dim]{time.perf_counter() - started:5.1f} s[/dim]  {plain(doing)}")

    def say(self, text: str = "") -> None:
        self.console.print(block(text))

    def command(self, command: str) -> None:
        self.console.print(f"[bold]$ {plain(command)}[/bold]")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        table = grid(*columns)
        for row in rows:
            table.add_row(*map(plain, row))
        self.console.print(table)
