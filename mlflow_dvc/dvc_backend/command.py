"""What DVC would run for a stage: its commands, with every template filled in."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_dvc.dvc_backend.aside import repo_aside
from mlflow_dvc.dvc_backend.child import ask, words

_SECONDS = 600.0


@dataclass(frozen=True)
class Command:
    """``lines`` are run one after another by the shell, in ``directory``.

    What lies at ``outs`` (absolute paths) is removed before.
    """

    lines: tuple[str, ...]
    directory: str
    outs: tuple[str, ...]


def command_of(root: str, address: str) -> Command | str:
    """Of the stage that DVC knows as ``address`` in the project ``root``; in words why of none.

    Raises OSError where DVC cannot be asked.
    """
    answer = ask("command", {"root": root, "address": address}, _SECONDS)
    if "fault" in answer:
        return str(answer["fault"])
    return Command(tuple(answer["lines"]), answer["directory"], tuple(answer["outs"]))


def command_here(root: str, address: str) -> dict[str, object]:
    """The same in this process: imports DVC and changes the working directory."""
    try:
        with repo_aside(root) as repo:
            (stage,) = repo.stage.collect(address)
            cmd = stage.cmd
            lines = [] if cmd is None else [cmd] if isinstance(cmd, str) else list(cmd)
            outs = [out.fs_path for out in stage.outs if out.fs.protocol == "local"]
            return {"lines": lines, "directory": stage.wdir, "outs": outs}
    except Exception as error:
        return {"fault": words(error)}
