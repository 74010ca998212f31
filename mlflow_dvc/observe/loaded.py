"""Data that was read though no file of the project was opened: by this package or a library."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any

_MAX_NOTED = 10_000


@dataclass(frozen=True)
class LoadedData:
    """``path`` is relative to the DVC root of the data, empty where only the hash is known.

    ``inside`` is a file of a folder, empty where all of the data was read, or nobody can tell.
    """

    path: str
    hash: str
    inside: str = ""


@dataclass(frozen=True)
class Noted:
    """``when`` it was found out, in ns since 1970, and whether by a worker of this process."""

    when: int
    is_workers: bool


_loaded: dict[LoadedData, Noted] = {}
_copied: dict[str, Noted] = {}
_known_objects: set[str] = set()


def note_loaded(data: LoadedData, *, object_hash: str | None = None) -> None:
    """``object_hash`` is that of the one file that is about to be read for it."""
    _note(_loaded, data)
    if object_hash is not None and len(_known_objects) < _MAX_NOTED:
        _known_objects.add(object_hash)


def note_object(hash_: str) -> None:
    """A file of a cache or a remote is read, by its own name there."""
    if hash_ not in _known_objects:
        _note(_loaded, LoadedData("", hash_))


def note_copied(paths: Iterable[str]) -> None:
    """A library gives out the content of files of which it keeps copies elsewhere."""
    for path in paths:
        _note(_copied, path)


def loaded_so_far() -> dict[LoadedData, Noted]:
    return dict(_loaded)


def copied_so_far() -> dict[str, Noted]:
    return dict(_copied)


def is_full() -> bool:
    return _MAX_NOTED in (len(_loaded), len(_copied))


def as_rows() -> tuple[tuple[str, ...], ...]:
    return tuple(astuple(data) for data in _loaded)


def take_rows(rows: Iterable[Any]) -> None:
    """What a worker has loaded. Raises TypeError for what is not of :func:`as_rows`."""
    for row in rows:
        _note(_loaded, LoadedData(*map(str, row)), is_workers=True)


def forget_loaded() -> None:
    _loaded.clear()
    _copied.clear()
    _known_objects.clear()


def _note(noted: dict[Any, Noted], key: Any, *, is_workers: bool = False) -> None:
    if len(noted) < _MAX_NOTED:
        noted.setdefault(key, Noted(time.time_ns(), is_workers))
