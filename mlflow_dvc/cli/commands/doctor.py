"""The command ``doctor``."""

from __future__ import annotations

import click

from mlflow_dvc.cli.options import (
    NO,
    RECORD,
    YES,
    command,
    json_option,
    print_json,
    tracking_uri_option,
)


@command(
    RECORD,
    "What would make records wrong, and how to fix it.",
    "doctor",
    "doctor --local --skip head-not-pushed",
    "doctor --fix | git apply",
)
@click.argument("path", required=False, type=click.Path(exists=True, file_okay=False))
@click.option("--local", is_flag=True, help="Ask neither the MLflow server nor a DVC remote.")
@click.option(
    "--skip", metavar="RULE", multiple=True, help="Do not look at this rule; may be repeated."
)
@click.option(
    "--fix", is_flag=True, help="Print a patch that lets stages declare what their runs read."
)
@json_option
@tracking_uri_option
@click.pass_context
def doctor(
    ctx: click.Context,
    /,
    path: str | None,
    fix: bool,
    skip: tuple[str, ...],
    tracking_uri: str | None,
    **options: bool,
) -> None:
    """Find what would make run records wrong in PATH (default: here), and how to fix it.

    An error makes a record wrong, or what it names cannot be brought back; a note is about less.
    Exits with 1 when there is either.

    With --fix nothing is examined but what runs of this project read and their stages do not
    declare. The patch is for `git apply` in the DVC project. Exits with 1 when it is empty.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import doctor as render
    from mlflow_dvc.recall.doctor import diagnose, patch

    if fix:
        with terminal.waiting("reading the runs"):
            text = patch(path, local=options["local"], tracking_uri=tracking_uri)
        click.echo(text, nl=False)
        ctx.exit(YES if text else NO)
    with terminal.waiting("reading the project"):
        found = diagnose(path, local=options["local"], skip=skip, tracking_uri=tracking_uri)
    if options["json_"]:
        print_json(render.doctor_json(found))
    else:
        render.print_findings(found)
    ctx.exit(NO if found.findings else YES)
