"""The command ``diff``."""

from __future__ import annotations

import click

from mlflow_dvc.cli.options import (
    FIND,
    command,
    exit_code,
    json_option,
    print_json,
    tracking_uri_option,
)


@command(FIND, "What differs between two runs.", "diff 907167c9 models:/churn/3", explain_run=True)
@click.argument("old", metavar="RUN")
@click.argument("new", metavar="RUN")
@json_option
@tracking_uri_option
@click.pass_context
def diff(ctx: click.Context, old: str, new: str, json_: bool, tracking_uri: str | None) -> None:
    """What differs between two runs, from the first RUN to the second.

    Compared are code (each commit with the uncommitted changes of its run), parameters, metrics
    and data, down to the files inside of folders. The project around the working directory is
    asked for commits and for the listings of folders; no data is downloaded. Exits with 0 when
    nothing differs, 1 when something does, 2 when that is not known.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import diff as render
    from mlflow_dvc.recall.diff import diff as compare

    with terminal.waiting("comparing the runs"):
        found = compare(old, new, tracking_uri=tracking_uri)
    if json_:
        print_json(render.diff_json(found))
    else:
        render.print_diff(found)
    ctx.exit(exit_code(found.equal))
