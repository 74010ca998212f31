"""Commands that lead back from a run."""

from __future__ import annotations

import click

from mlflow_dvc.cli.options import (
    NO,
    NO_ANSWER,
    YES,
    json_option,
    print_json,
    restore_options,
    tracking_uri_option,
)
from mlflow_dvc.errors import MlflowDvcError

_EXIT = {"PASS": YES, "FAIL": NO, "TAMPERED": NO, "UNVERIFIED": NO_ANSWER}


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--all", "everything", is_flag=True, help="Every run that carries a record.")
@click.option("--registered", is_flag=True, help="The runs behind all registered models.")
@json_option
@tracking_uri_option
@click.pass_context
def verify(  # noqa: PLR0913, PLR0917 - one for each option
    ctx: click.Context,
    runs: tuple[str, ...],
    everything: bool,
    registered: bool,
    json_: bool,
    tracking_uri: str | None,
) -> None:
    """Can each RUN be brought back: the commit, the patch, the lock, and every hash?

    A commit passes that is on a branch or tag, here or on a remote; data that is in the DVC cache
    or on a DVC remote (nothing is downloaded); a record that agrees with itself. Exits with 1 when
    something is lost or was tampered with, with 2 when something could not be told.
    """
    from mlflow_dvc.cli.render import back, terminal
    from mlflow_dvc.recall.verify import verify as judge

    if not (runs or everything or registered):
        raise click.UsageError("Name a RUN, or say --all or --registered.")
    with terminal.waiting("asking the server, git and the DVC remotes"):
        found = judge(
            *runs, everything=everything, registered=registered, tracking_uri=tracking_uri
        )
    if json_:
        print_json(back.verify_json(found))
    else:
        back.verify(found)
    codes = {_EXIT[one.verdict] for one in found}
    ctx.exit(next((code for code in (NO, NO_ANSWER) if code in codes), YES))


@click.command()
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
    that exists is overwritten, and nothing of RUN is executed; what was broken off is taken up when
    called again. Exits with 1 when what lies there is not what RUN saw, and says where.
    """
    from mlflow_dvc.cli.render import back, terminal
    from mlflow_dvc.recall.restore import restore as bring_back

    with terminal.waiting("bringing code and data back"):
        found = bring_back(run, to, at=at, tracking_uri=tracking_uri)
    if json_:
        print_json(back.restore_json(found))
    else:
        back.restore(found)
    ctx.exit(_EXIT[found.verdict])


@click.command()
@click.argument("run")
@restore_options
@click.option("--yes", is_flag=True, help="Run the commands without asking.")
@json_option
@tracking_uri_option
@click.pass_context
def reproduce(  # noqa: PLR0913, PLR0917
    ctx: click.Context,
    run: str,
    to: str | None,
    at: str | None,
    yes: bool,
    json_: bool,
    tracking_uri: str | None,
) -> None:
    """Restore RUN, run its stage again with `dvc repro`, and compare the metrics.

    Shows the commands first, and asks. The new run goes to the same experiment, with the tag
    dvc.reproduces. Exits with 1 when a metric differs.
    """
    from mlflow_dvc.cli.render import back, terminal
    from mlflow_dvc.recall import reproduce as again

    with terminal.waiting("bringing code and data back"):
        plan = again.plan(run, to, at=at, tracking_uri=tracking_uri)
    back.plan(plan)
    if not yes and not _agreed():
        raise MlflowDvcError("nothing was run", "Say --yes to run it without being asked")
    found = again.execute(plan, tracking_uri)
    if json_:
        print_json(back.reproduce_json(found))
    else:
        back.reproduce(found)
    ctx.exit(YES if found.is_equal else NO)


def _agreed() -> bool:
    try:
        return click.confirm("Run this?", err=True)
    except click.Abort:  # nobody is there to answer
        return False
