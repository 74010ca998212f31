"""The command ``lineage``."""

from __future__ import annotations

import click

from mlflow_dvc.cli.options import (
    FIND,
    NO,
    YES,
    command,
    json_option,
    output_file,
    print_json,
    tracking_uri_option,
)


@command(
    FIND,
    "Where data or a model came from, and what came of it.",
    "lineage models:/churn/3",
    "lineage data/raw/train.csv --html lineage.html",
)
@click.argument("what")
@json_option
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Write it as one page with a picture; - for standard output.",
)
@tracking_uri_option
@click.pass_context
def lineage(
    ctx: click.Context, what: str, json_: bool, html: str | None, tracking_uri: str | None
) -> None:
    """Where WHAT came from, up to raw data and imports, and what came of it, down to models.

    WHAT is a run id or a unique beginning of one, the name of a run, runs:/ID,
    models:/name/version, models:/name@alias, the id of a logged model, or data: a hash or the
    beginning of one, the path of a tracked output, path@hash, a file on disk. A file is looked for
    inside folders as well, as the project around the working directory lists them in its cache and
    remotes. Exits with 1 when nothing is known of it.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import lineage as render
    from mlflow_dvc.cli.render import lineage_drawing
    from mlflow_dvc.recall.lineage import lineage as trace

    with terminal.waiting("asking for the runs"):
        found = trace(what, tracking_uri=tracking_uri)
    if html is not None:
        with output_file(html, "w") as file:
            file.write(lineage_drawing.draw_page(found))
    if json_:
        print_json(render.lineage_json(found))
    elif html is None:
        render.print_lineage(found)
    ctx.exit(YES if found else NO)
