"""A snapshot as the file ``snapshot.json``, for people as well: a line for each part and entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlflow_dvc.secrets.urls import public_values


def dump_snapshot(raw: Mapping[str, Any]) -> bytes:
    """What ``Snapshot.to_dict`` returns, without what an address gives away.

    Python's own indentation takes ten times as long.
    """
    parts = (f" {json.dumps(key)}: {_lines(value)}" for key, value in raw.items())
    return ("{\n" + ",\n".join(parts) + "\n}").encode()


def _lines(value: Any) -> str:
    if isinstance(value, list | tuple) and value:
        return "[\n  " + ",\n  ".join(map(_line, value)) + "\n ]"
    if isinstance(value, dict) and value:
        rows = (_line({key: one})[1:-1] for key, one in value.items())
        return "{\n  " + ",\n  ".join(rows) + "\n }"
    return _line(value)


def _line(value: Any) -> str:
    text = json.dumps(value)
    return json.dumps(public_values(value)) if "//" in text else text
