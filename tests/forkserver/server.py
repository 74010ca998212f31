"""A warm interpreter that forks: each child is the Python that a command asked for.

The child goes on from the last lines of this file. What it runs is at the bottom of the stack, as
a script is, and ends as a script ends: the interpreter itself prints the traceback, waits for
threads and runs the exit handlers. What comes after these is left out: to take apart all modules
that are imported here costs several times what most commands do.
"""

from __future__ import annotations

import array
import atexit
import builtins
import contextlib
import gc
import importlib
import inspect
import logging
import marshal
import multiprocessing.process
import os
import pkgutil
import random
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import threading
import time
import types
from dataclasses import dataclass
from typing import Any

import measured

# What a run, a command of DVC and one of ours import; some are not in every version.
WARM = (
    "mlflow",
    "mlflow.tracking.fluent",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.store.tracking.file_store",
    "mlflow.store.db.utils",
    "mlflow.store.artifact.local_artifact_repo",
    "sqlalchemy.dialects.sqlite",
    "alembic.command",
    "git",
    "grandalf.layouts",
    "sklearn.datasets",
    "sklearn.linear_model",
    "networkx",
    "rich.progress",
    "rich.table",
    "rich.tree",
    "dvc.cli.parser",
    "dvc.commands.repro",
    "dvc.cachemgr",
    "dvc.daemon",
    "dvc.data_cloud",
    "dvc.lock",
    "dvc.render.convert",
    "dvc.dirs",
    "dvc.repo.index",
    "dvc.repo.metrics",
    "dvc.repo.params",
    "dvc.repo.plots",
    "dvc.repo.stage",
    "dvc.repo.worktree",
    "dvc.rwlock",
    "dvc.scm",
    "dvc.stage.cache",
    "dvc.utils.strictyaml",
    "dvc_data.hashfile.db.local",
    "dvc_data.hashfile.status",
    "dvc_data.index.checkout",
    "dvc_data.index.collect",
    "dvc_data.index.fetch",
    "dvc_data.index.push",
    "dulwich.ignore",
    "dulwich.worktree",
    "platformdirs",
    "rich.status",
    "ruamel.yaml",
    "scmrepo.git",
)
# How the script ended: what the interpreter keeps to itself until the last exit handler has run.
_ended_by: int | type[KeyboardInterrupt] = 1
_later: list[dict[str, Any]] = []


@dataclass
class Request:
    """What a command was called with."""

    words: list[str]
    env: dict[bytes, bytes]
    directory: str
    umask: int
    streams: list[int]


class Stream:
    """What ``sys.stdout`` is by now: DVC's log would keep the one that was there when it started,
    in a process that gives it another before it imports DVC."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(getattr(sys, self._name), attribute)


def warm() -> None:
    """Import all that is slow to import, but leave to the children what a start is of ours: a fork
    of this process is no fork to what runs in it."""
    real = os.register_at_fork

    def register(**hooks: Any) -> None:
        if any(str(hook.__module__).startswith("mlflow_dvc") for hook in hooks.values()):
            _later.append(hooks)
        else:
            real(**hooks)

    os.register_at_fork = register  # type: ignore[assignment]
    for name in WARM:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    import mlflow_dvc

    for module in pkgutil.walk_packages(mlflow_dvc.__path__, "mlflow_dvc."):
        if not module.name.endswith("__main__") and ".demo." not in module.name:
            importlib.import_module(module.name)
    os.register_at_fork = real
    give_streams_back()
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()


def give_streams_back() -> None:
    """What colorama and DVC's log have done to the streams, as if they were not imported yet."""
    handlers = [reference() for reference in logging._handlerList]  # type: ignore[attr-defined]
    for name in ("stdout", "stderr"):
        wrapped, real = getattr(sys, name), getattr(sys, f"__{name}__")
        for handler in handlers:
            if vars(handler).get("stream") in (wrapped, real):
                handler.stream = Stream(name)
        setattr(sys, name, real)


