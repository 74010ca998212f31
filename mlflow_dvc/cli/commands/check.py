"""The command ``check``."""

from __future__ import annotations

import click

from mlflow_dvc.cli.options import (
    KEEP,
    NOTHING,
    VERDICT_CODES,
    command,
    json_option,
    print_json,
    tracking_uri_option,
)


@command(
    KEEP,
    "Whether a run, or a model, meets a policy.",
    "check models:/churn@challenger",
    "check models:/churn/3 --policy policy.yaml",
    explain_run=True,
)
@click.argument("run")
@click.option(
    "--policy",
    metavar="FILE",
    help="A file of rules, or `default`. Default: MLFLOW_DVC_POLICY, else `default`.",
)
@json_option
@tracking_uri_option
@click.pass_context
def check(
    ctx: click.Context, run: str, policy: str | None, json_: bool, tracking_uri: str | None
) -> None:
    """Does RUN meet the policy: is its code committed, its data clean, both pushed?

    Of a version of a model it is the run that made the files of that version. The default policy
    asks for committed, pushed, clean and verified. What is not known meets no rule.
    Exits with 1 when a rule is broken, with 2 when one could not be judged, with 3 when the run
    carries no record.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import check as render
    from mlflow_dvc.recall.check import check as judge

    with terminal.waiting("asking the server, git and the DVC remotes"):
        found = judge(run, policy, tracking_uri=tracking_uri)
    if json_:
        print_json(render.check_json(found))
    else:
        render.print_result(found)
    ctx.exit(VERDICT_CODES[found.verdict] if found.is_recorded else NOTHING)
