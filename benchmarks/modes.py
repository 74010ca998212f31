"""The same program in several settings, in turn, for several sizes of its input."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

Environment = dict[str, str]


def compare(  # noqa: PLR0913 - the parts of one table
    heading: str,
    sizes: Iterable[int],
    modes: Mapping[str, Environment],
    lay_out: Callable[[Path, int], None],
    call: Callable[[Path, Environment], None],
    *,
    repeats: int,
    unit: str = "",
) -> None:
    """Print the median seconds of a call in each mode, and the ratio to the first one.

    ``repeats`` and ``sizes`` are the defaults of the words of the command line.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DVC_NO_ANALYTICS"] = "1"
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else repeats
    print(f"{heading:>9}", *(f"{mode:>22}" for mode in modes))
    for size in map(int, sys.argv[2:] or sizes):
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory, "project")
            root.mkdir()
            os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{directory}/mlflow.db"
            lay_out(root, size)
            call(root, {})  # warm: byte code, hashes, what DVC and MLflow make once
            times: dict[str, list[float]] = {mode: [] for mode in modes}
            for _ in range(repeats):
                for mode, env in modes.items():
                    start = time.perf_counter()
                    call(root, env)
                    times[mode].append(time.perf_counter() - start)
            bare = statistics.median(times[next(iter(modes))])
            print(f"{f'{size:,}{unit}':>9}", end=" ")
            for mode in modes:
                middle = statistics.median(times[mode])
                print(f"{middle:13.2f} s {middle / bare:6.2f}", end=" ", flush=True)
            print()
