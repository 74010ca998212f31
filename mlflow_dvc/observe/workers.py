"""What a worker process has read is handed to the processes above it when it ends.

Nobody but the process that opens a file is told that it was this process. So each worker has an
observer of its own. What it saw goes through small files in the user's cache.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mlflow_dvc import user_cache

_KIND = "reads"
_STARTED_FIELD, _PARENT_FIELD = 19, 1
_LISTS = ("read", "written", "faults", "loaded")
_MAX_ABOVE = 32
_MAX_DESCRIPTORS = 300  # of another process: an editor may have thousands


@dataclass(frozen=True)
class HandedOver:
    """What one worker has read and written, as absolute paths, and what it may have missed.

    ``is_all``: it has ended, and this is all of it. ``loaded`` is of ``observe/loaded.py``.
    """

    read: tuple[str, ...]
    written: tuple[str, ...]
    faults: tuple[str, ...]
    is_all: bool
    loaded: tuple[Any, ...] = ()


def process_name(pid: int) -> str | None:
    """A name that no other process has, before the machine is started anew."""
    fields = _stat_fields(pid)
    return f"{pid}.{fields[_STARTED_FIELD]}" if fields else None


def is_below(pid: int, above: int) -> bool | None:
    """Whether the process ``pid`` descends from ``above``; None where it has ended."""
    for _ in range(_MAX_ABOVE):
        if pid == above:
            return True
        fields = _stat_fields(pid)
        if not fields:
            return None
        pid = int(fields[_PARENT_FIELD])
        if pid <= 1:
            return False
    return None


def observing_above() -> list[str]:
    """The names of the processes above this one that observe, nearest first."""
    found, pid = [], os.getppid()
    for _ in range(_MAX_ABOVE):
        if pid <= 1:
            break
        if _observes(pid) and (name := process_name(pid)):
            found.append(name)
        fields = _stat_fields(pid)
        if not fields:
            break
        pid = int(fields[_PARENT_FIELD])
    return found


def observing_below() -> list[int]:
    """The ids of the processes below this one that observe, and still run."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    me = os.getpid()
    return [pid for pid in pids if pid != me and is_below(pid, me) and _observes(pid)]


def hand_over(above: Iterable[str], seen: HandedOver) -> None:
    mine = process_name(os.getpid())
    content = json.dumps(vars(seen)).encode("utf-8", "surrogatepass")
    for name in above:
        user_cache.write(_KIND, f"{name}-{mine}", content)


def take_over() -> Iterator[tuple[int, HandedOver]]:
    """What workers have left for this process, each with its process id."""
    mine = process_name(os.getpid())
    if mine is None:
        return
    for key in user_cache.find(_KIND, f"{mine}-"):
        content = user_cache.take(_KIND, key)
        user_cache.drop(_KIND, key)
        with suppress(ValueError, KeyError, TypeError):  # damaged: it tells nothing
            raw = json.loads((content or b"").decode("utf-8", "surrogatepass"))
            pid = int(key.partition("-")[2].partition(".")[0])
            is_all = bool(raw.pop("is_all"))
            yield pid, HandedOver(**{name: tuple(raw[name]) for name in _LISTS}, is_all=is_all)


def _observes(pid: int) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        for number in os.listdir(folder)[:_MAX_DESCRIPTORS]:
            if "[fanotify]" in os.readlink(f"{folder}/{number}"):
                return True
    except OSError:
        return False
    return False


def _stat_fields(pid: int) -> list[str]:
    """Of ``/proc/<pid>/stat`` those after the name of the program; none where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[0] in "ZX" else fields
