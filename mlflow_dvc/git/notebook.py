"""Notebooks as code: the sources of their cells, without what running them leaves behind.

The format is that of https://nbformat.readthedocs.io/en/latest/format_description.html.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any

SUFFIX = ".ipynb"
MAX_NOTEBOOK_BYTES = 64 * 1024 * 1024
# Papermill puts a cell of this tag into the notebook that it runs: parameters, not code.
_INJECTED = "injected-parameters"
_PAPERMILL = "papermill"


def executed_paths(content: bytes) -> tuple[str, str] | None:
    """What papermill ran to write this notebook, and where to, as it was called; else None."""
    told = _mapping(_mapping(_mapping(_parse(content)).get("metadata")).get(_PAPERMILL))
    source, output = told.get("input_path"), told.get("output_path")
    return (source, output) if isinstance(source, str) and isinstance(output, str) else None


def has_same_code(one: bytes, other: bytes) -> bool:
    """Whether two notebooks have the same cells, less injected parameters."""
    keys = []
    for content in (one, other):
        cells = (_parse(content) or {}).get("cells", [None])
        keys.append([_key(cell) for cell in cells if not _is_injected(cell)])
    return keys[0] == keys[1]


def strip_notebook(new: bytes, old: bytes = b"") -> bytes:
    """``new`` without outputs, counts and injected parameters; ``old`` where its code is the same.

    Cells that ``old`` has as well stay as they are there. What is no notebook stays as it is.
    """
    after, before = _parse(new), _parse(old)
    if after is None or new == old:
        return new
    cells = [_strip(cell) for cell in after["cells"] if not _is_injected(cell)]
    known = before["cells"] if before else []
    merged = list(_merge(known, cells))
    if before is not None and merged == [cell for cell in known if not _is_injected(cell)]:
        return old
    metadata = _mapping(before if before is not None else after).get("metadata")
    kept = {key: value for key, value in _mapping(metadata).items() if key != _PAPERMILL}
    return _write({**after, "cells": merged, "metadata": kept})


def _merge(known: list[Any], cells: list[Any]) -> Iterator[Any]:
    """``cells``, each as it is in ``known`` if its code is there in the same order."""
    known = [cell for cell in known if not _is_injected(cell)]
    old, new = ([_key(cell) for cell in side] for side in (known, cells))
    for kind, start, end, first, last in SequenceMatcher(None, old, new, False).get_opcodes():
        yield from known[start:end] if kind == "equal" else cells[first:last]


def _key(cell: Any) -> tuple[str, str]:
    source = _mapping(cell).get("source", "")
    text = "".join(map(str, source)) if isinstance(source, list) else str(source)
    return str(_mapping(cell).get("cell_type")), text


def _strip(cell: Any) -> Any:
    if not isinstance(cell, dict):
        return cell
    tags = _mapping(cell.get("metadata")).get("tags")
    bare = {**cell, "metadata": {"tags": tags} if tags else {}}
    if cell.get("cell_type") == "code":
        bare |= {"outputs": [], "execution_count": None}
    return bare


def _is_injected(cell: Any) -> bool:
    tags = _mapping(_mapping(cell).get("metadata")).get("tags")
    return isinstance(tags, list) and _INJECTED in tags


def _parse(content: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    is_notebook = isinstance(found, dict) and isinstance(found.get("cells"), list)
    return found if is_notebook else None


def _write(notebook: Mapping[str, Any]) -> bytes:
    """As nbformat writes it."""
    text = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True)
    return f"{text}\n".encode("utf-8", "surrogatepass")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
