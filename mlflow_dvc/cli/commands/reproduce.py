"""The command ``reproduce``."""

from __future__ import annotations

import sys

import click

from mlflow_dvc.cli.options import (
    BRING_BACK,
    NO,
    YES,
    command,
    json_option,
    print_json,
    restore_options,
    tracking_uri_option,
)
from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.visible_text import escape_hidden

_SHORT = 8  # digits of a run's id
# An attacker would call a stage so.
_YES_WORDS = frozenset({"", "y", "yes", "yep", "ok", "j", "ja", "o", "oui", "s", "si", "1", "true"})


@command(
    BRING_BACK,
    "Run the stage of a run again and compare the metrics.",
    "reproduce 907167c9 --yes",
    explain_run=True,
)
@click.argument("run")
@restore_options
@click.option("--yes", is_flag=True, help="Run the commands without asking.")
@json_option
@tracking_uri_option
@click.pass_context
def reproduce(  # noqa: PLR0913, PLR0917
    ctx: click.Context,
    run: str,
    to: str | None,
    at: str | None,
    yes: bool,
    json_: bool,
    tracking_uri: str | None,
) -> None:
    """Restore RUN, run its stage again with `dvc repro`, and compare the metrics.

    Shows first what would run: each command, whose record it is, and where its code comes from.
    Then asks for the id of the run or the name of its stage: a "y" runs nothing. The new run goes
    to the same experiment, with the tag dvc.reproduces. Exits with 1 when a metric differs.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import reproduce as render
    from mlflow_dvc.cli.render import reproduce_plan
    from mlflow_dvc.recall import reproduce as again

    with terminal.waiting("bringing the code back", "the same command goes on"):
        plan = again.plan(run, to, at=at, tracking_uri=tracking_uri)
    reproduce_plan.print_plan(plan)
    if not yes:
        _ask(plan.run.run_id, plan.stage)
    found = again.execute(plan, tracking_uri)
    if json_:
        print_json(render.reproduce_json(found))
    else:
        render.print_result(found)
    ctx.exit(YES if found.is_equal else NO)


def _ask(run_id: str, stage: str) -> None:
    """By name: a yes is typed without reading. Raises MlflowDvcError on any other answer."""
    short = run_id[:_SHORT]
    question = f"Type the run's id ({escape_hidden(short)}) to run this"
    click.echo(f"{question}: ", nl=False, err=True)  # older clicks ask on stdout in part
    line = sys.stdin.readline()
    if not line:  # nobody is there to answer
        click.echo(err=True)
        raise MlflowDvcError("nothing was run", "Say --yes to run it without being asked")
    answer = line.strip()
    if answer not in {short, run_id, stage} or answer.lower() in _YES_WORDS:
        remedy = f"Type {short}, or the name of its stage, when you are asked"
        raise MlflowDvcError("nothing was run: that is not the id of the run", remedy)
