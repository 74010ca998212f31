"""What ``gc`` would remove, and what it has removed."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.render.checks import shown_id
from mlflow_dvc.report.labels import size_in_words

if TYPE_CHECKING:
    from mlflow_dvc.dvc_backend.storage.unneeded import StoreContent
    from mlflow_dvc.recall.gc import GcPlan, GcResult


def gc_json(plan: GcPlan, result: GcResult | None) -> dict[str, Any]:
    return {
        "schema": terminal.JSON_SCHEMA,
        "server": plan.server,
        "root": plan.root,
        "recorded": plan.recorded,
        "kept": plan.kept,
        "stores": [asdict(store) for store in plan.stores],
        "losses": [asdict(loss) for loss in plan.losses],
        "warnings": list(plan.warnings),
        "removed": dict(result.removed) if result else None,
        "faults": list(result.faults) if result else [],
    }


def print_plan(plan: GcPlan) -> None:
    terminal.warn(plan.warnings)
    console = terminal.console_of()
    whose = f"The data of {plan.kept} of {plan.recorded} runs on {plan.server} stays"
    console.print(terminal.plain(whose))
    for store in plan.stores:
        if not store.objects:
            continue
        console.print()
        console.print(terminal.plain(_head(store)))
        for one in terminal.first_rows(console, store.objects):
            size = "" if one.size is None else size_in_words(one.size)
            console.print(terminal.plain(f"  {one.hash}  {size}").rstrip())
    for loss in plan.losses:
        console.print()
        name = f"{loss.kind} {shown_id(loss.id, console)}  {loss.name} would lose"
        console.print(terminal.plain(name))
        for path, value in terminal.first_rows(console, loss.data):
            console.print(terminal.plain(f"  {value}  {path}"))
    if plan.is_empty:
        console.print("nothing is to be removed")


def tell_removed(result: GcResult) -> None:
    for name, count in result.removed.items():
        terminal.say(f"removed {count} objects of {name}")
    terminal.warn(f"not all was removed: {fault}" for fault in result.faults)


def _head(store: StoreContent) -> str:
    sizes = [one.size for one in store.objects if one.size is not None]
    known = f", {size_in_words(sum(sizes))}" if sizes else ""
    counted = f"{len(store.objects)} of {store.total} objects{known}"
    return f"{store.name} ({_shown(store.path)}): {counted}"


def _shown(path: str) -> str:
    """From here, where it lies below."""
    below = os.path.relpath(path) if os.path.isabs(path) else path
    return path if below.startswith("..") else below
