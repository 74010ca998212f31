"""How anything is printed: data on stdout, messages on stderr, colour only on a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from mlflow_dvc.cli.interruption import Interruption
from mlflow_dvc.cli.progress_bar import ProgressBar
from mlflow_dvc.cli.table import Table
from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.progress import follow_progress
from mlflow_dvc.visible_text import escape_hidden

if TYPE_CHECKING:
    from rich.console import Console
    from rich.tree import Tree

T = TypeVar("T")
JSON_SCHEMA = 1  # of what ``--json`` prints
MAX_ROWS = 5_000  # of one table: a terminal needs three seconds for these
WIDE = 10_000  # a pipe has no width
# What was asked for on the command line.
is_wide = is_quiet = is_verbose = False


def forget_options() -> None:
    """Several commands may be called in one process."""
    global is_wide, is_quiet, is_verbose
    is_wide = is_quiet = is_verbose = False


def plain(text: str) -> str:
    """``text`` from elsewhere on one line: no markup, and what does not print is escaped."""
    return block(escape_hidden(text))


def block(text: str) -> str:
    """The same of several lines, each of them our own."""
    from rich.markup import escape

    return escape(escape_hidden(text, keep="\n"))


def console_of(*, stderr: bool = False) -> Console:
    """One that never cuts or folds a line, whatever the width of the terminal."""
    from rich.console import Console

    class Unfolded(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*objects, **{"soft_wrap": True, **options})

    found = Unfolded(stderr=stderr, highlight=False, emoji=False)
    if not found.is_terminal or is_wide:
        found.width = WIDE
    return found


def print_tree(console: Console, tree: Tree) -> None:
    """Lines of any length: rich would fold them."""
    from rich.segment import Segments

    options = console.options.update(width=WIDE, no_wrap=True)
    console.print(Segments(console.render(tree, options)), end="")


def facts(console: Console, facts: Iterable[tuple[str, str | Sequence[str]]]) -> None:
    """A name and a value each; a value of several lines is a list."""
    table = Table("", "", prose=1)
    for name, value in facts:
        lines = [value] if isinstance(value, str) else value
        table.add_row(f"[dim]{name}[/dim]", "\n".join(map(plain, lines)))
    table.print_to(console)


def first_rows(console: Console, rows: Sequence[T]) -> Sequence[T]:
    """As many as a table shows; how many there are besides is said before it."""
    if (more := len(rows) - MAX_ROWS) > 0:
        console.print(f"the first {MAX_ROWS} of {len(rows)} rows; --json has the other {more}")
    return rows[:MAX_ROWS]


@contextmanager
def waiting(doing: str, kept: str = "", *, data: Console | None = None) -> Iterator[None]:
    """On a terminal lines on stderr tell how far the work in here has come.

    ``data`` is the console that something is printed to meanwhile. Whoever interrupts it is told
    what was done, and ``kept``: what becomes of that.
    """
    with ProgressBar(doing, _console_for_bar(data)) as bar, follow_progress(bar.show):
        try:
            yield
        except KeyboardInterrupt as error:
            raise Interruption(str(error) or bar.tell_interruption(kept)) from None


def _console_for_bar(data: Console | None) -> Console | None:
    """None where no person looks at stderr, or asked for quiet.

    If stdout is the same terminal, it is the console that ``data`` is printed to, so that neither
    runs into the other.
    """
    if is_quiet or not sys.stderr.isatty():
        return None
    beside = data if data and _is_one_terminal() else console_of(stderr=True)
    return beside if beside.is_interactive else None


def _is_one_terminal() -> bool:
    try:
        return os.ttyname(sys.stdout.fileno()) == os.ttyname(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # no terminal, or Windows
        return os.name == "nt" and sys.stdout.isatty()


def warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        say(f"warning: {warning}")


def say(message: str) -> None:
    if not is_quiet:
        print(escape_hidden(message), file=sys.stderr)


def confirm(question: str, refusal: str) -> bool:
    """Whether a person says yes; where nobody is there, MlflowDvcError says ``refusal``."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    try:
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise Interruption(f"interrupted: {refusal}") from None
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
        table = Table(*columns)
        for row in rows:
            table.add_row(*map(plain, row))
        table.print_to(self.console)
