"""dvc.lock: where it lies, what of it is valid, and a stage's entry in it.

``reader`` reads its bytes together with the dvc.yaml beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlflow_dvc.dvcfiles import schema, yaml12
from mlflow_dvc.dvcfiles.output_hash import Raw
from mlflow_dvc.dvcfiles.schema import validate
from mlflow_dvc.fingerprint import md5_of


def lock_path(pipeline: str) -> str:
    """The path of the lock beside a dvc.yaml."""
    return pipeline.removesuffix(".yaml") + ".lock"


def locked_entry(lock: bytes | None, name: str | None) -> Mapping[str, Any] | None:
    """A stage's part of a lock; None where it has none, or the lock cannot be read."""
    return stage_entry(locked_stages(lock), name)


def locked_stages(lock: bytes | None) -> Mapping[str, Any]:
    """What a lock says of each stage; empty where it cannot be read."""
    try:
        raw = yaml12.parse_yaml(lock or b"")
    except ValueError:  # of a shared server, damaged
        return {}
    found = raw.get("stages") if isinstance(raw, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def stage_entry(stages: Mapping[str, Any], name: str | None) -> Mapping[str, Any] | None:
    """The part of one of ``stages``; None where it has none."""
    entry = stages.get(name or "")
    return entry if isinstance(entry, Mapping) else None


def entry_digest(entry: Mapping[str, Any] | None) -> str:
    """A stable digest of a lock entry; None has one too."""
    try:
        text = json.dumps(entry, sort_keys=True, default=str)
    except TypeError:  # keys of several kinds have no order
        text = repr(entry)
    return md5_of(text.encode("utf-8", "backslashreplace"))


def validate_lock(file: str, lock: Any) -> tuple[Raw, tuple[str, ...]]:
    """What the parsed ``lock`` may say as DVC sees it; nothing, and the reason, where refused."""
    raw, faults = validate(file, lock, schema.LOCK_SCHEMA)
    if faults and isinstance(lock, Mapping) and not {"schema", "stages"} & lock.keys():
        hint = "it is of DVC 1; `dvc repro` or `dvc commit` with DVC 2 makes a new one"
        return {}, (f"{faults[0]} ({hint})",)
    return raw, faults
