"""The command ``completion``."""

from __future__ import annotations

import click

from mlflow_dvc.cli.options import START, command


@command(
    START,
    "Let the shell complete these commands and their options.",
    "completion bash >> ~/.bashrc",
    "completion zsh >> ~/.zshrc",
    "completion fish > ~/.config/fish/completions/mlflow-dvc.fish",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what SHELL has to read to complete commands and options."""
    from click.shell_completion import get_completion_class

    if kind := get_completion_class(shell):
        whole = kind(ctx.find_root().command, {}, "mlflow-dvc", "_MLFLOW_DVC_COMPLETE")
        click.echo(whole.source_template % whole.source_vars())
