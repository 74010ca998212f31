"""Pictures of what commands print, which follow the light or dark page that they stand on."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME
from rich.text import Text

_ID = "terminal"
_COLOURS = re.compile(rf"\.{_ID}-r\d+ {{.*?}}")
_PAGE = re.compile(r'<rect fill="(#\w+)"')


def recording(width: int) -> Console:
    """A terminal of so many columns; what is printed to it can be drawn."""
    return Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, emoji=False,
        highlight=False,
    )  # fmt: skip


def draw_commands(
    commands: Sequence[Sequence[str]], folder: Path, width: int, target: Path
) -> None:
    """What ``mlflow-dvc`` prints for each of these words, called in ``folder``."""
    console = recording(width)
    for words in commands:
        console.print(f"[bold]$ mlflow-dvc {' '.join(words)}[/bold]")
        done = subprocess.run(
            [sys.executable, "-m", "mlflow_dvc", *words],
            cwd=folder, env={**os.environ, "COLUMNS": str(width), "FORCE_COLOR": "1"},
            stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        console.print(Text.from_ansi(done.stdout))
        console.print()
    draw(console, target)


def draw(console: Console, target: Path) -> None:
    """What was printed to a recording console, as SVG."""
    dark, svg = (
        console.export_svg(title="", theme=theme, unique_id=_ID, clear=False)
        for theme in (SVG_EXPORT_THEME, DEFAULT_TERMINAL_THEME)
    )
    [page] = _PAGE.findall(dark)
    rules = [f".{_ID}-page {{ fill: {page} }}", *_COLOURS.findall(dark)]
    query = "\n    @media (prefers-color-scheme: dark) {\n    " + "\n    ".join(rules) + "\n    }"
    svg = _PAGE.sub(rf'<rect class="{_ID}-page" fill="\1"', svg)
    target.write_text(svg.replace("</style>", f"{query}\n    </style>", 1), encoding="utf-8")
