"""What hides in text is shown; what is only foreign stays as it is."""

from __future__ import annotations

import pytest

from mlflow_dvc.visible_text import escape_hidden, is_visible


@pytest.mark.parametrize(
    ("char", "shown"),
    [
        ("\n", r"\n"), ("\r", r"\r"), ("\t", r"\t"), ("\0", r"\x00"), ("\x1b", r"\x1b"),
        ("\x7f", r"\x7f"), ("\x85", r"\x85"), ("\x9b", r"\x9b"), ("\xa0", r"\xa0"),
        ("\xad", r"\xad"), ("\u200b", r"\u200b"), ("\u200d", r"\u200d"), ("\u202e", r"\u202e"),
        ("\u2028", r"\u2028"), ("\u2066", r"\u2066"), ("\ufeff", r"\ufeff"),
        ("\u3164", r"\u3164"), ("\u2800", r"\u2800"), ("\u034f", r"\u034f"),
        ("\ud800", r"\ud800"), ("\ue000", r"\ue000"), ("\U000e0041", r"\U000e0041"),
        ("\U000e0101", r"\U000e0101"),
    ],
)  # fmt: skip
def test_hidden(char: str, shown: str):
    """Controls, changes of direction, joiners and what prints as nothing are escaped."""
    assert not is_visible(char)
    assert escape_hidden(f"a{char}b") == f"a{shown}b"


@pytest.mark.parametrize(
    "text", ["plain", "Grüße", "データ", "é", "عربى", "❤\ufe0f", r"C:\new", "[b]x[/b]"]
)
def test_visible(text: str):
    """Letters of every script, and what only looks like an escape, stay."""
    assert escape_hidden(text) == text


def test_kept():
    """What is to stay stays, and nothing else."""
    assert escape_hidden("a\nb\tc", keep="\n") == "a\nb\\tc"
