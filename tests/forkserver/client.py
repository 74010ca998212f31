"""A command of the tests: it has the fork server do what it was called for, and ends as that ends.

This text becomes a script, below four settings: ADDRESS, where the server listens; PYTHON, the real
one; TOLD, the variables that tell Python how to start; START, what they said to the server. It runs
at each command, and so imports next to nothing: ``socket`` and ``signal`` cost more than all the
rest, what they are made of does not.
"""

import _signal
import _socket
import marshal
import os
import sys

MODULES = {"dvc": "dvc", "mlflow-dvc": "mlflow_dvc"}
FORWARDED = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGQUIT)


def main() -> None:
    name, *words = os.path.basename(sys.argv[0]), *sys.argv[1:]
    if name in MODULES:
        words = ["-m", MODULES[name], *words]
    if not can_be_forked(words):
        run_afresh(words)
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect(ADDRESS)  # noqa: F821
    except OSError:  # another user, or the tests are over
        run_afresh(words)
    ask(connection, words)
    end_as(connection)


def can_be_forked(words: list[str]) -> bool:
    if {key: os.environ[key] for key in os.environ if key.startswith(TOLD)} != START:  # noqa: F821
        return False
    if not os.path.isdir("."):  # somebody removed it under the command
        return False
    if words[:1] == ["-m"]:
        return len(words) > 1
    return bool(words) and not words[0].startswith("-") and os.path.isfile(words[0])


def run_afresh(words: list[str]) -> None:
    os.execv(PYTHON, [PYTHON, *words])  # noqa: F821


def ask(connection: _socket.socket, words: list[str]) -> None:
    umask = os.umask(0)
    os.umask(umask)
    request = marshal.dumps((words, dict(os.environb), os.getcwd(), umask))
    descriptors = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
    size = len(request).to_bytes(4, "big")
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)]
    connection.sendmsg([size], rights)
    while request:
        request = request[connection.send(request) :]


def end_as(connection: _socket.socket) -> None:
    for number in FORWARDED:
        _signal.signal(number, lambda number, _: connection.send(bytes([number])))
    status = connection.recv(4)
    if len(status) < 4:
        os._exit(70)  # the server is gone
    status = int.from_bytes(status, "big")
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in (_signal.SIGKILL, _signal.SIGSTOP):
            _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


main()
