"""The command ``demo``."""

from __future__ import annotations

import click

from mlflow_dvc.cli.options import START, command


@command(START, "The whole story on real data, in a new directory.", "demo", "demo /tmp/story")
@click.argument("directory", required=False, type=click.Path(), metavar="[DIR]")
@click.option("--open", "opens", is_flag=True, help="Open MLflow's page of the runs; Ctrl-C ends.")
def demo(directory: str | None, opens: bool) -> None:
    """Lay out a small project with real data in DIR, run it twice, find both runs by their data.

    DIR (default: mlflow-dvc-demo) must not exist yet or be empty. Everything stays inside it: the
    project, its DVC remote and an MLflow store. Both models are registered there, as churn.
    """
    from mlflow_dvc.cli import terminal
    from mlflow_dvc.cli.demo_story import run_demo

    run_demo(directory or "mlflow-dvc-demo", terminal.DemoOutput(), opens=opens)