class Server:
    """Forks in its only thread; tells each command how the child of its own has ended."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._running: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._woken, self._waking = socket.socketpair()
        for one in (self._woken, self._waking):
            one.setblocking(False)

    def serve(self) -> Request:
        """Returns in children only."""
        signal.set_wakeup_fd(self._waking.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for source in (self._listening, self._woken, sys.stdin):
            self._selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is sys.stdin:
                    self._end()
                elif key.fileobj is self._woken:
                    self._woken.recv(4096)
                    self._reap()
                elif key.fileobj is self._listening:
                    if (request := self._accept()) is not None:
                        return request
                else:
                    self._pass_on(key.data, key.fileobj)

    def _accept(self) -> Request | None:
        connection, _ = self._listening.accept()
        try:
            request = read(connection)
        except (OSError, EOFError, ValueError):  # the command was killed while it asked
            connection.close()
            return None
        with measured.unless(request.words[:2] == ["-m", "dvc"]):
            pid = os.fork()
        if pid == 0:
            connection.close()
            self._become_nobody()
            return request
        for stream in request.streams:
            os.close(stream)
        self._running[pid] = connection
        self._selector.register(connection, selectors.EVENT_READ, pid)
        return None

    def _pass_on(self, pid: int, connection: Any) -> None:
        """A signal that the command got; or, if it is gone, the one that cannot be passed on."""
        if pid not in self._running:
            return
        try:
            got = connection.recv(16)
        except OSError:
            got = b""
        for number in got or [signal.SIGKILL]:
            os.kill(pid, number)
        if not got:
            self._selector.unregister(connection)

    def _reap(self) -> None:
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            connection = self._running.pop(pid)
            if connection in self._selector.get_map():
                self._selector.unregister(connection)
            with contextlib.suppress(OSError), connection:  # the command may have been killed
                connection.send(status.to_bytes(4, "big"))

    def _become_nobody(self) -> None:
        """In the child: nothing of the server is left."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for one in (self._listening, self._woken, self._waking, *self._running.values()):
            one.close()

    def _end(self) -> None:
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)


def read(connection: socket.socket) -> Request:
    descriptors = array.array("i")
    size, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(3 * descriptors.itemsize))
    for _, _, data in ancillary:
        descriptors.frombytes(data)
    content = b""
    while len(size) == 4 and len(content) < int.from_bytes(size, "big"):
        part = connection.recv(1 << 20)
        if not part:
            break
        content += part
    return Request(*marshal.loads(content), list(descriptors))


def become(request: Request) -> None:
    """What a new process has from its caller."""
    os.setsid()
    for number, stream in enumerate(request.streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environb.clear()
    os.environb.update(request.env)
    os.umask(request.umask)
    os.chdir(request.directory)
    time.tzset()
    tempfile.tempdir = None
    random.seed()
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()
    multiprocessing.process.ORIGINAL_DIR = request.directory  # type: ignore[attr-defined]
    importlib.invalidate_caches()
    sys.executable = sys.argv[2]
    for hooks in _later:
        os.register_at_fork(**hooks)
    observe_from_import()


def observe_from_import() -> None:
    """What a process reads is observed from its own import of MLflow on: here it is the first."""
    from mlflow_dvc.observe import beginning
    from mlflow_dvc.record import hooks

    real, is_of_others = builtins.__import__, beginning._is_of_others

    def first(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "mlflow":
            builtins.__import__ = real
            hooks.observe()
        return real(name, *rest, **named)

    builtins.__import__ = first
    beginning._is_of_others = lambda file: file == __file__ or is_of_others(file)


def main_module(request: Request) -> tuple[Any, dict[str, Any]]:
    """Code to run, and its namespace."""
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = __builtins__
    if request.words[0] == "-m":
        sys.argv[:] = ["-m", *request.words[2:]]
        sys.path[0] = request.directory
        code = f"runpy._run_module_as_main({request.words[1]!r})"
        return code, {"runpy": runpy}
    path = request.words[0]
    sys.argv[:] = request.words
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    module.__file__ = os.path.join(request.directory, path)
    with open(path, "rb") as file:
        return compile(file.read(), module.__file__, "exec"), module.__dict__


@atexit.register  # the first, and so the last of all that will run
def leave() -> None:
    """End at once, as if the interpreter had taken everything apart."""
    vars(sys.modules["__main__"]).clear()  # closes the files that the script has left open
    for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
        with contextlib.suppress(AttributeError, OSError, ValueError):  # none, broken or closed
            stream.flush()
    if _ended_by is KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(_ended_by if isinstance(_ended_by, int) else 1)


def exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    return error.code & 0xFF if isinstance(error.code, int) else 1


warm()
if measured.keep():  # else every child would write down all these imports once more
    inspect.stack()  # coverage asks for it at each start; what the first one costs is kept
request = Server(socket.socket(fileno=int(sys.argv[1]))).serve()
become(request)
try:
    exec(*main_module(request))
    _ended_by = 0
except SystemExit as error:
    _ended_by = exit_code(error)
    raise
except KeyboardInterrupt:
    _ended_by = KeyboardInterrupt
    raise
