"""Data that this process was given by this package itself, from wherever it was to be had."""

from __future__ import annotations

import time
from dataclasses import dataclass

_MAX_NOTED = 10_000


@dataclass(frozen=True)
class LoadedData:
    """``path`` is relative to the DVC root of the data, ``when`` in ns since 1970."""

    path: str
    hash: str
    when: int


_noted: dict[tuple[str, str], LoadedData] = {}


def note_loaded(path: str, hash_: str) -> None:
    if len(_noted) < _MAX_NOTED:
        _noted.setdefault((path, hash_), LoadedData(path, hash_, time.time_ns()))


def loaded_so_far() -> list[LoadedData]:
    return list(_noted.values())


def forget_loaded() -> None:
    _noted.clear()
