"""``python -m mlflow_dvc.dvc_backend MODULE:TASK PID [MODE]...``: request and answer in JSON."""

import atexit
import json
import os
import signal
import sys
from contextlib import nullcontext
from importlib import import_module

from mlflow_dvc.dvc_backend import child_process
from mlflow_dvc.dvc_backend.api import (
    HOST_CHANGED,
    NOT_INSTALLED,
    HostChangedError,
    is_installed,
    require,
)
from mlflow_dvc.dvc_backend.child_process import OUT_OF_TIME, TASK_FAILED, describe_dvc_error


def main() -> int:
    """The exit code."""
    modes = sys.argv[3:]
    signal.signal(signal.SIGTERM, lambda *_: child_process.end())
    if hasattr(signal, "SIGXCPU"):  # not on Windows
        signal.signal(signal.SIGXCPU, lambda *_: sys.exit(OUT_OF_TIME))
    if "idle" in modes and hasattr(os, "nice"):  # not on Windows
        os.nice(19)
    if not is_installed():
        sys.exit(NOT_INSTALLED)
    child_process.asker = child_process.Asker(int(sys.argv[2]))
    if "called" in modes:
        child_process.end_with_asker()
    module, _, name = sys.argv[1].partition(":")
    task = getattr(import_module(module), name)
    request = json.load(sys.stdin)
    # What DVC prints is no part of the answer.
    answer, sys.stdout = sys.stdout, sys.stderr
    child_process.answer = answer
    child_process.note(os.getpid())
    try:
        require(*task.features)
        with child_process.telling() if "followed" in modes else nullcontext():
            found = task(**request)
        json.dump(found, answer, default=str)
    except HostChangedError as error:
        json.dump(str(error), answer)
        return HOST_CHANGED
    except Exception as error:
        json.dump(describe_dvc_error(error), answer)
        return TASK_FAILED
    return 0


if __name__ == "__main__":
    try:
        code = main()
    except SystemExit:
        if not child_process.is_ended():
            raise
        # A thread that waits for the network would be waited for.
        atexit._run_exitfuncs()
        os._exit(1)
    sys.exit(code)
