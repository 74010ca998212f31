"""The command ``status``."""

from __future__ import annotations

import click

from mlflow_dvc.cli.options import RECORD, YES, command, json_option, print_json


@command(
    RECORD, "What a run started here would record, and why.", "status", "status --check --json"
)
@click.argument("path", required=False, type=click.Path(exists=True, file_okay=False))
@click.option("--check", is_flag=True, help="Hash what lies on disk, where DVC does not know it.")
@json_option
@click.pass_context
def status(ctx: click.Context, path: str | None, check: bool, json_: bool) -> None:
    """What a run started in PATH (default: here) would record, and why.

    Exits with 0 wherever there is git or DVC; what could not be read is named in the warnings.
    """
    from mlflow_dvc.capture import workspace
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import record

    with terminal.waiting("reading the project"):
        project, snapshot = workspace.inspect(path, check=check)
    if json_:
        print_json(record.status_json(project, snapshot))
    else:
        record.print_status(project, snapshot)
    ctx.exit(YES)
