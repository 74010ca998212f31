"""The commands: parse, call, exit code. What is printed stands in ``render``."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import click

from mlflow_dvc import __version__
from mlflow_dvc.errors import MlflowDvcError

YES, NO, NO_ANSWER = 0, 1, 2
Command = TypeVar("Command", bound=Callable[..., Any])


class _Refused(click.ClickException):
    exit_code = NO_ANSWER


class _Group(click.Group):
    """Turns our own exceptions into one clear message and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MlflowDvcError as error:
            raise _Refused(f"{error.problem}.\n{error.remedy}".rstrip()) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:  # a fault of ours is no "no"
            traceback.print_exc()
            raise _Refused(f"{type(error).__name__}, see above") from error


def as_json(command: Command) -> Command:
    """``--json``, the same on every command."""
    return click.option("--json", "json_", is_flag=True, help="Print JSON.")(command)


def at_server(command: Command) -> Command:
    """``--tracking-uri``, the same on every command that asks MLflow."""
    return click.option(
        "--tracking-uri",
        metavar="URI",
        help="The MLflow server; default: MLFLOW_TRACKING_URI, as for MLflow itself.",
    )(command)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mlflow-dvc")
def cli() -> None:
    """Which code and which DVC data is behind an MLflow run, and which runs saw this data.

    Nothing needs to be called for runs to be recorded: that happens by itself wherever this package
    is installed beside MLflow. MLFLOW_DVC_ENABLED=0 turns it off.

    Exit codes: 0 yes, 1 no, 2 could not answer.
    """


@cli.command()
@click.argument("path", required=False, type=click.Path(exists=True, file_okay=False))
@click.option("--check", is_flag=True, help="Hash what lies on disk, where DVC does not know it.")
@as_json
@click.pass_context
def status(ctx: click.Context, path: str | None, check: bool, json_: bool) -> None:
    """What a run started in PATH (default: here) would record, and why.

    Exits with 0 wherever there is git or DVC; what could not be read is named in the warnings.
    """
    from mlflow_dvc.capture import workspace
    from mlflow_dvc.cli import render

    with render.waiting("looking"):
        project, snapshot = workspace.look_at(path, check=check)
    if json_:
        click.echo(json.dumps(render.status_json(project, snapshot), indent=2))
    else:
        render.status(project, snapshot)
    ctx.exit(YES)


@cli.command()
@click.argument("what")
@as_json
@at_server
@click.pass_context
def search(ctx: click.Context, what: str, json_: bool, tracking_uri: str | None) -> None:
    """The runs, of every experiment, that saw WHAT.

    WHAT is a hash or the beginning of one (4 digits at least), the path of a tracked output,
    path@hash, or a file on disk, which is then looked for by its content. Exits with 1 when no run
    saw it.
    """
    from mlflow_dvc.cli import render
    from mlflow_dvc.recall.search import search as find

    with render.waiting("searching"):
        matches = find(what, tracking_uri=tracking_uri)
    if json_:
        click.echo(json.dumps(render.search_json(what, matches), indent=2))
    else:
        render.search(what, matches)
    ctx.exit(YES if matches else NO)


@cli.command()
@click.argument("run")
@as_json
@at_server
@click.pass_context
def show(ctx: click.Context, run: str, json_: bool, tracking_uri: str | None) -> None:
    """The record of RUN: its code, its data, what is attached.

    RUN is a run id or a unique beginning of one, models:/name/version, models:/name@alias, or the
    id of a logged model. Exits with 1 when the run carries no record.
    """
    from mlflow_dvc.cli import render
    from mlflow_dvc.recall.show import show as read

    with render.waiting("reading the run"):
        record = read(run, tracking_uri=tracking_uri)
    if json_:
        click.echo(json.dumps(render.show_json(record), indent=2))
    else:
        render.show(record)
    ctx.exit(YES if record.snapshot else NO)


@cli.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@as_json
@at_server
@click.pass_context
def sync(ctx: click.Context, runs: tuple[str, ...], json_: bool, tracking_uri: str | None) -> None:
    """After `dvc repro`: hold its runs against the dvc.lock that DVC wrote.

    The runs of every stage of the project around the working directory, or only each RUN. A run
    whose record is what DVC wrote is confirmed, one that has none of what its stage made gets it,
    and one that was wrong is contradicted and mended. Older runs are confirmed by the locks in
    git's history. Exits with 1 when a run was contradicted.
    """
    from mlflow_dvc.cli import render
    from mlflow_dvc.recall.sync import sync as hold

    with render.waiting("asking for the runs"):
        results = hold(*runs, tracking_uri=tracking_uri)
    if json_:
        click.echo(json.dumps(render.sync_json(results), indent=2))
    else:
        render.sync(results)
    wrong = any(result.changed and result.verdict == "contradicted" for result in results)
    ctx.exit(NO if wrong else YES)


@cli.command()
@click.argument("path", required=False, type=click.Path(exists=True, file_okay=False))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="-",
    help="Where to write it; default: standard output.",
)
def snapshot(path: str | None, output: str) -> None:
    """Freeze the record of a run started in PATH (default: here).

    For places where the code runs without its repository, such as an image or a remote worker: runs
    there carry this record if MLFLOW_DVC_SNAPSHOT names the file.
    """
    from mlflow_dvc.capture import workspace
    from mlflow_dvc.cli import render

    content = workspace.freeze(path)
    with click.open_file(output, "wb", atomic=True) as file:
        file.write(content)
    render.warn(json.loads(content)["warnings"])


@cli.command()
@click.argument("directory", required=False, type=click.Path(), metavar="[DIR]")
def demo(directory: str | None) -> None:
    """Lay out a small project with real data in DIR, run it twice, find both runs by their data.

    DIR (default: mlflow-dvc-demo) must not exist yet or be empty. Everything stays inside it: the
    project, its DVC remote and an MLflow store.
    """
    from mlflow_dvc.cli import render
    from mlflow_dvc.cli.demo import tell

    tell(directory or "mlflow-dvc-demo", render.Narrator())


def main() -> None:
    """Console script."""
    cli(prog_name="mlflow-dvc")
