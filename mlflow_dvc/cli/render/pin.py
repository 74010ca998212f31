"""A run that is pinned (``pin``)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.report.labels import size_in_words

if TYPE_CHECKING:
    from mlflow_dvc.recall.pin import PinResult


def pin_json(result: PinResult) -> dict[str, Any]:
    return {"schema": terminal.JSON_SCHEMA, **asdict(result)}


def print_result(result: PinResult) -> None:
    console = terminal.console_of()
    facts: list[tuple[str, str | list[str]]] = [
        ("run", f"{result.run_id}  {result.run_name}"),
        ("pinned", [f"{name}  {sha}" for name, sha in result.tags.items()]),
        ("keeps", list(result.parents) or "no commit: the run was before the first one"),
    ]
    if result.uncommitted:
        sizes = (f"{path}  {size_in_words(size)}" for path, size in result.uncommitted.items())
        facts.append(("with code", ["that is in no commit, so that nobody reviewed it:", *sizes]))
    if result.left_out:
        facts.append(("left out", list(result.left_out)))
    if result.remote:
        facts.append(("pushed to", result.remote))
    terminal.facts(console, facts)
    if not result.is_new:
        terminal.say("it was pinned before; nothing was changed")
    if not result.remote:
        names = " ".join(result.tags)
        terminal.say(f"To share it: git push origin {names}; its data: dvc push --all-tags")
