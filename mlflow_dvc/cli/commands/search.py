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
    "search models/model.pkl --made --limit 1",
)
@click.argument("what")
@click.option("--read", is_flag=True, help="Only runs that read it.")
@click.option("--made", is_flag=True, help="Only runs that made it.")
@click.option(
    "--experiment", metavar="NAME_OR_ID", help="Only runs of this experiment; a name comes first."
)
@click.option(
    "--stage", metavar="ADDRESS", help="Only runs that began in this stage, as DVC names it."
)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="The newest N runs at most.")
@json_option
@tracking_uri_option
@click.pass_context
def search(  # noqa: PLR0913 - click hands over each option
    ctx: click.Context,
    what: str,
    read: bool,
    made: bool,
    experiment: str | None,
    stage: str | None,
    limit: int | None,
    json_: bool,
    tracking_uri: str | None,
) -> None:
    """The runs, of every experiment, that saw WHAT, newest first.

    WHAT is a hash or the beginning of one (4 digits at least), the path of a tracked output,
    path@hash, or a file on disk, which is then looked for by its content. Exits with 1 when no run
    saw it, or none of those that the options leave.

    \b
    The column HOW tells what the run had to do with it:
      read       its stage declares it, a part of it or a folder around it,
                 as a dependency
      made       its stage made it
      lay there  DVC tracked it; the stage does neither, or the run is of no
                 stage, so that nothing tells what it read
      missing    DVC's files named it, and it did not lie on disk
      ?          the record does not tell

    --read and --made count only what the first two words say; with both, either counts.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import search as render
    from mlflow_dvc.recall.search import search as find

    with terminal.waiting("searching"):
        matches = find(
            what,
            read=read,
            made=made,
            experiment=experiment,
            stage=stage,
            limit=limit,
            tracking_uri=tracking_uri,
        )
    if json_:
        print_json(render.search_json(what, matches))
    elif matches:
        render.print_matches(matches)
    else:
        verb = {(True, False): "read", (False, True): "made", (True, True): "read or made"}
        is_narrowed = read or made or experiment is not None or stage is not None
        render.print_none(what, verb.get((read, made), "saw"), is_narrowed=is_narrowed)
    ctx.exit(YES if matches else NO)
