"""``python -m mlflow_dvc.dvc_backend MODULE:TASK PID [idle]``: a request and an answer in JSON."""

import json
import os
import signal
import sys
from importlib import import_module

from mlflow_dvc.dvc_backend import child_process
from mlflow_dvc.dvc_backend.api import HOST_CHANGED, HostChangedError, require
from mlflow_dvc.dvc_backend.child_process import OUT_OF_TIME, TASK_FAILED, describe_dvc_error

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through every `finally`
    if hasattr(signal, "SIGXCPU"):  # not on Windows
        signal.signal(signal.SIGXCPU, lambda *_: sys.exit(OUT_OF_TIME))
    if "idle" in sys.argv and hasattr(os, "nice"):  # not on Windows
        os.nice(19)
    child_process.asker = child_process.Asker(int(sys.argv[2]))
    module, _, name = sys.argv[1].partition(":")
    task = getattr(import_module(module), name)
    request = json.load(sys.stdin)
    # What DVC prints is no part of the answer.
    answer, sys.stdout = sys.stdout, sys.stderr
    child_process.answer = answer
    child_process.note(os.getpid())
    try:
        require(*task.features)
        json.dump(task(**request), answer, default=str)
    except HostChangedError as error:
        json.dump(str(error), answer)
        sys.exit(HOST_CHANGED)
    except Exception as error:
        json.dump(describe_dvc_error(error), answer)
        sys.exit(TASK_FAILED)
