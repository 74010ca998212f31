"""Commands about runs."""

from __future__ import annotations

import click

from mlflow_dvc.cli.options import NO, YES, exit_code, json_option, print_json, tracking_uri_option


@click.command()
@click.argument("what")
@json_option
@tracking_uri_option
@click.pass_context
def search(ctx: click.Context, what: str, json_: bool, tracking_uri: str | None) -> None:
    """The runs, of every experiment, that saw WHAT.

    WHAT is a hash or the beginning of one (4 digits at least), the path of a tracked output,
    path@hash, or a file on disk, which is then looked for by its content. Exits with 1 when no run
    saw it.
    """
    from mlflow_dvc.cli.render import runs as render
    from mlflow_dvc.cli.render import terminal
    from mlflow_dvc.recall.search import search as find

    with terminal.waiting("searching"):
        matches = find(what, tracking_uri=tracking_uri)
    if json_:
        print_json(render.search_json(what, matches))
    else:
        render.search(what, matches)
    ctx.exit(YES if matches else NO)


@click.command()
@click.argument("run")
@json_option
@tracking_uri_option
@click.pass_context
def show(ctx: click.Context, run: str, json_: bool, tracking_uri: str | None) -> None:
    """The record of RUN: its code, its data, what is attached.

    RUN is a run id or a unique beginning of one, models:/name/version, models:/name@alias, or the
    id of a logged model. Exits with 1 when the run carries no record.
    """
    from mlflow_dvc.cli.render import record, terminal
    from mlflow_dvc.recall.show import show as read

    with terminal.waiting("reading the run"):
        found = read(run, tracking_uri=tracking_uri)
    if json_:
        print_json(record.show_json(found))
    else:
        record.show(found)
    ctx.exit(YES if found.snapshot else NO)


@click.command()
@click.argument("old", metavar="RUN")
@click.argument("new", metavar="RUN")
@json_option
@tracking_uri_option
@click.pass_context
def diff(ctx: click.Context, old: str, new: str, json_: bool, tracking_uri: str | None) -> None:
    """What differs between two runs, from the first RUN to the second.

    Code (each commit with the uncommitted changes of its run), parameters, metrics and data, down
    to the files inside of folders. Each RUN is a run id or a unique beginning of one,
    models:/name/version, models:/name@alias, or the id of a logged model. The project around the
    working directory is asked for commits and for the listings of folders; no data is downloaded.
    Exits with 0 when nothing differs, 1 when something does, 2 when that cannot be told.
    """
    from mlflow_dvc.cli.render import diff as render
    from mlflow_dvc.cli.render import terminal
    from mlflow_dvc.recall.diff import diff as compare

    with terminal.waiting("comparing the runs"):
        found = compare(old, new, tracking_uri=tracking_uri)
    if json_:
        print_json(render.diff_json(found))
    else:
        render.diff(found)
    ctx.exit(exit_code(found.equal))


@click.command()
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

    WHAT is a run id or a unique beginning of one, models:/name/version, models:/name@alias, the id
    of a logged model, or data: a hash or the beginning of one, the path of a tracked output,
    path@hash, a file on disk. A file is looked for inside folders as well, as the project around
    the working directory lists them in its cache and remotes. Exits with 1 when nothing is known of
    it.
    """
    from mlflow_dvc.cli.render import lineage as render
    from mlflow_dvc.cli.render import picture, terminal
    from mlflow_dvc.recall.lineage import lineage as trace

    with terminal.waiting("asking for the runs"):
        found = trace(what, tracking_uri=tracking_uri)
    if html is not None:
        with click.open_file(html, "w", encoding="utf-8", atomic=True) as file:
            file.write(picture.page(found))
    if json_:
        print_json(render.as_json(found))
    elif html is None:
        render.tree(found)
    ctx.exit(YES if found else NO)


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@json_option
@tracking_uri_option
@click.pass_context
def sync(ctx: click.Context, runs: tuple[str, ...], json_: bool, tracking_uri: str | None) -> None:
    """After `dvc repro`: hold its runs against the dvc.lock that DVC wrote.

    The runs of every stage of the project around the working directory, or only each RUN. A run
    whose record is what DVC wrote is confirmed, one that has none of what its stage made gets it,
    and one that was wrong is contradicted and mended. Older runs are confirmed by the locks in
    git's history. Exits with 1 when a run was contradicted.
    """
    from mlflow_dvc.cli.render import runs as render
    from mlflow_dvc.cli.render import terminal
    from mlflow_dvc.recall.sync import sync as hold

    with terminal.waiting("asking for the runs"):
        results = hold(*runs, tracking_uri=tracking_uri)
    if json_:
        print_json(render.sync_json(results))
    else:
        render.sync(results)
    wrong = any(result.changed and result.verdict == "contradicted" for result in results)
    ctx.exit(NO if wrong else YES)
