"""The command ``show``."""

from __future__ import annotations

import click

from mlflow_dvc.cli.options import (
    FIND,
    NO,
    YES,
    command,
    json_option,
    print_json,
    tracking_uri_option,
)


@command(
    FIND,
    "The record of one run: its code, its data.",
    "show 052163b1",
    "show models:/churn/3 --json",
    explain_run=True,
)
@click.argument("run")
@json_option
@tracking_uri_option
@click.pass_context
def show(ctx: click.Context, run: str, json_: bool, tracking_uri: str | None) -> None:
    """The record of RUN: its code, its data, what is attached.

    Exits with 1 when the run carries no record.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import record
    from mlflow_dvc.recall.show import show as read

    with terminal.waiting("reading the run"):
        found = read(run, tracking_uri=tracking_uri)
    if json_:
        print_json(record.show_json(found))
    else:
        record.print_record(found)
    ctx.exit(YES if found.snapshot else NO)
