"""What ``reproduce`` would run, and what a person has to know before saying yes to it.

All of it fits on a screen, however long the commands are: what was pushed off it nobody reads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.render.checks import print_checks
from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.recall.verdict import Check
from mlflow_dvc.report.labels import short_hash, size_in_words
from mlflow_dvc.visible_text import escape_character

if TYPE_CHECKING:
    from rich.console import Console

    from mlflow_dvc.recall.reproduce import Plan

_WIDTH = 100  # characters of a line, at most
_COMMAND_ROWS = 12  # lines for all commands together
_MAX_COMMANDS = 8  # of more, the first ones and the last
_MAX_CHECKS = 3
_NAME_WIDTH = 14  # of the column with the names of facts
_LOCATION_CHARACTERS = 200  # of a path that the user has to find


def print_plan(plan: Plan) -> None:
    """On stderr: the answer is yet to come."""
    console = terminal.console_of(stderr=True)
    width = min(console.width, _WIDTH)
    room = 2 * (width - _NAME_WIDTH)  # two lines
    facts = [(name, [clip(line, room) for line in lines]) for name, lines in _facts(plan)]
    terminal.facts(console, facts)
    _print_unconfirmed(console, plan.provenance.unconfirmed, width)
    console.print()
    print_commands(console, plan.command.lines, width)
    console.print(f"\nAll of it: {terminal.plain(clip(_pipeline(plan), _LOCATION_CHARACTERS))}\n")


def _facts(plan: Plan) -> Iterator[tuple[str, list[str]]]:
    known = plan.provenance
    yield "run", [f"{plan.run.run_id}  {plan.run.name}"]
    yield (
        "recorded",
        [
            f"by {known.user or 'nobody named'}, {known.started or 'nobody knows when'}, "
            f"in the experiment {known.experiment}"
        ],
    )
    yield "code", list(_code(plan))
    yield "in", [plan.command.directory]
    count, size = len(plan.command.lines), sum(map(len, plan.command.lines))
    yield "stage", [plan.stage]
    yield "runs", [f"{_counted(count, 'command')}, {_counted(size, 'character')}"]


def _code(plan: Plan) -> Iterator[str]:
    known = plan.provenance
    commit = short_hash(plan.restored.sha) if plan.restored.sha else "no commit"
    if known.cloned_from is None:
        yield f"{commit} of this repository"
    else:
        yield f"{commit}, cloned from a repository that is not this one:"
        yield known.cloned_from
    if known.uncommitted:
        name = next(iter(known.uncommitted))
        more = len(known.uncommitted) - 1
        size = size_in_words(sum(known.uncommitted.values()))
        named = f"{name} and {_counted(more, 'file')} more" if more else name
        yield f"with code that is in no commit, so that nobody reviewed it: {size} in {named}"


def _print_unconfirmed(console: Console, items: Sequence[Check], width: int) -> None:
    """The worst first: the user is to see that it is not the commit that runs."""
    if not items:
        return
    console.print("\nNot as git has it, or not known:")
    ordered = sorted(items, key=lambda item: item.verdict == "UNVERIFIED")
    room = width // 3
    shown = [
        Check(item.part, clip(item.name, room), item.verdict, clip(item.reason, room))
        for item in ordered[:_MAX_CHECKS]
    ]
    print_checks(console, shown)
    if len(items) > _MAX_CHECKS:
        console.print(f"  and {len(items) - _MAX_CHECKS} more: `mlflow-dvc verify` tells")


def print_commands(console: Console, commands: Sequence[str], width: int = _WIDTH) -> None:
    """Each on a numbered line of its own, the long ones and the many by their beginning and end."""
    from rich.table import Table
    from rich.text import Text

    numbered = list(enumerate(commands, 1))
    is_cut = len(numbered) > _MAX_COMMANDS
    first = numbered[: _MAX_COMMANDS - 2] if is_cut else numbered
    last = numbered[-2:] if is_cut else []
    rows_each = max(1, _COMMAND_ROWS // max(1, len(first) + len(last)))
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim")
    table.add_column(overflow="fold", style="bold")
    line = width - len(str(len(commands))) - 4

    def add(number: int, command: str) -> None:
        text = clip(command, rows_each * line - rows_each)  # a wide sign may not fit at an end
        folded = "\n".join(_fold(text, line)) if console.is_terminal else text
        table.add_row(f"  {number}", Text(folded))

    for numbered_command in first:
        add(*numbered_command)
    if is_cut:
        table.add_row("", Text(f"... {len(commands) - _MAX_COMMANDS:,} commands left out ..."))
    for numbered_command in last:
        add(*numbered_command)
    console.print(table, soft_wrap=False)


def clip(text: str, room: int) -> str:
    """``text`` with all that hides in it escaped, in so many columns: its beginning and its end."""
    from rich.cells import cell_len

    # No character takes less than a column, so that more of them cannot be shown.
    head = [escape_character(char) for char in text[: room + 1]]
    if len(text) <= room and sum(map(cell_len, head)) <= room:
        return "".join(head)
    left = max(8, (room - len(_left_out(len(text)))) // 2)
    begin = _taken(text[:left], left)
    end = _taken(text[-left:][::-1], left)[::-1]
    return "".join([*begin, _left_out(len(text) - len(begin) - len(end)), *end])


def _fold(text: str, width: int) -> Iterator[str]:
    """Lines of that many columns: to break between words would take more of them."""
    from rich.cells import cell_len

    line, room = "", width
    for char in text:
        if cell_len(char) > room:
            yield line
            line, room = "", width
        line, room = line + char, room - cell_len(char)
    yield line


def _taken(text: str, room: int) -> list[str]:
    from rich.cells import cell_len

    found: list[str] = []
    for char in text:
        shown = escape_character(char)
        room -= max(1, cell_len(shown))
        if room < 0:
            break
        found.append(shown)
    return found


def _left_out(count: int) -> str:
    return f" ... {count:,} characters left out ... "


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _pipeline(plan: Plan) -> str:
    """The file that has the commands."""
    file = plan.stage.rpartition(":")[0]
    if plan.stage.endswith(".dvc"):
        file = plan.stage
    return os.path.join(plan.dvc_root, file or PIPELINE_FILE)
