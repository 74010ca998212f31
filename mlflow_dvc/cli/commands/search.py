"""The command ``search``."""

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
    "The runs that saw some data.",
    "search data/raw/train.csv",
    "search data/raw/train.csv@5afc23b9",
    "search ~/Downloads/copy.csv",
)
@click.argument("what")
@json_option
@tracking_uri_option
@click.pass_context
def search(ctx: click.Context, what: str, json_: bool, tracking_uri: str | None) -> None:
    """The runs, of every experiment, that saw WHAT.

    WHAT is a hash or the beginning of one (4 digits at least), the path of a tracked output, a
    dataset of dvc.yaml (ds://NAME), the address of a dependency, path@hash, or a file on disk,
    which is then looked for by its content. Exits with 1 when no run saw it.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import search as render
    from mlflow_dvc.recall.search import search as find

    with terminal.waiting("searching"):
        matches = find(what, tracking_uri=tracking_uri)
    if json_:
        print_json(render.search_json(what, matches))
    else:
        render.print_matches(what, matches)
    ctx.exit(YES if matches else NO)
