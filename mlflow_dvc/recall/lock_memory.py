"""What commits made of locks: fetched and parsed once for all runs that are asked of together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlflow_dvc.dvcfiles import yaml12
from mlflow_dvc.git.file_history import FileHistory, Replacement
from mlflow_dvc.paths import DATASET_SCHEME

Entries = dict[str, Any]  # what a lock says, by the name of the stage or dataset
_Key = tuple[str, str, str | None]


class LockMemory:
    """For one call; meanwhile git is taken not to change."""

    def __init__(self) -> None:
        self._contents: dict[_Key, tuple[Replacement, ...]] = {}
        self._parsed: dict[_Key, list[tuple[str, Entries, Entries]]] = {}
        self._committed: dict[_Key, bytes | None] = {}
        self._read: dict[bytes, Entries] = {}

    def at(self, history: FileHistory, sha: str | None) -> bytes | None:
        """What the commit has."""
        key = (history.root, history.path, sha)
        if key not in self._committed:
            self._committed[key] = history.at(sha)
        return self._committed[key]

    def contents(self, history: FileHistory, sha: str | None) -> tuple[Replacement, ...]:
        """Those of :meth:`~mlflow_dvc.git.file_history.FileHistory.replacements`."""
        key = (history.root, history.path, sha)
        if key not in self._contents:
            self._contents[key] = history.replacements(sha)
        return self._contents[key]

    def replacements(
        self, history: FileHistory, sha: str | None
    ) -> list[tuple[str, Entries, Entries]]:
        """Each commit, with what the lock said before and after it."""
        key = (history.root, history.path, sha)
        if key not in self._parsed:
            self._parsed[key] = [
                (one.commit, self.entries(one.before), self.entries(one.after))
                for one in self.contents(history, sha)
            ]
        return self._parsed[key]

    def entries(self, content: bytes | None) -> Entries:
        """What a lock says."""
        known = content or b""
        if known not in self._read:
            self._read[known] = _lock_entries(content)
        return self._read[known]


def _lock_entries(content: bytes | None) -> dict[str, Any]:
    """What a lock says, by the name of the stage or dataset; nothing where it cannot be read."""
    try:
        lock = yaml12.parse_yaml(content) if content else {}
    except ValueError:  # of a shared server, damaged
        return {}
    found = dict(stages) if isinstance(stages := _part(lock, "stages"), Mapping) else {}
    rows = _part(lock, "datasets")
    for one in rows if isinstance(rows, list) else ():
        if isinstance(name := _part(one, "name"), str):
            found[f"{DATASET_SCHEME}{name}"] = one
    return found


def _part(raw: Any, name: str) -> Any:
    return raw.get(name) if isinstance(raw, Mapping) else None
