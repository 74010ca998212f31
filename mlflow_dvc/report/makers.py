"""Who made data: the stage or ``.dvc`` file that has it as an output, or where it was imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlflow_dvc.enumeration import first_of
from mlflow_dvc.paths import parents
from mlflow_dvc.snapshot import DataEntry, Snapshot

_MAX_NAMED = 3


def makers_of(path: str, outputs: Mapping[str, str]) -> Iterator[str]:
    """Who makes the path, a folder that it lies in, or else something in it.

    ``outputs`` has the maker of each output by its path.
    """
    around = next((one for one in (path, *parents(path)) if one in outputs), None)
    if around is not None:
        yield outputs[around]
        return
    inside = path.rstrip("/") + "/"
    yield from dict.fromkeys(maker for made, maker in outputs.items() if made.startswith(inside))


def maker_names(snapshot: Snapshot) -> dict[str, str]:
    """The maker of each output as people know it: the source of an import comes first."""
    return {entry.path: entry.source or entry.stage or "" for entry in snapshot.data}


def maker_in_words(entry: DataEntry, names: Mapping[str, str]) -> str:
    """Who made ``entry``, by ``names``; empty where no output of the project is, or holds, it.

    A dependency itself names only the stage that reads it.
    """
    if entry.source:
        return entry.source
    found = [name for name in makers_of(entry.path, names) if name]
    return first_of(found, _MAX_NAMED)
