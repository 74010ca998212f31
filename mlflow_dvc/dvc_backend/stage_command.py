"""What DVC would run for a stage: its commands, with every template filled in."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import call_dvc, describe_dvc_error
from mlflow_dvc.dvc_backend.readonly_repo import open_read_only
from mlflow_dvc.dvc_backend.resource_limits import limit_resources

_MAX_SECONDS = 600.0


@dataclass(frozen=True)
class StageCommand:
    """``lines`` are run one after another by the shell, in ``directory``.

    What lies at ``outs`` (absolute paths) is removed before.
    """

    lines: tuple[str, ...]
    directory: str
    outs: tuple[str, ...]


def stage_command(root: str, address: str) -> StageCommand | str:
    """Of the stage that DVC knows as ``address`` in a restored tree; in words why of none.

    Raises OSError where DVC cannot be asked.
    """
    answer = call_dvc(run_command, {"root": root, "address": address}, _MAX_SECONDS)
    if "fault" in answer:
        return str(answer["fault"])
    return StageCommand(tuple(answer["lines"]), answer["directory"], tuple(answer["outs"]))


@api.task("repo", "stage", "trust")
def run_command(root: str, address: str) -> dict[str, object]:
    """The task of the child process. It imports DVC and changes the working directory."""
    limit_resources()
    try:
        with open_read_only(root, foreign=True) as repo:
            (stage,) = repo.stage.collect(address)
            cmd = stage.cmd
            lines = [] if cmd is None else [cmd] if isinstance(cmd, str) else list(cmd)
            outs = [out.fs_path for out in stage.outs if out.fs.protocol == "local"]
            return {"lines": lines, "directory": stage.wdir, "outs": outs}
    except Exception as error:
        return {"fault": describe_dvc_error(error)}
