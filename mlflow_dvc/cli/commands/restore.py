"""The command ``restore``."""

from __future__ import annotations

import click

from mlflow_dvc.cli.options import (
    BRING_BACK,
    VERDICT_CODES,
    command,
    json_option,
    print_json,
    restore_options,
    tracking_uri_option,
)


@command(
    BRING_BACK,
    "Bring back the code, lock and data of a run.",
    "restore 907167c9 --to ../first-model",
    explain_run=True,
)
@click.argument("run")
@restore_options
@json_option
@tracking_uri_option
@click.pass_context
def restore(  # noqa: PLR0913, PLR0917
    ctx: click.Context,
    run: str,
    to: str | None,
    at: str | None,
    json_: bool,
    tracking_uri: str | None,
) -> None:
    """Bring RUN back: its commit and patch, its dvc.lock and parameters, its data by hash.

    Into a work tree of this repository if RUN is of it, else into a clone of RUN's remote. Nothing
    that exists is overwritten, and nothing of RUN is executed. An interrupted restore keeps what it
    has, and continues when it is called again. Exits with 1 when what lies there is not what RUN
    saw, and says where.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import restore as render
    from mlflow_dvc.recall.restore import restore as bring_back

    with terminal.waiting("bringing the code back", "the same command goes on"):
        found = bring_back(run, to, at=at, tracking_uri=tracking_uri)
    if json_:
        print_json(render.restore_json(found))
    else:
        render.print_result(found)
    ctx.exit(VERDICT_CODES[found.verdict])
