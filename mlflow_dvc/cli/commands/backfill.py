"""The command ``backfill``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlflow_dvc.cli.options import (
    NO,
    NOTHING,
    RECORD,
    YES,
    asking_options,
    command,
    json_option,
    print_json,
    tracking_uri_option,
)

if TYPE_CHECKING:
    from mlflow_dvc.recall.backfill import BackfillResult


@command(
    RECORD,
    "Add records to runs from before, read from their commits.",
    "backfill --dry-run",
    "backfill --experiment churn --yes",
)
@click.option("--experiment", metavar="NAME", help="Only the runs of this one: a name, or an id.")
@asking_options
@json_option
@tracking_uri_option
@click.pass_context
def backfill(  # noqa: PLR0913, PLR0917 - one for each option
    ctx: click.Context,
    experiment: str | None,
    dry_run: bool,
    yes: bool,
    json_: bool,
    tracking_uri: str | None,
) -> None:
    """Give runs that were made before this package a record, read from their commits.

    Call it inside the project. Of each run that has no record, and whose commit MLflow noted, DVC's
    files of that commit are read from git. The record is marked as reconstructed: the run may have
    read other data than its commit says, and no command takes it for seen. Nothing that a run has
    is changed. What was written stays when this is interrupted; call it again to go on.

    Exits with 0 when every run has a record then, with 1 when some have none, with 3 when there is
    no run.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import backfill as render

    asked = {"experiment": experiment, "tracking_uri": tracking_uri}
    is_asking = not (dry_run or yes)
    found = _follow(dry_run=dry_run or is_asking, shows=not (json_ or is_asking), **asked)
    if is_asking and (count := sum(one.verdict == "reconstructed" for one in found)):
        question = f"Write {count} record{'' if count == 1 else 's'}, marked as reconstructed?"
        if not terminal.confirm(question, "nothing was written"):
            ctx.exit(NO)
        found = _follow(dry_run=False, shows=not json_, **asked)
    elif is_asking and not json_:
        render.print_results(found)
    if json_:
        print_json(render.backfill_json(found))
    terminal.say(render.summary(found, dry_run=dry_run))
    if not found:
        ctx.exit(NOTHING)
    ctx.exit(NO if any(one.verdict == "left" for one in found) else YES)


def _follow(*, dry_run: bool, shows: bool, **asked: Any) -> list[BackfillResult]:
    """All results; each is printed as soon as it is there, if ``shows``."""
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import backfill as render
    from mlflow_dvc.recall.backfill import start_backfill

    found = []
    console = terminal.console_of()
    table = render.BackfillTable(console)
    with terminal.waiting("asking for the runs", "nothing was written", data=console):
        for result in start_backfill(dry_run=dry_run, **asked):
            found.append(result)
            if shows:
                table.print_result(result)
    return found
