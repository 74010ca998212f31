"""The code that this process runs: script, notebook, imported modules; and since when it runs."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from collections.abc import Iterator
from functools import cache, lru_cache

from mlflow_dvc.project import Project, is_installed

# Of /proc/<pid>/stat, counted after the name of the program.
_PARENT_FIELD, _STARTED_FIELD = 1, 19
_TICK_SECONDS = 0.05  # what both may be rounded down by, and more
_SET_BY_DVC = ("DVC_STAGE", "DVC_ROOT")
_imported_at = time.time()


def loaded_files(project: Project) -> frozenset[str]:
    """The absolute paths of script, notebook and imported modules below the root of the code."""
    root = project.git_root
    if root is None:
        return frozenset()
    named = frozenset((project.script, _notebook_file(), *_module_files()))
    return _inside(named, root.rstrip(os.sep) + os.sep, project.directory)


@lru_cache(maxsize=2)
def _inside(files: frozenset[str | None], inside: str, directory: str) -> frozenset[str]:
    """``directory`` is what relative names, as older Python has them, are seen from."""
    named = (os.path.normpath(os.path.join(directory, file)) for file in files if file)
    found = {_resolve(file, inside) for file in named}
    return frozenset(file for file in found if file)


def process_began() -> float:
    """When this process began, in seconds since 1970; where that is unknown, when it loaded us."""
    return _process_began(os.getpid())


def stage_execution() -> str | None:
    """A name for the execution of a stage that this process belongs to; None where there is none.

    It is that of the process which DVC started: the outermost with DVC's variables as they are
    here. A stage may call DVC to run others, each of which is an execution of its own.
    """
    if not os.environ.get("DVC_STAGE"):
        return None
    mine = (os.environ.get(name) for name in _SET_BY_DVC)
    return _stage_execution(os.getpid(), tuple(mine))


@lru_cache(maxsize=8)
def _stage_execution(pid: int, variables: tuple[str | None, ...]) -> str:
    above = pid
    while (parent := _parent(above)) > 1 and _set_by_dvc(parent) == variables:
        above = parent
    told = f"{_boot()} {above} {_started_ticks(above)}"
    return hashlib.md5(told.encode(), usedforsecurity=False).hexdigest()[:12]


def _set_by_dvc(pid: int) -> tuple[str | None, ...]:
    """What a process was started with of DVC's variables; see proc(5)."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            words = os.fsdecode(file.read()).split("\0")
    except OSError:
        return ()
    found = {name: value for name, _, value in (word.partition("=") for word in words)}
    return tuple(found.get(name) for name in _SET_BY_DVC)


def _parent(pid: int) -> int:
    fields = _stat_fields(pid)
    return int(fields[_PARENT_FIELD]) if fields else 0


def _started_ticks(pid: int) -> str:
    fields = _stat_fields(pid)
    return fields[_STARTED_FIELD] if fields else str(_imported_at)


def _stat_fields(pid: int) -> list[str]:
    """Of ``/proc/<pid>/stat`` those after the name of the program; none outside of Linux."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return platform.node()


def _notebook_file() -> str | None:
    """The notebook of this kernel, as Jupyter or VS Code name it. It is saved while it runs."""
    named = getattr(sys.modules.get("__main__"), "__vsc_ipynb_file__", None)
    path = named or os.environ.get("JPY_SESSION_NAME", "")
    return path if isinstance(path, str) and os.path.isfile(path) else None


def _module_files() -> Iterator[str]:
    for module in list(sys.modules.values()):
        # Not by `getattr`: some modules import others when they are asked.
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str):
            yield file


@lru_cache(maxsize=50_000)
def _resolve(file: str, inside: str) -> str | None:
    """Where the file lies, if that is ``inside`` and it is the user's. Asked anew at every run."""
    folder, name = os.path.split(file)
    found = os.path.join(_resolve_folder(folder), name)
    return found if found.startswith(inside) and not is_installed(found) else None


@lru_cache(maxsize=10_000)
def _resolve_folder(folder: str) -> str:
    return os.path.realpath(folder)


@cache
def _process_began(pid: int) -> float:
    """By Linux, a little too late rather than too early."""
    try:
        with open("/proc/uptime", encoding="ascii") as file:
            booted = time.time() - float(file.read().split()[0])
        ticks = int(_stat_fields(pid)[_STARTED_FIELD])
        return booted + ticks / os.sysconf("SC_CLK_TCK") + _TICK_SECONDS
    except (OSError, ValueError, IndexError, AttributeError):
        return _imported_at
