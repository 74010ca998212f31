"""The code that this process runs: its script, the modules it has imported, since when it runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from functools import cache, lru_cache

from mlflow_dvc.project import Project, is_installed

_STARTED_FIELD = 19  # of /proc/self/stat, counted after the name of the program
_TICK_SECONDS = 0.05  # what both may be rounded down by, and more
_imported_at = time.time()


def loaded_files(project: Project) -> frozenset[str]:
    """The absolute paths of the script and of all imported modules below the root of the code."""
    root = project.git_root
    if root is None:
        return frozenset()
    inside = root.rstrip(os.sep) + os.sep
    found = {_resolve(file) for file in (project.script, *_module_files()) if file}
    return frozenset(file for file in found if file.startswith(inside) and not is_installed(file))


def process_began() -> float:
    """When this process began, in seconds since 1970; where that is unknown, when it loaded us."""
    return _process_began(os.getpid())


def _module_files() -> Iterator[str]:
    for module in list(sys.modules.values()):
        # Not by `getattr`: some modules import others when they are asked.
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str):
            yield file


def _resolve(file: str) -> str:
    folder, name = os.path.split(os.path.abspath(file))
    return os.path.join(_resolve_folder(folder), name)


@lru_cache(maxsize=10_000)
def _resolve_folder(folder: str) -> str:
    return os.path.realpath(folder)


@cache
def _process_began(pid: int) -> float:
    """By Linux, a little too late rather than too early. See proc(5)."""
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[_STARTED_FIELD])
        with open("/proc/uptime", encoding="ascii") as file:
            uptime = float(file.read().split()[0])
        return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK") + _TICK_SECONDS
    except (OSError, ValueError, IndexError, AttributeError):
        return _imported_at
