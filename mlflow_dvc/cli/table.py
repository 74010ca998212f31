"""Tables of which no path and no hash is ever cut.

On a narrow terminal columns are left out, and words go to the next line. What is too long even then
runs over: a terminal wraps it by itself, so that it can be copied and searched for as one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_GAP = 2
_MIN_PROSE = 24  # columns for words; where there are fewer, the words stand below
_INDENT = 6
_WORD = re.compile(r"\S+\s*")


class Table:
    """Titles and cells are markup of rich, cells of one line or several.

    Columns are named by their number, as some have no title. Those of ``right`` end below each
    other. ``prose`` may go on in the next line, between words. ``drop`` may be left out, the first
    of them first. ``least`` says how wide a column is even where nothing in it is. A column without
    a word in any row is not shown.
    """

    def __init__(
        self,
        *titles: str,
        right: Collection[int] = (),
        prose: int | None = None,
        drop: Sequence[int] = (),
        least: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        self._titles = titles
        self._right = right
        self._prose = prose
        self._drop = drop
        self._least = dict(least)
        self._has_titles = any(titles)
        self._rows: list[list[Text]] = []

    def add_row(self, *cells: str) -> None:
        from rich.text import Text

        self._rows.append([Text.from_markup(cell, emoji=False) for cell in cells])

    def print_to(self, console: Console) -> None:
        from rich.text import Text

        lines = list(self._lines(console.width))
        if lines:
            console.print(Text("\n").join(lines), soft_wrap=True)

    def print_row(self, console: Console, *cells: str) -> None:
        """One row at once: it is aligned with those before it, whatever comes after it."""
        self._numbers = list(range(len(self._titles)))  # what is empty here may not be below
        self.add_row(*cells)
        self.print_to(console)
        self._least = dict(enumerate(self._widths))
        self._rows.clear()
        self._has_titles = False
        del self._widths, self._least_prose

    def _lines(self, width: int) -> Iterator[Text]:
        columns = self._columns(width)
        if columns is None:  # a few long cells run over; the others stay below each other
            self._widths = [self._widest(number, width // 2) for number in range(len(self._titles))]
            columns = self._columns(width) or self._narrower[-1]
        beside = [number for number in columns if number != self._prose]
        room = width - self._width(beside) - _GAP * bool(beside)
        is_below = len(beside) < len(columns) and room < self._least_prose
        if self._has_titles:
            yield from self._row(self._header, beside if is_below else columns, room)
        for row in self._rows:
            yield from self._row(row, beside if is_below else columns, room)
            if is_below:
                yield from self._below(row, width)

    def _columns(self, width: int) -> list[int] | None:
        """As many as fit beside each other; else as fit with the words below them."""
        for least in (self._least_prose, 0):
            for columns in self._narrower:
                if self._width(columns, least) <= width:
                    return columns
        return None

    @property
    def _narrower(self) -> list[list[int]]:
        """All columns, then fewer and fewer of them."""
        return [
            [number for number in self._numbers if number not in self._drop[:count]]
            for count in range(len(self._drop) + 1)
        ]

    @cached_property
    def _numbers(self) -> list[int]:
        """Those of the columns that have something to say."""
        return [
            one for one in range(len(self._titles)) if any(row[one].plain for row in self._rows)
        ]

    def _width(self, columns: Sequence[int], prose: int = 0) -> int:
        widths = [prose if one == self._prose else self._widths[one] for one in columns]
        return sum(widths) + _GAP * max(0, len(list(filter(None, widths))) - 1)

    @cached_property
    def _least_prose(self) -> int:
        return 0 if self._prose is None else min(_MIN_PROSE, self._widths[self._prose])

    @cached_property
    def _widths(self) -> list[int]:
        """What each column needs."""
        numbers = range(len(self._titles))
        return [max(self._widest(one), self._least.get(one, 0)) for one in numbers]

    def _widest(self, number: int, most: float = math.inf) -> int:
        """Of those cells of a column that need no more than ``most``."""
        widths = (_width_of(row[number]) for row in (self._header, *self._rows))
        return max((width for width in widths if width <= most), default=0)

    @cached_property
    def _header(self) -> list[Text]:
        from rich.text import Text

        return [Text.from_markup(title, style="dim") for title in self._titles]

    def _row(self, row: Sequence[Text], columns: Sequence[int], room: int) -> Iterator[Text]:
        from rich.text import Text

        cells = [
            _wrapped(row[one], room) if one == self._prose else row[one].split(allow_blank=True)
            for one in columns
        ]
        for line in zip_longest(*cells):
            whole = Text()
            for number, part in zip(columns, line, strict=True):
                whole.append_text(self._aligned(number, part or Text()))
                whole.append(" " * _GAP)
            whole.rstrip()
            yield whole

    def _aligned(self, number: int, part: Text) -> Text:
        missing = self._widths[number] - part.cell_len
        found = part.copy()
        if number in self._right:
            found.pad_left(missing)
        elif number != self._prose:
            found.pad_right(missing)
        return found

    def _below(self, row: Sequence[Text], width: int) -> Iterator[Text]:
        words = row[self._prose or 0]
        for line in _wrapped(words, width - _INDENT) if words.plain else ():
            line.pad_left(_INDENT)
            yield line


def _width_of(cell: Text) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, cell.plain.split("\n")), default=0)


def _wrapped(text: Text, width: int) -> list[Text]:
    """Its lines, each broken between words alone."""
    return [part for line in text.split(allow_blank=True) for part in _broken(line, width)]


def _broken(line: Text, width: int) -> list[Text]:
    from rich.cells import cell_len

    at, breaks = 0, []
    for word in _WORD.finditer(line.plain):
        taken = cell_len(line.plain[at : word.end()].rstrip())
        if taken > width and word.start() > at:
            at = word.start()
            breaks.append(at)
    found = list(line.divide(breaks))
    for part in found:
        part.rstrip()
    return found
