"""Text of other people, shown so that nothing in it acts, hides or pretends to be another line."""

from __future__ import annotations

# Python calls these printable, and they print as nothing or as a space: joiners and fillers of
# scripts, the empty Braille pattern, selectors of variants but those of pictures (U+FE0E, U+FE0F).
_BLANK_RANGES = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2800, 0x2800),
    (0x3164, 0x3164), (0xFE00, 0xFE0D), (0xFFA0, 0xFFA0), (0xE0100, 0xE01EF),
)  # fmt: skip
_BLANK = frozenset(chr(code) for first, last in _BLANK_RANGES for code in range(first, last + 1))


def is_visible(char: str) -> bool:
    """Whether a character prints as itself: no control, no change of direction, no blank sign."""
    return char.isprintable() and char not in _BLANK


def escape_hidden(text: str, keep: str = "") -> str:
    r"""``text`` with an escape as in Python for each character that is not visible.

    A newline becomes ``\n``, U+202E ``\u202e``. Those in ``keep`` stay.
    """
    return "".join(char if char in keep else escape_character(char) for char in text)


def escape_character(char: str) -> str:
    """``char``, or its escape."""
    return char if is_visible(char) else _escape(ord(char))


def _escape(code: int) -> str:
    if code < 0x100:
        return ascii(chr(code))[1:-1]
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
