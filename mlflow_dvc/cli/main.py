"""The group of commands: finds them, lists them in `--help`, turns errors into exit codes."""

from __future__ import annotations

import pkgutil
import traceback
from importlib import import_module
from typing import Any

import click

from mlflow_dvc._version import __version__
from mlflow_dvc.cli import commands, terminal
from mlflow_dvc.cli.interruption import hear_signals, leave_threads
from mlflow_dvc.cli.options import INTERRUPTED, NO_ANSWER, SECTIONS, common_options
from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.visible_text import escape_hidden

# What is installed by another name than it is imported by.
_PACKAGES = {"detect_secrets": "detect-secrets", "dvc_data": "dvc-data", "yaml": "PyYAML"}


class _Refused(click.ClickException):
    exit_code = NO_ANSWER

    def format_message(self) -> str:
        """What is wrong may be in the words of a run."""
        return escape_hidden(self.message, keep="\n")


def _refusal(message: str) -> _Refused:
    """Of the exception that is being handled, whose origin is shown to whoever asked for it."""
    if terminal.is_verbose:
        traceback.print_exc()
    return _Refused(message)


def _missing_package(error: ModuleNotFoundError) -> str | None:
    """The package to install, as an image without all of our requirements lacks one; else None."""
    top = (error.name or "").partition(".")[0]
    return None if top in ("", "mlflow_dvc") else _PACKAGES.get(top, top)


class _Group(click.Group):
    """Turns our own exceptions into one clear message and exit code 2; lists commands by use."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in SECTIONS:
            rows = [
                (name, command.get_short_help_str(formatter.width))
                for name, command in self.commands.items()
                if getattr(command, "section", None) == section
            ]
            if rows:
                with formatter.section(section):
                    formatter.write_dl(rows)

    def make_context(self, *words: Any, **more: Any) -> click.Context:
        terminal.forget_options()
        return super().make_context(*words, **more)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            click.echo(escape_hidden(str(error) or "interrupted"), err=True)
            ctx.exit(INTERRUPTED)
        except MlflowDvcError as error:
            raise _refusal(f"{error.problem}.\n{error.remedy}".rstrip()) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except OSError as error:  # a file, git or the network
            raise _refusal(f"{error or type(error).__name__}") from error
        except Exception as error:  # a fault of ours is no "no"
            if isinstance(error, ModuleNotFoundError) and (package := _missing_package(error)):
                said = f"{package} is not installed here.\nInstall it: pip install {package}"
                raise _refusal(said) from error
            traceback.print_exc()
            raise _Refused(f"{type(error).__name__}, see above") from error


@click.group(
    cls=_Group, params=common_options(), context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="mlflow-dvc")
def cli() -> None:
    """Which code and which DVC data is behind an MLflow run, and which runs saw this data.

    Nothing needs to be called for runs to be recorded: that happens by itself wherever this package
    is installed beside MLflow. MLFLOW_DVC_ENABLED=0 turns it off.

    On a terminal, long work shows how much of it is done, and the time left. Ctrl-C keeps what is
    done, and says what that is.

    Exit codes: 0 yes, 1 no, 2 could not answer, 3 there was nothing to judge, 130 interrupted.
    """


for _module in pkgutil.iter_modules(commands.__path__):
    cli.add_command(getattr(import_module(f"{commands.__name__}.{_module.name}"), _module.name))


def main() -> None:
    """Console script."""
    hear_signals()
    try:
        cli(prog_name="mlflow-dvc")
    except SystemExit as error:
        if error.code == INTERRUPTED:
            leave_threads(INTERRUPTED)
        raise
