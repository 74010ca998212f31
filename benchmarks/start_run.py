"""What recording adds to a run: with the plugin, and with the same tags by hand, alternating.

python benchmarks/start_run.py [RUNS]

Prints, for projects of several sizes with MLflow's store in the project, the median time of
`start_run` and of a whole run on sqlite, and the ratio to the same tags given by hand without us.
`python -m benchmarks` has these rows among others.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import mlflow

import mlflow_dvc
from mlflow_dvc.capture import workspace

SIZES = {
    "no DVC project": None,  # the repository of this file counts
    "1 pipeline of 5 outputs": (5, 0),
    "1 pipeline of 1,000 outputs": (1000, 0),
    "1,000 .dvc files": (0, 1000),
    "5,000 .dvc files": (0, 5000),
}


def lay_out(root: Path, outputs: int, singles: int) -> None:
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True)
    if outputs:
        stages = "".join(f"  s{i}: {{cmd: c, outs: [o{i}.bin]}}\n" for i in range(outputs))
        locked = "".join(
            f"  s{i}:\n    cmd: c\n    outs:\n    - path: o{i}.bin\n      hash: md5\n"
            f"      md5: a{i:031x}\n      size: 1\n"
            for i in range(outputs)
        )
        (root / "dvc.yaml").write_text(f"stages:\n{stages}")
        (root / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n{locked}")
    for i in range(singles):
        text = f"outs:\n- md5: a{i:031x}\n  size: 1\n  hash: md5\n  path: d{i}.csv\n"
        folder = root / "data" / str(i // 100)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"d{i}.csv.dvc").write_text(text)
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    command = ["git", "-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "b"]
    subprocess.run(command, cwd=root, check=True)


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(runs: int) -> tuple[list[float], list[float], list[float], list[float]]:
    """Seconds of `start_run` and of whole runs: with us, and with our tags by hand."""
    found: dict[bool, tuple[list[float], list[float]]] = {True: ([], []), False: ([], [])}
    tags = workspace.capture_run().tags
    for number in range(2 * runs):
        ours = number % 2 == 0
        with nullcontext() if ours else mlflow_dvc.disabled():
            start = mlflow.start_run if ours else partial(mlflow.start_run, tags=tags)
            begin = timed(start)
            mlflow.log_metric("x", 1)
            end = timed(mlflow.end_run)
        found[ours][0].append(begin)
        found[ours][1].append(begin + end)
    return *found[True], *found[False]


def medians(runs: int) -> Iterator[tuple[str, float, float, float, float]]:
    """Of each project: `start_run` and a whole run with us, and with the same tags by hand; ms."""
    for name, size in SIZES.items():
        with project(size):
            begin, whole, bare_begin, bare_whole = (
                statistics.median(times) * 1000 for times in measure(runs)
            )
        yield name, begin, whole, bare_begin, bare_whole


@contextmanager
def project(size: tuple[int, int] | None) -> Iterator[None]:
    """The working directory is a warm project, with MLflow's database in it."""
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        if size:
            lay_out(root, *size)
        os.chdir(root)
        mlflow.set_tracking_uri(f"sqlite:///{root}/mlflow.db")
        with mlflow_dvc.disabled():
            for _ in range(20):  # until MLflow and its database are warm
                mlflow.start_run()
                mlflow.end_run()
        workspace.capture_run()
        time.sleep(2.1)  # until the files count as settled, as they are in a real project
        workspace.capture_run()
        yield
        os.chdir(here)


def be_quiet() -> None:
    import logging

    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DVC_NO_ANALYTICS"] = "1"
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    print(f"{'project':30}{'start_run':>11}{'by hand':>9}{'ratio':>7}{'whole run':>11}", end="")
    print(f"{'by hand':>9}{'ratio':>7}")
    for name, begin, whole, bare_begin, bare_whole in medians(runs):
        print(f"{name:30}{begin:8.1f} ms{bare_begin:6.1f} ms{begin / bare_begin:7.2f}", end="")
        print(f"{whole:8.1f} ms{bare_whole:6.1f} ms{whole / bare_whole:7.2f}", flush=True)


if __name__ == "__main__":
    be_quiet()
    main()
