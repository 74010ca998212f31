"""``python -m mlflow_dvc.dvc_backend TASK [idle]``: JSON on stdin, one JSON answer on stdout."""

import json
import os
import signal
import sys
from importlib import import_module

_TASKS = {
    "bring": "bring",
    "check": "check",
    "command": "command",
    "contains": "contains",
    "diff": "diff",
    "exists": "exists",
    "fetch": "fetch",
    "locate": "fetch",
    "params": "params",
    "pushed": "pushed",
    "resolve": "resolve",
    "seal": "seal",
}

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through every `finally`
    if "idle" in sys.argv and hasattr(os, "nice"):  # not on Windows
        os.nice(19)
    task = sys.argv[1]
    work = getattr(import_module(f"mlflow_dvc.dvc_backend.{_TASKS[task]}"), f"{task}_here")
    request = json.load(sys.stdin)
    # What DVC prints is no part of the answer.
    answer, sys.stdout = sys.stdout, sys.stderr
    json.dump(work(**request), answer, default=str)
