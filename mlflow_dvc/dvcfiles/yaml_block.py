"""YAML in block style, as DVC writes it, parsed a line at a time.

PyYAML's C parser spends its time on making Python objects of tokens and nodes; one regular
expression for each line is six times faster. A value that a line alone does not decide is given to
PyYAML by itself, and a text of any other structure is refused, to be given to PyYAML as a whole. So
whatever is answered here is what PyYAML would answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Read = Callable[[str], Any]

# A scalar without quotes, on one line: ": " would end a key, " #" begins a comment.
_REST = r"[^\n:#]*(?:(?::(?=[^ \n])|(?<=[^ \n])\#)[^\n:#]*)*"
_PLAIN = rf"(?:[A-Za-z0-9_./$+(;^~\xa0-\ud7ff]|-(?=[^ \n])){_REST}"
_QUOTED = r"""'[^'\n]*'|"[^"\\\n]*\""""
_LINE = re.compile(
    rf"""^(\ *)
    (-\ +|-$)?                                  # an item of a sequence
    (?: ({_PLAIN}|{_QUOTED}) : (?:\ +|$) )?     # a key
    (?: (?: ({_PLAIN}) | ({_QUOTED}) )? (?: (?:^|(?<=\ ))(\#.*) )? \ *$
      | (.+)$ )                                 # something else
    """,
    re.VERBOSE | re.MULTILINE,
)
_MORE = re.compile(rf"\ *((?=[^ \n]){_REST})")
# Tabs, the line breaks of other systems, and what YAML does not allow.
_UNSUPPORTED = re.compile("[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff]")
_MARKERS = ("---", "...")
# An anchor has the whole text in view; a block scalar behind an odd key goes on below.
_NOT_ALONE = re.compile(r"(?:^|[\s\[{,])&|:\ +[|>]")
_MAX_KEY_CHARACTERS = 1000  # characters; YAML has 1,024
_MAX_DEPTH = 100
_EMPTY: dict[str, Callable[[], Any]] = {"{}": dict, "[]": list}


class UnsupportedYamlError(Exception):
    """The text has a form that is not read here, or none at all."""


# Where a value goes: a mapping and its key, or a sequence and an index, and the column that all
# deeper lines belong to.
_Slot = tuple[Any, Any, int]


def parse_block(text: str, read: Read, resolve: Read) -> Any:
    """The document in ``text``, just as ``read``, a complete YAML parser, would give it.

    ``resolve`` gives the value of a scalar without quotes. Raises UnsupportedYamlError for what can
    only be read as a whole, or not at all.
    """
    text = text.removeprefix("---\n")
    rows, lines = _LINE.findall(text), text.split("\n")
    if _UNSUPPORTED.search(text) or _has_marker(text) or len(rows) != len(lines):
        raise UnsupportedYamlError
    top: list[Any] = [None]
    opened = _OpenContainers(resolve)
    empty: _Slot | None = (top, 0, -1)  # a value that may stand in deeper lines
    at, end = 0, len(rows)
    while at < end:
        indent, dash, key, plain, quoted, comment, other = rows[at]
        at += 1
        if not (key or dash or plain or quoted or other):
            continue
        holder, name, column = place = opened.place(len(indent), dash, key, empty)
        empty = None
        if plain:
            holder[name] = resolve(plain.rstrip(" "))
            if not comment and at < end and len(rows[at][0]) > column:
                at = _fold_lines(place, plain, lines, at, resolve)
        elif quoted:
            holder[name] = quoted[1:-1]
        elif other in _EMPTY:
            holder[name] = _EMPTY[other]()
        elif other:
            after = _end_of_block(lines, at, column) if other[0] in "|>" else at
            _parse_value(place, other, lines[at:after], after < end, read)
            at = after
        else:
            empty = place
    return top[0]


