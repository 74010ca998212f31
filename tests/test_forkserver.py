"""The fork server of the tests: what runs in it is what the real Python would have run."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PYTHON, Project

pytestmark = pytest.mark.hosts

SHOW = """\
import os, stat, sys
print(sys.argv, __name__, __file__, sys.path[0], os.getcwd(), os.environ["MINE"])
print(sorted(name for name in vars(sys.modules["__main__"]) if not name.startswith("__")))
print(sys.stdin.read(), os.umask(0), [sys.stdout.isatty(), sys.flags.isolated])
print("to the other stream", file=sys.stderr)
"""
ENDINGS = {
    "its end": "x = 1",
    "a number": "import sys; sys.exit(3)",
    "words": "raise SystemExit('no')",
    "exception": "def f():\n    raise ValueError('bad')\nf()",
    "bad syntax": "x =",
    "exit handlers": "import atexit; atexit.register(print, 'last')",
    "an interruption": "raise KeyboardInterrupt",
    "a large number": "raise SystemExit(259)",
    "no": "import sys; sys.exit(False)",
    "an open file": "f = open('left.txt', 'w'); f.write('x'); import atexit\n"
    "atexit.register(lambda: print(open('left.txt').read() == ''))",
    "a thread": "import threading; threading.Timer(0.2, print, ['late']).start()",
    "not flushed": "import os, sys; sys.stdout.write('lost'); os._exit(4)",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "terminated": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
}


def run(python: str, *words: str, cwd: Path) -> tuple[int, str, list[str]]:
    """Exit code, output, and errors; of a traceback what is below the server's own lines."""
    done = subprocess.run(
        [python, *words], cwd=cwd, input="in", capture_output=True, text=True, check=False
    )
    lines = done.stderr.splitlines()
    theirs = [n for n, line in enumerate(lines) if line.startswith(f'  File "{cwd}')]
    return done.returncode, done.stdout, lines[theirs[0] :] if theirs else lines


@pytest.mark.parametrize("words", [["show.py", "a b"], ["-m", "show", "-x"], ["sub/../show.py"]])
def test_as_the_real_python(tmp_path: Path, monkeypatch, words: list[str]):
    """A script sees its arguments, environment, directory, streams and mask, and no trace of us."""
    monkeypatch.setenv("MINE", "été")
    (tmp_path / "show.py").write_text(SHOW)
    (tmp_path / "sub").mkdir()
    forked, real = (run(python, *words, cwd=tmp_path) for python in (sys.executable, PYTHON))
    assert forked == real


@pytest.mark.parametrize("ending", ENDINGS)
def test_ends_as_the_real_python(tmp_path: Path, ending: str):
    """However a script ends, its command ends so: exit code or signal, output, traceback."""
    (tmp_path / "end.py").write_text(ENDINGS[ending] + "\n")
    forked, real = (
        (*run(python, "end.py", cwd=tmp_path), tmp_path.joinpath("left.txt").read_text())
        for python in (sys.executable, PYTHON)
        if not tmp_path.joinpath("left.txt").write_text("")
    )
    assert forked == real


def test_is_warm(directory: Project):
    """A command has MLflow, DVC and the package imported before its first line."""
    names = '{"mlflow", "dvc.repo", "mlflow_dvc.record.hooks"}'
    directory.write("warm.py", f"import sys\nprint({names} <= set(sys.modules))\n")
    assert directory.python("warm.py") == "True\n"


def test_what_cannot_be_forked(directory: Project):
    """Code on the command line, and variables that tell Python how to start, get a new process."""
    show = "import sys; print('mlflow' in sys.modules, sys.flags.optimize)"
    directory.write("show.py", show)
    assert directory.run("python", "-c", show) == "False 0\n"
    assert directory.run("python", "-O", "show.py") == "False 1\n"
    assert directory.run("python", "show.py", PYTHONOPTIMIZE="1") == "False 1\n"


@pytest.mark.fresh
def test_fresh(directory: Project):
    """A test that is marked so starts real processes, and so do these."""
    directory.write("a.py", "import os, sys\nprint(sys.executable, flush=True)\n")
    directory.write("b.py", "import os\nos.system('python a.py')\n")
    assert sys.executable == PYTHON
    assert Path(directory.run("python", "b.py").strip()).parent == Path(PYTHON).parent


def test_signals_are_passed_on(tmp_path: Path):
    """A signal to the command reaches what it stands for; killed, it takes that along."""
    script = tmp_path / "wait.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print(os.getpid(), flush=True)\ntime.sleep(600)\n"  # until it is ended
    )
    for number, code in ((signal.SIGTERM, 7), (signal.SIGKILL, -signal.SIGKILL)):
        with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as one:
            assert one.stdout
            pid = int(one.stdout.readline())
            assert pid != one.pid
            one.send_signal(number)
            assert one.wait() == code
            assert one.stdout.read() == "", "the stream ends when nobody has it any more"
