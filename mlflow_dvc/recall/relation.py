"""How a run stands to the data of its record: it read it, made it, or the data lay there.

Of a run that was reconstructed nobody knows: its commit has the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mlflow_dvc.paths import is_address
from mlflow_dvc.snapshot import DataEntry, Snapshot

Relation = Literal["read", "made", "lay there", "missing", "committed"]


def related_data(snapshot: Snapshot) -> Iterator[tuple[DataEntry, Relation | None]]:
    """Every hash that is a fact about the run, each with the relation; None: it is not known.

    Of a run without a stage it is known where it was observed, else its data lay there, and so do
    the project's datasets.
    """
    read = {dep.path: dep for dep in snapshot.deps if dep.is_observed}
    told = set()
    for entry in snapshot.data:
        if entry.is_fact:
            told.add((entry.path, entry.hash))
            yield entry, _relation(snapshot, entry, read.get(entry.path))
    for dep in read.values():
        if (dep.path, dep.hash) not in told:
            yield dep, "lay there" if _is_dataset(snapshot, dep) else "read"


def is_own_output(snapshot: Snapshot, entry: DataEntry) -> bool:
    """Whether the stage of the run makes it; only what is sealed is known to be of this run."""
    is_output = entry.role == "output" or entry.certainty == "sealed"
    return is_output and entry.stage == (snapshot.stage or snapshot.script_stage)


def _relation(  # noqa: PLR0911 - a table: the first that fits
    snapshot: Snapshot, entry: DataEntry, dep: DataEntry | None
) -> Relation | None:
    """Of an output of the project; ``dep`` is what the stage read at its path, where it is seen."""
    if entry.certainty == "committed":
        return "committed"
    if entry.certainty == "sealed" and is_own_output(snapshot, entry):
        return "made"
    if dep and dep.hash == entry.hash:
        return "read"
    if entry.state == "missing":
        return "missing"
    if snapshot.reads and entry.path in snapshot.reads.read_paths:
        return "read"
    if dep or not snapshot.has_stage:
        is_told_elsewhere = is_by_tags(snapshot) and snapshot.reads is not None
        return None if is_told_elsewhere else "lay there"
    if is_by_tags(snapshot):
        return None
    return "read" if entry.role == "input" else "lay there"


def _is_dataset(snapshot: Snapshot, dep: DataEntry) -> bool:
    """Whether it is of the project, and not of a stage of the run."""
    return is_address(dep.path) and not snapshot.has_stage


def is_by_tags(snapshot: Snapshot) -> bool:
    """Whether only the tags tell of the data: they have no roles. Each attached record of a
    project names its locks, if there are none too.
    """
    return snapshot.locks is None
