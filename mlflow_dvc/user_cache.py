"""Small files that one process keeps for the next, outside of every project.

They save time and do nothing else. Whoever reads one checks that it fits.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

_MAX_FILES = 200


def read(kind: str, key: str) -> bytes | None:
    """What was written for ``key``; None where that is nothing, or is gone."""
    try:
        return _path(kind, key).read_bytes()
    except OSError:
        return None


def write(kind: str, key: str, content: bytes) -> None:
    """Whole or not at all. What cannot be written costs time at the next start, nothing else."""
    with suppress(OSError):
        path = _path(kind, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        os.replace(file.name, path)
        _forget_oldest(path.parent)


def _path(kind: str, key: str) -> Path:
    """By hand, because to import platformdirs takes longer than to look at a whole project."""
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
    return Path(base, "mlflow-dvc", kind, f"{key}.json")


def _forget_oldest(folder: Path) -> None:
    files = list(folder.iterdir())
    if len(files) > _MAX_FILES:
        files.sort(key=lambda file: file.stat().st_mtime)
        for file in files[: -_MAX_FILES // 2]:
            file.unlink(missing_ok=True)
