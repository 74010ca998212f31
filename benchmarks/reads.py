"""What observing adds to a training that reads small files: with and without it, in turn.

python -m benchmarks.reads [REPEATS] [FILES ...]

The files have 4,096 bytes, and lie in folders of 1,000. With each there is about a tenth of a
millisecond of work, less than it takes to decode a small picture. Prints the median seconds of the
whole process, and the ratio to the same without observing (`MLFLOW_DVC_READS=0`) and without us.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.modes import compare

FILES = (10, 10_000, 100_000)
MODES: dict[str, dict[str, str]] = {
    "without us": {"MLFLOW_DVC_ENABLED": "0"},
    "not observed": {"MLFLOW_DVC_READS": "0"},
    "observed": {},
}
TRAIN = """\
import glob, mlflow, numpy
with mlflow.start_run():
    for name in glob.iglob("data/*/*"):
        with open(name, "rb") as file:
            image = numpy.frombuffer(file.read(), numpy.uint8).reshape(64, 64) * 1e-4
        for _ in range(7):
            image = image @ image
"""


def lay_out(root: Path, number: int) -> None:
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True)
    (root / "train.py").write_text(TRAIN)
    for at in range(number):
        file = root / f"data/{at // 1000}/{at}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(4096))
    subprocess.run([sys.executable, "-m", "dvc", "add", "-q", "data"], cwd=root, check=True)
    (root / ".gitignore").write_text("/data\n/mlflow.db\n/mlruns/\n")
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    command = ["git", "-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "b"]
    subprocess.run(command, cwd=root, check=True)


def train(root: Path, env: dict[str, str]) -> None:
    command = [sys.executable, "train.py"]
    subprocess.run(command, cwd=root, env=os.environ | env, check=True, capture_output=True)


if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    compare("files", FILES, MODES, lay_out, train, repeats=5)
