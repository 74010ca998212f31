"""Which files of a folder a run was seen to read, and what cannot be told."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlflow_dvc import tracking
from mlflow_dvc.foreign_values import as_list, as_mapping, as_text, read_json
from mlflow_dvc.recall.relation import Relation
from mlflow_dvc.snapshot import Snapshot
from mlflow_dvc.tracking import RunPart

if TYPE_CHECKING:
    from mlflow.entities import Run

READS_FILE = "reads.json"


def relations_to_file(
    run: Run, folder: str, value: str, inside: str, tracking_uri: str | None
) -> Iterator[Relation | None]:
    """How the run stands to a file ``inside`` the ``folder`` of the hash ``value``, by each record
    that has this folder; None where that cannot be told.
    """
    for part in tracking.load_parts(run, tracking_uri):
        if has_data(part.snapshot, folder, value):
            yield relation_to_file(run, part, folder, inside, tracking_uri)


def has_data(snapshot: Snapshot, path: str, value: str | None) -> bool:
    return any((one.path, one.hash) == (path, value) for one in snapshot.observed_data)


def relation_to_file(
    run: Run, part: RunPart, folder: str, inside: str, tracking_uri: str | None
) -> Relation | None:
    """``run`` is the one that the record ``part`` is attached to, which has the ``folder``."""
    if part.snapshot.reconstructed:
        return "committed"
    seen = part.snapshot.reads
    if seen is None or seen.status == "off":
        return None
    counts = {one.path: one.nfiles for one in seen.data if one.by != "another"}
    if folder in counts:
        if counts[folder] is None:  # it was loaded as a whole
            return "read"
        listed = _listed(run, part, folder, tracking_uri)
        if inside in listed:
            return "read"
        if len(listed) < (counts[folder] or 0):  # not all of them are listed, or the list is gone
            return None
    return "lay there" if seen.status == "observed" else None


def _listed(run: Run, part: RunPart, folder: str, tracking_uri: str | None) -> frozenset[str]:
    content = tracking.read_attached(run, READS_FILE, tracking_uri, part.folder)
    try:
        raw = as_mapping(read_json(content or b"{}"))
        names = as_list(as_mapping(raw.get("read") or {}).get(folder))
        return frozenset(posixpath.normpath(as_text(name)) for name in names)
    except ValueError:  # not ours, or damaged: it tells nothing
        return frozenset()
