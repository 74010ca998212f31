"""The command ``verify``."""

from __future__ import annotations

import click

from mlflow_dvc.cli.options import (
    BRING_BACK,
    NO,
    NO_ANSWER,
    NOTHING,
    VERDICT_CODES,
    YES,
    command,
    json_option,
    print_json,
    tracking_uri_option,
)


@command(
    BRING_BACK,
    "Whether runs can be brought back.",
    "verify models:/churn@production",
    "verify --all",
    "verify --all --resume audit.jsonl",
    explain_run=True,
)
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--all", "all_runs", is_flag=True, help="Every run that carries a record.")
@click.option("--registered", is_flag=True, help="The runs behind all registered models.")
@click.option(
    "--resume",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write each answer to FILE at once, and go on from those that it has.",
)
@json_option
@tracking_uri_option
@click.pass_context
def verify(  # noqa: PLR0913, PLR0917 - one for each option
    ctx: click.Context,
    runs: tuple[str, ...],
    all_runs: bool,
    registered: bool,
    resume: str | None,
    json_: bool,
    tracking_uri: str | None,
) -> None:
    """Can each RUN be brought back: the commit, the patch, the lock, and every hash?

    A commit passes if it is on a branch or tag, here or on a remote. Data passes if it is in the
    DVC cache or on a DVC remote; nothing is downloaded. A record passes if it agrees with itself,
    and git has what its lock and its other files say.
    Exits with 1 when something is lost or was tampered with, with 2 when something is not known,
    with 3 when there was nothing to judge: no run, no record, or no data in it.
    """
    from mlflow_dvc.cli.render import verify as render
    from mlflow_dvc.recall.verify import start_verification
    from mlflow_dvc.tracking import shown_uri

    if not (runs or all_runs or registered):
        raise click.UsageError("Name a RUN, or say --all or --registered.")
    started = start_verification(
        *runs, all_runs=all_runs, registered=registered, tracking_uri=tracking_uri, resume=resume
    )
    found = render.follow(started, shown_uri(tracking_uri), is_quiet=json_)
    if json_:
        print_json(render.verify_json(found))
    codes = {VERDICT_CODES[one.verdict] for one in found}
    if NO not in codes and all(one.is_empty for one in found):
        ctx.exit(NOTHING)
    ctx.exit(next((code for code in (NO, NO_ANSWER) if code in codes), YES))
