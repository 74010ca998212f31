"""The command ``search``."""

from __future__ import annotations

from typing import Any

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
    "search models/model.pkl --made --limit 1",
    "search data/images/0017.jpg --read",
)
@click.argument("what")
@click.option("--read", is_flag=True, help="Only runs that read it.")
@click.option("--made", is_flag=True, help="Only runs that made it.")
@click.option(
    "--experiment", metavar="NAME_OR_ID", help="Only runs of this experiment; a name comes first."
)
@click.option("--stage", metavar="ADDRESS", help="Only runs of this stage, as DVC names it.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="The newest N runs at most.")
@json_option
@tracking_uri_option
@click.pass_context
def search(
    ctx: click.Context, /, what: str, json_: bool, tracking_uri: str | None, **options: Any
) -> None:
    """The runs, of every experiment, that saw WHAT, newest first.

    WHAT is a hash or the beginning of one (4 digits at least), the path of a tracked output, or of
    a file in one, a dataset of dvc.yaml (ds://NAME), the address of a dependency, path@hash, or a
    file on disk, which is then looked for by its content. Exits with 1 when no run saw it, or none
    of those that the options leave.

    The column "how" says "read" where the run was seen to read the data, or its stage declares it,
    a part of it or a folder around it, as a dependency, and "made" where the stage made it. Else it
    "lay there": DVC tracked it, and nothing tells that the run read it. It was "missing" where
    DVC's files named it and it did not lie on disk. A "?" stands where the record does not tell.
    --read and --made count the first two words alone; both may be given. Of a file in a folder,
    runs that cannot tell are always named.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import search as render
    from mlflow_dvc.recall.search import search as find

    with terminal.waiting("searching"):
        matches = find(what, tracking_uri=tracking_uri, **options)
    if json_:
        print_json(render.search_json(what, matches))
    elif matches:
        render.print_matches(matches)
    else:
        render.print_none(what, **options)
    ctx.exit(YES if matches else NO)
