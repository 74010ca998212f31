"""Text as Markdown shows it letter by letter."""

from __future__ import annotations

from mlflow_dvc.report.labels import printable

_SIGNS = frozenset("\\`*_[]<>|#!~$")


def escape(value: str) -> str:
    """``value`` on one line, also in a cell of a table, with nothing in it that means anything."""
    return "".join(f"\\{char}" if char in _SIGNS else char for char in printable(value))
