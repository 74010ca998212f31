"""Every command that reads a run, in one process: ``python commands.py REQUEST ANSWERS``.

The request is JSON: a list of calls. Each answer is a line of JSON, written as soon as it is known,
so that a process that had to be killed has told how far it came.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

SECONDS = 30  # A hang, on a machine that does other things as well.
MAX_HANGS = 2
MAX_SHOWN = 20_000_000


class Hang(BaseException):
    """Nothing may catch it."""


def main(request: str, answers: str) -> None:
    calls = json.loads(Path(request).read_text())
    hangs = 0
    with open(answers, "w", encoding="utf-8") as file:
        for call in calls:
            if hangs == MAX_HANGS:
                break
            answer = run(call)
            hangs += answer["error"] == "hang"
            file.write(json.dumps(answer) + "\n")
            file.flush()


def run(call: Mapping[str, Any]) -> dict[str, Any]:
    os.chdir(call["cwd"])
    out, err = io.StringIO(), io.StringIO()
    code, error, began, cpu = 0, "", time.monotonic(), time.process_time()
    try:
        with watched(), redirect_stdout(out), redirect_stderr(err):
            code = load(call) if call["words"][0] == "load" else cli(call)
    except Hang:
        error = "hang"
    except BaseException:
        error = traceback.format_exc()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "name": call["name"], "code": code, "error": error,
        "seconds": round(time.monotonic() - began, 2), "cpu": time.process_time() - cpu,
        "memory": usage.ru_maxrss // 1024,
        "out": out.getvalue()[:MAX_SHOWN], "err": err.getvalue()[:MAX_SHOWN],
    }  # fmt: skip


@contextmanager
def watched() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 1)  # again, where a handler of others ate it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def cli(call: Mapping[str, Any]) -> int:
    from mlflow_dvc.cli.main import cli as group

    try:
        group(args=list(call["words"]), prog_name="mlflow-dvc")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def load(call: Mapping[str, Any]) -> int:
    """Each dataset of the run, into the folder that is named; it lies where it may."""
    import mlflow
    from mlflow.exceptions import MlflowException

    from mlflow_dvc import MlflowDvcError

    code = 0
    for given in mlflow.MlflowClient().get_run(call["run"]).inputs.dataset_inputs:
        try:
            path = os.path.realpath(mlflow.data.get_source(given.dataset).load(*call["words"][1:]))
        except (MlflowDvcError, MlflowException) as error:
            print(type(error).__name__, str(error)[:2000], file=sys.stderr)
            code = 2
        else:
            where = [
                root for root in call["roots"] if path.startswith(os.path.realpath(root) + os.sep)
            ]
            assert where, f"load() leads to {path}"
    return code


if __name__ == "__main__":
    main(*sys.argv[1:])
