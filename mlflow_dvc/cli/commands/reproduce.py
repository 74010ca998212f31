"""The command ``reproduce``."""

from __future__ import annotations

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

    Shows the commands first, and asks. The new run goes to the same experiment, with the tag
    dvc.reproduces. Exits with 1 when a metric differs.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import reproduce as render
    from mlflow_dvc.recall import reproduce as again

    with terminal.waiting("bringing code and data back"):
        plan = again.plan(run, to, at=at, tracking_uri=tracking_uri)
    render.print_plan(plan)
    if not yes and not _agreed():
        raise MlflowDvcError("nothing was run", "Say --yes to run it without being asked")
    found = again.execute(plan, tracking_uri)
    if json_:
        print_json(render.reproduce_json(found))
    else:
        render.print_result(found)
    ctx.exit(YES if found.is_equal else NO)


def _agreed() -> bool:
    try:
        return click.confirm("Run this?", err=True)
    except click.Abort:  # nobody is there to answer
        return False
