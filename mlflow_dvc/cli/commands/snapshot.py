"""The command ``snapshot``."""

from __future__ import annotations

import json

import click

from mlflow_dvc.cli.options import RECORD, command, output_file


@command(RECORD, "Freeze the record, for runs without a repository.", "snapshot -o record.json")
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
    from mlflow_dvc.cli import terminal

    content = workspace.freeze(path)
    with output_file(output, "wb") as file:
        file.write(content)
    terminal.warn(json.loads(content)["warnings"])
