"""Whether runs can be brought back (``verify``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.render.checks import print_checks, shown_id, styled_verdict

if TYPE_CHECKING:
    from mlflow_dvc.recall.verify import VerifyResult


def verify_json(results: Sequence[VerifyResult]) -> dict[str, Any]:
    return {"schema": terminal.JSON_SCHEMA, "runs": [asdict(result) for result in results]}


def print_results(results: Sequence[VerifyResult]) -> None:
    if not results:
        terminal.say("nothing to verify: no run with a record was found")
        return
    console = terminal.console_of()
    for result in results:
        name = f"{shown_id(result.run_id, console)}  {result.run_name}"
        console.print(f"{styled_verdict(result.verdict)}  {terminal.plain(name)}")
        is_only_one = len(results) == 1
        print_checks(console, [i for i in result.items if is_only_one or i.verdict != "PASS"])