class _OpenContainers:
    """The mappings and sequences that are open, outermost first, each with its column."""

    def __init__(self, resolve: Read) -> None:
        self._frames: list[tuple[int, Any]] = [(-1, None)]
        self._resolve = resolve
        self._names: dict[str, Any] = {}  # few keys stand in many lines

    def place(self, column: int, dash: str, key: str, empty: _Slot | None) -> _Slot:
        """The place of the value on a line that begins in ``column``; None is there for now."""
        if not (key or dash):  # DVC's dumper puts a long value below its key
            if empty is None or not column > empty[2] >= 0:
                raise UnsupportedYamlError
            return empty
        if dash:
            holder = self._container(column, list, empty)
            place = (holder, len(holder), column)
            holder.append(None)
            if not key:
                return place
            column += len(dash)
            holder = self._begin(column, dict, place)
        else:
            # Most lines are the next key of the innermost mapping.
            innermost, holder = self._frames[-1]
            if empty is not None or innermost != column or type(holder) is not dict:
                holder = self._container(column, dict, empty)
        name = self._names.get(key) or self._name(key)
        if name in holder:
            raise UnsupportedYamlError
        holder[name] = None
        return holder, name, column

    def _name(self, key: str) -> Any:
        if not key or len(key) > _MAX_KEY_CHARACTERS:
            raise UnsupportedYamlError
        name = key[1:-1] if key[0] in "'\"" else self._resolve(key.rstrip(" "))
        self._names[key] = name
        return name

    def _container(self, column: int, kind: type, empty: _Slot | None) -> Any:
        """The one that the line belongs to; it may begin with this line, where a value is empty."""
        frames = self._frames
        if empty is not None and (
            column > empty[2]
            # A sequence may stand in the column of the key that it belongs to.
            or (column == empty[2] and kind is list and type(empty[0]) is dict)
        ):
            return self._begin(column, kind, empty)
        while frames[-1][0] > column or (
            frames[-1][0] == column and type(frames[-1][1]) is not kind
        ):
            frames.pop()
        if frames[-1][0] != column:
            raise UnsupportedYamlError
        return frames[-1][1]

    def _begin(self, column: int, kind: type, place: _Slot) -> Any:
        if len(self._frames) > _MAX_DEPTH:
            raise UnsupportedYamlError
        place[0][place[1]] = container = kind()
        self._frames.append((column, container))
        return container


def _has_marker(text: str) -> bool:
    return text.startswith(_MARKERS) or any(f"\n{marker}" in text for marker in _MARKERS)


def _fold_lines(place: _Slot, text: str, lines: list[str], at: int, resolve: Read) -> int:
    """A scalar of several lines, each deeper than its key; the line behind it."""
    holder, name, column = place
    parts = [text.rstrip(" ")]
    while at < len(lines) and _indentation(lines[at]) > column:
        more = _MORE.fullmatch(lines[at])
        if more is None:  # with a blank line, a comment or a key in it
            raise UnsupportedYamlError
        parts.append(more[1].rstrip(" "))
        at += 1
    holder[name] = resolve(" ".join(parts))
    return at


def _end_of_block(lines: list[str], at: int, column: int) -> int:
    """Behind the last line from ``at`` on that is blank or stands deeper than ``column``."""
    while at < len(lines) and (not lines[at].strip(" ") or _indentation(lines[at]) > column):
        at += 1
    return at


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _parse_value(place: _Slot, text: str, more: list[str], ended: bool, read: Read) -> None:
    """A value that only a YAML parser can read, though it is clear which lines are its own."""
    if more and any(character.isdigit() for character in text):
        raise UnsupportedYamlError  # an indentation that counts from the key's
    if _NOT_ALONE.search(text):
        raise UnsupportedYamlError
    holder, name, _ = place
    in_mapping = type(holder) is dict
    text = "\n".join([text, *more]) + ("\n" if ended else "")
    try:
        (answer,) = read(f"k: {text}").values() if in_mapping else read(f"- {text}")
        holder[name] = answer
    except Exception as error:
        raise UnsupportedYamlError from error
