"""What sealing and checking add to `dvc repro`: the same stage with and without us, in turn.

python -m benchmarks.seal [REPEATS] [MEGABYTES ...]

Each stage logs a run and writes one output of the given size, other bytes every time. Prints the
median seconds of a whole `dvc repro`, and the ratio to the same without us.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.modes import compare

SIZES = (1, 300, 2000)
MODES: dict[str, dict[str, str]] = {
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


def reproduce(root: Path, env: dict[str, str]) -> None:
    shutil.rmtree(root / ".dvc/cache", ignore_errors=True)  # or the disk fills up
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--quiet"]
    subprocess.run(command, cwd=root, env=os.environ | env, check=True, capture_output=True)


if __name__ == "__main__":
    compare("output", SIZES, MODES, lay_out, reproduce, repeats=3, unit=" MB")
