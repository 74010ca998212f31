"""The command ``gc``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlflow_dvc.cli.options import (
    KEEP,
    NO,
    NO_ANSWER,
    NOTHING,
    YES,
    asking_options,
    command,
    json_option,
    print_json,
    tracking_uri_option,
)
from mlflow_dvc.errors import NothingRecordedError

if TYPE_CHECKING:
    from mlflow_dvc.recall.gc import GcRequest


@command(
    KEEP,
    "Remove data that no commit and no recorded run needs.",
    "gc --dry-run",
    "gc --keep registered --keep 30 --cloud",
    "gc --keep \"params.kind = 'final'\" --dry-run --json",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="WHICH",
    default=("all",),
    help="Runs whose data stays: all (default), registered, aliased, a number of days, or a filter"
    " as in MLflow's search box. May be given several times.",
)
@click.option("-w", "--workspace", is_flag=True, help="Of git, keep the work tree's data alone.")
@click.option("-a", "--all-branches", is_flag=True, help="Of git, keep that of all branches.")
@click.option("-T", "--all-tags", is_flag=True, help="Of git, keep that of all tags.")
@click.option("-A", "--all-commits", is_flag=True, help="Of git, keep that of all commits.")
@click.option("--all-experiments", is_flag=True, help="Of git, keep that of all experiments.")
@click.option("-c", "--cloud", is_flag=True, help="Remove from the DVC remotes, too.")
@click.option(
    "-r", "--remote", multiple=True, metavar="NAME", help="Of the remotes, from this one alone."
)
@click.option(
    "-p",
    "--projects",
    multiple=True,
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Another project that keeps data in this cache or remote.",
)
@asking_options
@json_option
@tracking_uri_option
@click.pass_context
def gc(  # noqa: PLR0913, PLR0917 - one for each option
    ctx: click.Context,
    keep: tuple[str, ...],
    workspace: bool,
    all_branches: bool,
    all_tags: bool,
    all_commits: bool,
    all_experiments: bool,
    cloud: bool,
    remote: tuple[str, ...],
    projects: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    json_: bool,
    tracking_uri: str | None,
) -> None:
    """Remove what `dvc gc` would remove, but nothing that a recorded run needs.

    Every hash that a record names is needed, with all files of its folder, whatever became of the
    run's branch. Of git, the work tree, all commits and all experiments are kept, or what the
    options of `dvc gc` say. Lists first what goes, and which of the other runs would lose it; then
    asks. Where anything that is needed cannot be told, nothing is removed. When interrupted, it
    says what is gone.
    Exits with 1 when the answer was no, with 3 when no run would be kept.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.render import gc as render
    from mlflow_dvc.dvc_backend.storage.needed_objects import StoreScope
    from mlflow_dvc.dvc_backend.storage.unneeded import CommitScope
    from mlflow_dvc.recall import gc as recall

    if json_ and not (dry_run or yes):
        raise click.UsageError("With --json nobody can be asked: say --dry-run or --yes.")
    scope = CommitScope(all_branches, all_tags, all_commits, all_experiments)
    request = recall.GcRequest(
        keep,
        scope if scope or workspace else recall.EVERYTHING,
        StoreScope(cloud or bool(remote), remote, projects),
        tracking_uri=tracking_uri,
    )
    try:
        with terminal.waiting("looking for what is needed", "nothing was removed"):
            plan = recall.plan_gc(request)
    except NothingRecordedError as error:
        terminal.say(f"{error.problem}: nothing was removed. {error.remedy}")
        ctx.exit(NOTHING)
    result = None
    if not json_:
        render.print_plan(plan)
    if not (dry_run or plan.is_empty):
        if not (yes or terminal.confirm(_question(request), "nothing was removed")):
            ctx.exit(NO)
        with terminal.waiting("looking for what is needed by now", "nothing was removed"):
            result = recall.execute_gc(request, plan)
    if json_:
        print_json(render.gc_json(plan, result))
    if result is not None:
        render.tell_removed(result)
    ctx.exit(NO_ANSWER if result and result.faults else YES)


def _question(request: GcRequest) -> str:
    stores = request.stores
    others = "" if stores.projects or not stores.cloud else " No other project keeps data there?"
    return f"Remove this?{others}"
