"""Which tracked data is meant by what was read from a cache or a remote."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property

from mlflow_dvc.foreign_values import as_list, as_mapping, as_text, read_json
from mlflow_dvc.observe.loaded import LoadedData
from mlflow_dvc.snapshot import DataEntry

_CACHE = (".dvc", "cache", "files", "md5")  # unless it is set to lie elsewhere
_MAX_LISTING = 50_000_000  # bytes
_OfFolder = tuple[DataEntry, str]


class ProjectOutputs:
    """The outputs of a project, by their paths and by their hashes."""

    def __init__(self, root: str, data: Iterable[DataEntry]) -> None:
        self._root = root
        self._by_path = {entry.path: entry for entry in data}

    def find(self, loaded: LoadedData) -> list[_OfFolder]:
        """The outputs, each with the file of it if it is a folder of which one was read.

        Empty where it is none of this project, or none that its own cache lists.
        """
        if not loaded.path:
            entries = self._by_path.values()
            whole = [(entry, "") for entry in entries if entry.hash == loaded.hash]
            return whole or self._by_hash.get(loaded.hash, [])
        entry = self._by_path.get(loaded.path)
        return [(entry, loaded.inside)] if entry and entry.hash == loaded.hash else []

    @cached_property
    def _by_hash(self) -> dict[str, list[_OfFolder]]:
        """The files of folders, by the hashes of these."""
        found: dict[str, list[_OfFolder]] = {}
        for entry in self._by_path.values():
            if not (entry.hash and entry.hash.endswith(".dir")):
                continue
            with suppress(OSError, ValueError):
                for row in as_list(self._listing(entry.hash)):
                    file = as_mapping(row)
                    md5, inside = as_text(file.get("md5")), as_text(file.get("relpath"))
                    found.setdefault(md5, []).append((entry, inside))
        return found

    def _listing(self, hash_: str) -> object:
        path = os.path.join(self._root, *_CACHE, hash_[:2], hash_[2:])
        if os.path.getsize(path) > _MAX_LISTING:
            raise ValueError("the listing is too large")
        with open(path, "rb") as file:
            return read_json(file.read())
