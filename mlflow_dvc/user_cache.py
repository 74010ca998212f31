"""Small files that one process keeps for the next, outside of every project.

They save time, or hold what a process had no time left for. Whoever reads one checks that it fits.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

_MAX_FILES = 200
_ENDING, _TAKEN = ".json", ".taken"
_TAKEN_SECONDS = 600  # then the process that has it was killed


def folder_key(folder: str) -> str:
    """The key of what is kept of one folder, such as a project."""
    return hashlib.sha256(os.fsencode(folder)).hexdigest()


def read(kind: str, key: str) -> bytes | None:
    """What was written for ``key``; None where that is nothing, or is gone."""
    try:
        return path_of(kind, key).read_bytes()
    except OSError:
        return None


def write(kind: str, key: str, content: bytes) -> bool:
    """Whole or not at all. What cannot be written costs time at the next start, nothing else."""
    with suppress(OSError):
        path = path_of(kind, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        os.replace(file.name, path)
        _forget_oldest(path.parent)
        return True
    return False


def find(kind: str, beginning: str) -> list[str]:
    """The keys of that kind that begin so, in their order; those put back that nobody works on."""
    with suppress(OSError):
        files = [
            one for one in os.scandir(path_of(kind, "").parent) if one.name.startswith(beginning)
        ]
        for file in files:
            if file.name.endswith(_TAKEN) and time.time() - file.stat().st_ctime > _TAKEN_SECONDS:
                put_back(kind, file.name.removesuffix(_TAKEN))
        whole = [one.name for one in files if one.name.endswith(_ENDING)]
        return sorted(name.removesuffix(_ENDING) for name in whole)
    return []


def take(kind: str, key: str) -> bytes | None:
    """What was written for ``key``, for this process alone; None where another one has it."""
    with suppress(OSError):
        taken = path_of(kind, key).with_suffix(_TAKEN)
        path_of(kind, key).rename(taken)
        return taken.read_bytes()
    return None


def put_back(kind: str, key: str) -> None:
    """For another process to take."""
    with suppress(OSError):
        path = path_of(kind, key)
        path.with_suffix(_TAKEN).rename(path)


def drop(kind: str, key: str) -> None:
    """What this process has taken."""
    with suppress(OSError):
        path_of(kind, key).with_suffix(_TAKEN).unlink()


def path_of(kind: str, key: str) -> Path:
    """The file of ``key``.

    By hand, because to import platformdirs takes longer than to look at a whole project.
    """
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home
    elif sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        chosen = os.environ.get("XDG_CACHE_HOME", "")
        base = chosen if os.path.isabs(chosen) else os.path.join(home, ".cache")
    if not os.path.isabs(base):  # never into the working directory
        raise OSError("there is no home directory")
    return Path(base, "mlflow-dvc", kind, f"{key}{_ENDING}")


def _forget_oldest(folder: Path) -> None:
    files = list(folder.iterdir())
    if len(files) > _MAX_FILES:
        files.sort(key=lambda file: file.stat().st_mtime)
        for file in files[: -_MAX_FILES // 2]:
            file.unlink(missing_ok=True)
