"""Commands about the project around the working directory."""

from __future__ import annotations

import json

import click

from mlflow_dvc.cli.options import NO, YES, json_option, print_json, tracking_uri_option


@click.command()
@click.argument("path", required=False, type=click.Path(exists=True, file_okay=False))
@click.option("--check", is_flag=True, help="Hash what lies on disk, where DVC does not know it.")
@json_option
@click.pass_context
def status(ctx: click.Context, path: str | None, check: bool, json_: bool) -> None:
    """What a run started in PATH (default: here) would record, and why.

    Exits with 0 wherever there is git or DVC; what could not be read is named in the warnings.
    """
    from mlflow_dvc.capture import workspace
    from mlflow_dvc.cli.render import record, terminal

    with terminal.waiting("looking"):
        project, snapshot = workspace.inspect(path, check=check)
    if json_:
        print_json(record.status_json(project, snapshot))
    else:
        record.status(project, snapshot)
    ctx.exit(YES)


@click.command()
@click.argument("path", required=False, type=click.Path(exists=True, file_okay=False))
@click.option("--local", is_flag=True, help="Ask neither the MLflow server nor a DVC remote.")
@json_option
@tracking_uri_option
@click.pass_context
def doctor(
    ctx: click.Context, path: str | None, local: bool, json_: bool, tracking_uri: str | None
) -> None:
    """What in the project around PATH (default: here) makes records wrong or useless; the fix.

    An error makes a record wrong, or what it names cannot be brought back; a note is about less.
    Exits with 1 when there is either.
    """
    from mlflow_dvc.cli.render import doctor as render
    from mlflow_dvc.cli.render import terminal
    from mlflow_dvc.recall.doctor import diagnose

    with terminal.waiting("looking"):
        found = diagnose(path, local=local, tracking_uri=tracking_uri)
    if json_:
        print_json(render.doctor_json(found))
    else:
        render.doctor(found)
    ctx.exit(NO if found.findings else YES)


@click.command()
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
    from mlflow_dvc.cli.render import terminal

    content = workspace.freeze(path)
    with click.open_file(output, "wb", atomic=True) as file:
        file.write(content)
    terminal.warn(json.loads(content)["warnings"])


@click.command()
@click.argument("directory", required=False, type=click.Path(), metavar="[DIR]")
def demo(directory: str | None) -> None:
    """Lay out a small project with real data in DIR, run it twice, find both runs by their data.

    DIR (default: mlflow-dvc-demo) must not exist yet or be empty. Everything stays inside it: the
    project, its DVC remote and an MLflow store.
    """
    from mlflow_dvc.cli.demo import run_demo
    from mlflow_dvc.cli.render import terminal

    run_demo(directory or "mlflow-dvc-demo", terminal.DemoOutput())
