"""The command ``sync``."""

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
    "Compare runs with the dvc.lock that DVC wrote.",
    "sync",
    "sync 052163b1",
    explain_run=True,
)
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@json_option
@tracking_uri_option
@click.pass_context
def sync(ctx: click.Context, runs: tuple[str, ...], json_: bool, tracking_uri: str | None) -> None:
    """After `dvc repro`: compare the records of its runs with the dvc.lock that DVC wrote.

    Without RUN, the runs of every stage of the project around the working directory are compared.
    A record that equals the lock is confirmed. A record without outputs is completed. A record with
    other outputs is contradicted, and corrected. So is one whose dependencies changed while the
    stage ran; it keeps what was read. A run whose lock may be of another execution is left. Older
    runs are confirmed by the locks of experiments and in git's history. Exits with 1 when a run was
    found contradicted, which is said once.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import sync as render
    from mlflow_dvc.recall.sync import sync as hold
    from mlflow_dvc.tracking import shown_uri

    with terminal.waiting("asking for the runs"):
        results = hold(*runs, tracking_uri=tracking_uri)
    if json_:
        print_json(render.sync_json(results))
    else:
        render.print_results(results, shown_uri(tracking_uri))
    wrong = any(result.changed and result.verdict == "contradicted" for result in results)
    ctx.exit(NO if wrong else YES)
