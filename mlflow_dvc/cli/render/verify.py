"""Whether runs can be brought back (``verify``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.render.checks import print_checks, shown_id, styled_verdict

if TYPE_CHECKING:
    from rich.console import Console

    from mlflow_dvc.recall.verify import VerifyResult
    from mlflow_dvc.recall.verify.verification import Verification

_MEANINGS = {
    "FAIL": "something that the run needs is lost.",
    "TAMPERED": "the record disagrees with itself, or with git.",
    "UNVERIFIED": "nothing is known to be wrong, but something of it could not be confirmed.",
}


def verify_json(results: Sequence[VerifyResult]) -> dict[str, Any]:
    return {"schema": terminal.JSON_SCHEMA, "runs": [asdict(result) for result in results]}


def follow(runs: Verification, server: str, *, is_quiet: bool = False) -> list[VerifyResult]:
    """All results; each is printed as soon as it is there."""
    found = []
    console = terminal.console_of()
    with terminal.waiting("asking for the runs", "nothing was changed", data=console):
        for result in runs:
            found.append(result)
            if not is_quiet:
                _print_result(console, result, is_only_one=runs.total == 1)
        if not is_quiet:
            _explain(console, found)
    if not found and not is_quiet:
        terminal.say(f"nothing to verify: no run with a record was found in {server}")
    return found


def _explain(console: Console, found: Sequence[VerifyResult]) -> None:
    """What the verdicts mean that somebody has to do something about."""
    there = {result.verdict for result in found}
    if lines := [f"{verdict}: {_MEANINGS[verdict]}" for verdict in _MEANINGS if verdict in there]:
        console.print()
        for line in lines:
            console.print(line)


def _print_result(console: Console, result: VerifyResult, *, is_only_one: bool) -> None:
    name = f"{shown_id(result.run_id, console)}  {result.run_name}"
    console.print(f"{styled_verdict(result.verdict)}  {terminal.plain(name)}")
    print_checks(console, [i for i in result.items if is_only_one or i.verdict != "PASS"])
