"""Where code and data of this process live: the git root, the DVC root, the script."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import FrameType

from mlflow_dvc import settings
from mlflow_dvc.entry_script import find_entry_module

# Where a system Python, whose prefix is /usr, installs console scripts.
_COMMANDS = frozenset({"/usr/bin", "/usr/local/bin"})
# Whose frames are on the way from the user's call to us, wherever they are installed.
_HOSTS = frozenset({"mlflow", "mlflow_dvc"})


@dataclass(frozen=True)
class Project:
    """Where a process works, as absolute paths, and what DVC told it.

    ``code_source`` says whose repository ``git_root`` is, in words. ``dvc_stage`` and
    ``experiment`` are what ``dvc repro`` and ``dvc exp run`` set for the commands they run.
    """

    directory: str
    git_root: str | None
    dvc_root: str | None
    script: str | None = None
    code_source: str = "working directory"
    dvc_stage: str | None = None
    experiment: str | None = None

    @property
    def relative_root(self) -> str | None:
        """The DVC root seen from its own git root: ``.`` when they are one, None without DVC."""
        if self.dvc_root is None:
            return None
        home = find_git_root(self.dvc_root)
        return relative(self.dvc_root, home) if home else "."


def find_running_project() -> Project:
    """The project of this process: of its script, else of its working directory, else of the
    function that is running. A worker of Ray's, Dask's or Spark's is a program of theirs, in a
    folder of theirs; only the functions that it is sent are the user's. Tests work in folders of
    their own on purpose: there it is the working directory's, or none.
    """
    script = running_script()
    found = find_project(script=script)
    if script or found.git_root or found.dvc_root or "pytest" in sys.modules:
        return found
    script = _file_of_caller()
    return find_project(script=script) if script else found


def find_project(directory: str | None = None, script: str | None = None) -> Project:
    """The project of a process that works in ``directory`` and runs ``script``.

    Code is the script's repository; the working directory's where there is no script of the
    user's, or where it lies in none. Data is the nearest ``.dvc`` above the working directory, then
    above the script, then DVC_ROOT: under ``dvc exp run --temp`` that one names the parent project,
    not the copy that is running.
    """
    directory = os.path.realpath(directory or _working_directory())
    beside = os.path.dirname(os.path.realpath(script)) if script else None
    git_root, code_source = None, "working directory"
    if beside and (git_root := find_git_root(beside)):
        code_source = "script"
    dvc_root = _dvc_root(directory, beside)
    by_dvc = _is_run_by_dvc(dvc_root)
    return Project(
        directory=directory,
        git_root=git_root or find_git_root(directory),
        dvc_root=dvc_root,
        script=os.path.realpath(script) if script else None,
        code_source=code_source,
        dvc_stage=os.environ.get("DVC_STAGE") if by_dvc else None,
        experiment=os.environ.get("DVC_EXP_NAME") if by_dvc else None,
    )


def find_git_root(directory: str) -> str | None:
    return _nearest(directory, lambda path: os.path.exists(os.path.join(path, ".git")))


def find_dvc_root(directory: str) -> str | None:
    return _nearest(directory, lambda path: os.path.isdir(os.path.join(path, ".dvc")))


def running_script() -> str | None:
    """The user's file that runs: a script, a module, or the module that a console script calls.

    None in a notebook, ``python -c``, a test runner, and for all that is installed. What
    ``pip install -e`` installed stays the user's.
    """
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if not path or not os.path.isfile(path):
        return None
    path = os.path.abspath(path)
    if not is_installed(path):
        return path
    is_module = getattr(main, "__spec__", None) is not None
    module = path if is_module else find_entry_module(path)
    # `pip install -e git+URL` clones into the environment: only its libraries are not the user's.
    return None if module is None or _is_library(module) else module


def _file_of_caller() -> str | None:
    """The outermost of the user's files whose functions are being called in this thread."""
    found: str | None = None
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        # Of a function that cloudpickle has brought, its code names no file, but its globals do.
        file = frame.f_globals.get("__file__")
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if isinstance(file, str) and package not in _HOSTS and _is_users(file):
            found = file
        frame = frame.f_back
    return os.path.abspath(found) if found else None


@lru_cache(maxsize=1000)  # many frames have one file
def _is_users(file: str) -> bool:
    return os.path.isfile(file) and not is_installed(file)


def relative(path: str, root: str) -> str:
    """``path`` seen from ``root``, with forward slashes."""
    return os.path.relpath(path, root).replace(os.sep, "/")


def _dvc_root(directory: str, beside: str | None) -> str | None:
    if chosen := settings.dvc_root():
        return os.path.realpath(chosen) if os.path.isdir(os.path.join(chosen, ".dvc")) else None
    for start in (directory, beside, os.environ.get("DVC_ROOT")):
        if start and (found := find_dvc_root(os.path.realpath(start))):
            return found
    return None


def _is_run_by_dvc(root: str | None) -> bool:
    """Whether DVC_STAGE was set by a DVC that runs the project at ``root``, or a copy of it.

    A stage may start a script in another project, which inherits the variable.
    """
    theirs = os.environ.get("DVC_ROOT")
    if root is None or not theirs:
        return root is not None
    theirs = os.path.realpath(theirs)
    return root == theirs or root.startswith(os.path.join(theirs, ".dvc") + os.sep)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # somebody removed it under the process
        return os.environ.get("PWD") or os.sep


def _nearest(directory: str, holds: Callable[[str], bool]) -> str | None:
    return next((path for path in _upwards(directory) if holds(path)), None)


def _upwards(directory: str) -> Iterator[str]:
    while True:
        yield directory
        parent = os.path.dirname(directory)
        if parent == directory:
            return
        directory = parent


def is_installed(path: str) -> bool:
    """Whether ``path`` belongs to Python or to an installed package rather than to the user."""
    homes = [sys.prefix, sys.base_prefix, sys.exec_prefix, site.getuserbase()]
    real = os.path.realpath(path)
    return (
        any(
            candidate == home or candidate.startswith(home.rstrip(os.sep) + os.sep)
            for home in filter(None, homes)
            for candidate in (path, real)
            if home not in (os.sep, "/usr")  # a system Python's prefix holds all sorts of things
        )
        or os.path.dirname(path) in _COMMANDS
        or _is_library(real)
    )


def _is_library(path: str) -> bool:
    """Whether ``path`` lies among installed packages, or is of Python itself."""
    real = os.path.realpath(path)
    python = os.path.dirname(os.path.realpath(os.__file__)) + os.sep
    return real.startswith(python) or any(
        name in real.split(os.sep) for name in ("site-packages", "dist-packages")
    )
