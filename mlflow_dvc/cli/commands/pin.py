"""The command ``pin``."""

from __future__ import annotations

import click

from mlflow_dvc.cli.options import KEEP, command, json_option, print_json, tracking_uri_option


@command(
    KEEP,
    "Keep the code of a run in git, as a tag.",
    "pin 907167c9",
    "pin models:/churn@production --push",
    explain_run=True,
)
@click.argument("run")
@click.option("--push", is_flag=True, help="Push the tag.")
@click.option(
    "--remote", metavar="NAME", help="Push it to this remote; default: the branch's, or origin."
)
@json_option
@tracking_uri_option
def pin(run: str, push: bool, remote: str | None, json_: bool, tracking_uri: str | None) -> None:
    """Make a commit with the exact code of RUN, its lock and its parameters, and tag it.

    The tag is mlflow-dvc/RUN_ID. Its commit is built on the run's own, with what was not committed
    then, so that git keeps both, and DVC the data, whatever becomes of branches. No branch, index
    or file of yours is touched. A run from before the first commit, or on a commit that was
    rebased away, can be pinned too; `verify` tells later whether its record is as it was.
    """
    from mlflow_dvc.cli.render import pin as render
    from mlflow_dvc.recall.pin import pin as keep

    found = keep(run, push=push or remote is not None, remote=remote, tracking_uri=tracking_uri)
    if json_:
        print_json(render.pin_json(found))
    else:
        render.print_result(found)
