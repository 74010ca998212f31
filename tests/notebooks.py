"""Notebooks: as they are written, as they are after they ran, as papermill leaves them."""

from __future__ import annotations

import json
from typing import Any


def code(source: str | list[str], count: int | None = None, **more: Any) -> dict[str, Any]:
    """A code cell; with a ``count`` as it is after it ran."""
    outputs = [] if count is None else [{"output_type": "stream", "name": "stdout", "text": "1"}]
    cell = {"cell_type": "code", "metadata": {}, "source": source}
    return {**cell, "execution_count": count, "outputs": outputs, **more}


def notebook(*cells: dict[str, Any], indent: int | None = 1, **metadata: Any) -> bytes:
    raw = {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return (json.dumps(raw, indent=indent) + "\n").encode()


def by_papermill(content: bytes, output: str, source: str = "in.ipynb", **params: Any) -> bytes:
    """The notebook that papermill makes of ``source`` and saves as ``output``."""
    raw = json.loads(content)
    told = {"papermill": {"duration": 0.1, "status": "completed"}, "tags": []}
    for number, cell in enumerate(raw["cells"], 1):
        cell["metadata"] = {**told, "tags": cell["metadata"].get("tags", [])}
        cell["execution_count"] = number
    text = "# Parameters\n" + "".join(f"{key} = {value}\n" for key, value in params.items())
    injected = code(text, 1, metadata={**told, "tags": ["injected-parameters"]})
    raw["cells"].insert(1, injected)
    raw["metadata"]["papermill"] = {
        "input_path": source, "output_path": output, "parameters": params,
        "exception": None, "version": "2.6.0",
    }  # fmt: skip
    return json.dumps(raw, indent=1).encode()


PLAIN = notebook(code("lr = 0.1", metadata={"tags": ["parameters"]}), code("train(lr)"))
