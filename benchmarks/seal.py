"""What sealing and checking add to `dvc repro`: the same stage with and without us, in turn.

python benchmarks/seal.py [REPEATS] [MEGABYTES ...]

Each stage logs a run and writes one output of the given size, other bytes every time. Prints the
median seconds of a whole `dvc repro`, and the ratio to the same without us.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (1, 300, 2000)
MODES = {
    "without us": {"MLFLOW_DVC_ENABLED": "0"},
    "neither": {"MLFLOW_DVC_CHECK": "0", "MLFLOW_DVC_SEAL": "0"},
    "check": {"MLFLOW_DVC_SEAL": "0"},
    "check and seal": {},
}
TRAIN = """\
import os, sys, mlflow
with mlflow.start_run():
    mlflow.log_metric("x", 1)
with open("model.bin", "wb") as file:
    for _ in range(int(sys.argv[1])):
        file.write(os.urandom(1000) * 1000)
"""


def lay_out(root: Path, megabytes: int) -> None:
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True)
    (root / "train.py").write_text(TRAIN)
    (root / "dvc.yaml").write_text(
        "stages:\n  train:\n"
        f"    cmd: {sys.executable} train.py {megabytes}\n"
        "    deps: [train.py]\n    outs: [model.bin]\n"
    )
    # The store outside the project, made beforehand: it is no part of what is compared.
    code = "import mlflow; mlflow.MlflowClient().search_experiments()"
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True)


def reproduce(root: Path, env: dict[str, str]) -> float:
    shutil.rmtree(root / ".dvc/cache", ignore_errors=True)  # or the disk fills up
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--quiet"]
    start = time.perf_counter()
    subprocess.run(command, cwd=root, env=os.environ | env, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print(f"{'output':>9}", *(f"{mode:>22}" for mode in MODES))
    for megabytes in map(int, sys.argv[2:] or SIZES):
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory, "project")
            root.mkdir()
            os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{directory}/mlflow.db"
            lay_out(root, megabytes)
            reproduce(root, {})  # warm: byte code, DVC's own memory of the project
            times: dict[str, list[float]] = {mode: [] for mode in MODES}
            for _ in range(repeats):
                for mode, env in MODES.items():
                    times[mode].append(reproduce(root, env))
            bare = statistics.median(times["without us"])
            print(f"{megabytes:6} MB", end=" ")
            for mode in MODES:
                middle = statistics.median(times[mode])
                print(f"{middle:13.2f} s {middle / bare:6.2f}", end=" ", flush=True)
            print()


if __name__ == "__main__":
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DVC_NO_ANALYTICS"] = "1"
    main()
