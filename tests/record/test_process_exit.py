"""How a process ends, told from within: a grid of small processes, each a real one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import PYTHON
from endings import FAILURES

import mlflow_dvc.record.process_exit as module

pytestmark = [pytest.mark.fresh, pytest.mark.hosts]

# What tells nobody how it ended: no exit handler runs, or a SystemExit that only Python sees.
SILENT = {"killed": "", "_exit": "", **dict.fromkeys(
    ("SystemExit", "words", "builtin", "another exit before"), "unknown"
)}  # fmt: skip
SUCCESSES = {
    "its end": "pass",
    "sys.exit": "import sys; sys.exit()",
    "zero": "import sys; sys.exit(0)",
    "False": "import sys; sys.exit(False)",
    "an exit that was caught": (
        "import sys\ntry:\n    sys.exit(5)\nexcept SystemExit:\n    pass\n"
    ),
    "an exit before another": (
        "import sys\ntry:\n    sys.exit(5)\nexcept SystemExit:\n    pass\nsys.exit(0)"
    ),
    "an exit after another": (
        "import sys\ntry:\n    sys.exit(0)\nexcept SystemExit:\n    sys.exit(None)"
    ),
}
COMMANDS = {"script": ["train.py"], "module": ["-m", "train"], "code": ["-c", "import train"]}
# The module by itself: its package imports MLflow, which has no part in this.
WATCHED = """\
import atexit, importlib.util
spec = importlib.util.spec_from_file_location("ending", {path!r})
ending = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ending)
watcher = ending.ExitWatcher()
atexit.register(lambda: print("OUTCOME", watcher.exit_outcome(), flush=True))
watcher.watch()
"""


def end(folder: Path, command: str, how: str) -> tuple[int, str]:
    """Exit code of a process that ends like that, and what it took it for."""
    code = WATCHED.format(path=module.__file__) + how + "\n"
    (folder / "train.py").write_text(code)
    done = subprocess.run(
        [PYTHON, *COMMANDS[command]], cwd=folder, capture_output=True, text=True, check=False
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("OUTCOME")]
    return done.returncode, " ".join(told).removeprefix("OUTCOME ")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("ending", FAILURES)
def test_failures(tmp_path: Path, command: str, ending: str):
    """A process that fails says so, or that it does not know, however it was started."""
    code, told = end(tmp_path, command, FAILURES[ending])
    assert code != 0
    assert told == SILENT.get(ending, "failed")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("ending", SUCCESSES)
def test_successes(tmp_path: Path, command: str, ending: str):
    """A process that ends with success says so, whatever was caught before."""
    assert end(tmp_path, command, SUCCESSES[ending]) == (0, "well")


def test_no_guess(tmp_path: Path):
    """``exit()`` of the site module is success to Python; nothing tells us, and we do not guess."""
    assert end(tmp_path, "script", "exit()") == (0, "unknown")
