"""What commands share: how they are declared, their options, exit codes, JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, TypeVar

import click

from mlflow_dvc.cli import terminal
from mlflow_dvc.errors import MlflowDvcError

YES, NO, NO_ANSWER, NOTHING, INTERRUPTED = 0, 1, 2, 3, 130
VERDICT_CODES = {"PASS": YES, "FAIL": NO, "TAMPERED": NO, "UNVERIFIED": NO_ANSWER}
# The parts of ``--help``, in this order.
RECORD, FIND, BRING_BACK, KEEP, START = SECTIONS = (
    "Record (runs are recorded by themselves)", "Find", "Bring back", "Keep", "Start",
)  # fmt: skip
Command = TypeVar("Command", bound=Callable[..., Any])
_RUN = (
    "RUN is a run id or a unique beginning of one, the name of a run, runs:/ID,"
    " models:/name/version, models:/name@alias, the id of a logged model, or the address of"
    " MLflow's page of one of these."
)


class SectionCommand(click.Command):
    """A command, and the part of ``--help`` that it stands in."""

    section = ""


def command(
    section: str, summary: str, *examples: str, explain_run: bool = False
) -> Callable[[Callable[..., Any]], SectionCommand]:
    """Declare a command: its line in ``--help``, and what is said below its options.

    With ``explain_run`` its help says what RUN may be.
    """
    lines = "\n".join(f"  mlflow-dvc {example}" for example in examples)
    epilog = (f"{_RUN}\n\n" if explain_run else "") + f"\b\nExamples:\n{lines}"

    def declare(function: Callable[..., Any]) -> SectionCommand:
        made = click.command(cls=SectionCommand, short_help=summary, epilog=epilog)(function)
        made.section = section
        made.params += common_options(hidden=True)
        return made

    return declare


def common_options(*, hidden: bool = False) -> list[click.Parameter]:
    """Those of every command, before or after its name; listed before it, else ``hidden``."""

    def flag(name: str) -> Callable[[click.Context, click.Parameter, bool], None]:
        def set_flag(ctx: click.Context, option: click.Parameter, is_given: bool) -> None:
            if is_given:
                setattr(terminal, name, True)

        return set_flag

    def flag_option(names: list[str], state: str, text: str) -> click.Option:
        return click.Option(
            names, is_flag=True, expose_value=False, callback=flag(state), help=text, hidden=hidden
        )

    return [
        click.Option(
            ["-C", "place"], metavar="DIR", type=click.Path(exists=True, file_okay=False),
            expose_value=False, is_eager=True, callback=_go_to, hidden=hidden,
            help="Work as if called in DIR.",
        ),
        flag_option(["-q", "--quiet"], "is_quiet", "Print the answer and errors alone."),
        flag_option(["-v", "--verbose"], "is_verbose", "With an error, print where it came from."),
        flag_option(["--wide"], "is_wide", "As if the terminal had no width: all columns."),
    ]  # fmt: skip


def _go_to(ctx: click.Context, option: click.Parameter, directory: str | None) -> None:
    if directory is not None:
        os.chdir(directory)


def json_option(command: Command) -> Command:
    """``--json``, the same on every command."""
    return click.option("--json", "json_", is_flag=True, help="Print JSON.")(command)


def tracking_uri_option(command: Command) -> Command:
    """``--tracking-uri``, the same on every command that asks MLflow."""
    return click.option(
        "--tracking-uri",
        metavar="URI",
        help="The MLflow server; default: MLFLOW_TRACKING_URI, as for MLflow itself.",
    )(command)


def restore_options(command: Command) -> Command:
    """``--to`` and ``--at``, the same on every command that brings a run back."""
    to = click.option(
        "--to",
        metavar="DIR",
        type=click.Path(file_okay=False),
        help="Where; it must not exist yet. Default: beside this repository, named after RUN.",
    )
    at = click.option(
        "--at", metavar="REV", help="A revision to take in place of a commit that is lost."
    )
    return to(at(command))


def asking_options(command: Command) -> Command:
    """``--dry-run`` and ``--yes``, the same on every command that asks before it changes much."""
    dry_run = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
    return dry_run(click.option("-y", "--yes", is_flag=True, help="Do it without asking.")(command))


@contextmanager
def output_file(name: str, mode: str) -> Iterator[IO[Any]]:
    """The file ``name``, or standard output for ``-``; as it was before if anything fails.

    Raises MlflowDvcError where it cannot be written.
    """
    encoding = None if "b" in mode else "utf-8"
    try:
        with click.open_file(name, mode, encoding=encoding, atomic=True) as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise MlflowDvcError(
            f"{name} cannot be written: {error.strerror or error}",
            "Name a file in a folder that is there, and that you may write to",
        ) from error


def exit_code(answer: bool | None) -> int:
    """None: it is not known."""
    return NO_ANSWER if answer is None else YES if answer else NO


def print_json(raw: Mapping[str, Any]) -> None:
    click.echo(json.dumps(_finite(raw), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    """A metric that is no number is a word: JSON has no other."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
