"""Python for the tests without the seconds that importing takes.

One process (``server``) has MLflow, DVC and this package imported, and forks for every command that
a test, a stage of ``dvc repro`` or the package itself starts as ``python``, ``dvc`` or
``mlflow-dvc``. These commands are scripts (``client``) that hand over what they were called with:
arguments, environment, working directory, streams. What a fork cannot be like (``-c``, other flags,
a PYTHONPATH, another user) they give to the real Python. A test that is about what a new process is
has the mark ``fresh`` and sees none of this.

The server is started by the process that collects, and ends with it: its input is a pipe from
there. So do other servers whose input is ``alive``, a pipe beside the commands.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
COMMANDS = ("python", "python3", "dvc", "mlflow-dvc")
# Nobody is asked for news; and no threads of a library, of which Python would warn at each fork.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
TOLD = ("PYTHON", "LANG", "LC_")  # what tells Python how to start begins with one of these


@contextmanager
def running(environment: Mapping[str, str]) -> Iterator[Path]:
    """The folder of the commands, for PATH. Those started before it is warm wait for it.

    ``environment`` is the server's, while it imports; each command has its caller's.
    """
    home = Path(tempfile.mkdtemp(prefix="fork-"))  # 0700: other users have to start their own
    address = home / "socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(address))
        listening.listen(128)
        server = subprocess.Popen(
            [sys.executable, HERE / "server.py", str(listening.fileno()), home / "bin/python"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[listening.fileno()],
            start_new_session=True,  # Ctrl-C is for the tests, which then end it
            env={**environment, **ENVIRONMENT},
        )
    os.mkfifo(home / "alive")
    alive = os.open(home / "alive", os.O_RDWR)  # RDWR: only to write, it would wait for a reader
    try:
        yield _commands(home / "bin", address)
        assert server.poll() is None, "the fork server has ended before the tests"
    finally:
        os.close(alive)
        server.stdin.close()  # type: ignore[union-attr]
        server.wait()
        shutil.rmtree(home)


def _commands(folder: Path, address: Path) -> Path:
    folder.mkdir()
    settings = {
        "ADDRESS": str(address),
        "PYTHON": sys.executable,
        "TOLD": TOLD,
        "START": {key: value for key, value in os.environ.items() if key.startswith(TOLD)},
    }
    # By a name without spaces, and shorter than the first line of a script may be.
    plain = folder / "interpreter"
    plain.symlink_to(os.path.realpath(sys.executable))
    lines = [f"#!{plain} -IS\n", *(f"{key} = {settings[key]!r}\n" for key in settings)]
    for name in COMMANDS:
        (folder / name).write_text("".join(lines) + (HERE / "client.py").read_text("utf-8"))
        (folder / name).chmod(0o755)
    (folder / "mlflow").symlink_to(Path(sys.executable).with_name("mlflow"))
    return folder
