"""A record made beforehand, for runs in a place without the repository: an image, a worker.

It is a ``snapshot.json`` with one field more: the files that belong to the record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mlflow_dvc.foreign_values import read_json
from mlflow_dvc.limits import MAX_ARTIFACT_BYTES
from mlflow_dvc.snapshot import Snapshot

_FILES = "files"
_SOURCE = "MLFLOW_DVC_SNAPSHOT"


@dataclass(frozen=True, eq=False)
class FrozenRecord:
    """``files``: what is attached to a run, by its path below ``dvc/``."""

    snapshot: Snapshot
    files: Mapping[str, bytes] = field(repr=False)


def dump_frozen(frozen: FrozenRecord) -> bytes:
    """As it is kept in a file; bytes that are no text are escaped."""
    files = {
        path: content.decode("utf-8", "surrogateescape") for path, content in frozen.files.items()
    }
    return json.dumps({**frozen.snapshot.to_dict(), _FILES: files}, indent=1).encode() + b"\n"


def load_frozen(content: bytes) -> FrozenRecord:
    """Raises ValueError for what :func:`dump_frozen` did not make."""
    raw = read_json(content, MAX_ARTIFACT_BYTES)
    if not isinstance(raw, dict):
        raise ValueError("not a frozen record")
    snapshot = Snapshot.from_dict(raw)
    files = raw.get(_FILES)
    if not snapshot or not isinstance(files, dict):
        raise ValueError("not a frozen record (make one with `mlflow-dvc snapshot -o FILE`)")
    if snapshot.git:
        snapshot = replace(snapshot, git=replace(snapshot.git, source=_SOURCE))
    return FrozenRecord(
        replace(snapshot, frozen=True),
        {str(path): str(text).encode("utf-8", "surrogateescape") for path, text in files.items()},
    )
