"""Notebooks as code: the sources of their cells count, and what running them leaves does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from notebooks import PLAIN, by_papermill, code, notebook

from mlflow_dvc.git.notebook import executed_paths, has_same_code, strip_notebook

SAME: dict[str, Callable[[], bytes]] = {
    "outputs and counts": lambda: notebook(
        code("lr = 0.1", 1, metadata={"tags": ["parameters"]}), code("train(lr)", 2)
    ),
    "metadata of an editor": lambda: notebook(
        code("lr = 0.1", 3, metadata={"collapsed": True, "tags": ["parameters"]}),
        code("train(lr)", 4, metadata={"ExecuteTime": {"end_time": "now"}}),
        kernelspec={"name": "other"},
    ),
    "sources as lines": lambda: notebook(code(["lr = ", "0.1"]), code(["train(lr)"])),
    "written without indents": lambda: notebook(
        code("lr = 0.1"), code("train(lr)", 1), indent=None
    ),
    "ids of cells": lambda: notebook(code("lr = 0.1", id="a"), code("train(lr)", id="b")),
    "papermill in place": lambda: by_papermill(PLAIN, "in.ipynb", lr=0.5),
    "papermill in place, twice": lambda: by_papermill(
        strip_notebook(by_papermill(PLAIN, "in.ipynb", lr=0.5)), "in.ipynb", lr=0.7
    ),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME.keys())
def test_same_code(change: Callable[[], bytes]):
    """A notebook that was run, or saved by another program, is the code that it was."""
    assert strip_notebook(change(), PLAIN) == PLAIN


def test_same_code_as_an_execution():
    """A notebook that was committed with its outputs, and run again, is the code that it was."""
    ran = by_papermill(PLAIN, "in.ipynb", lr=0.5)
    assert strip_notebook(by_papermill(PLAIN, "in.ipynb", lr=0.9), ran) == ran


CHANGED: dict[str, list[dict[str, Any]]] = {
    "edited": [code("lr = 0.1"), code("train(lr, 2)", 7)],
    "new": [code("lr = 0.1"), code("train(lr)", 1), code("x = 1", 2)],
    "gone": [code("lr = 0.1", 1)],
    "moved": [code("train(lr)", 2), code("lr = 0.1", 1)],
    "of another kind": [code("lr = 0.1"), {**code("train(lr)"), "cell_type": "raw"}],
}


@pytest.mark.parametrize("cells", CHANGED.values(), ids=CHANGED.keys())
def test_other_code(cells: list[dict[str, Any]]):
    """A cell that changed, came, went or moved makes other code, which is there without outputs."""
    found = strip_notebook(notebook(*cells), PLAIN)
    assert found != PLAIN
    kept = json.loads(found)["cells"]
    assert [cell["source"] for cell in kept] == [cell["source"] for cell in cells]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in kept)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"\xff", b'{"cells": 3}', b'{"cells": [1, null]}', b"[" * 100_000,
     b'{"cells": [{"cell_type": "code", "source": 3, "metadata": []}], "metadata": 1}'],
)  # fmt: skip
def test_no_notebook(content: bytes):
    """What is no notebook, or a broken one, is taken as it is or without outputs; nothing fails."""
    assert executed_paths(content) is None
    strip_notebook(content, PLAIN)
    strip_notebook(PLAIN, content)
    if b'"cells": [' not in content:
        assert strip_notebook(content, PLAIN) == content


def test_execution():
    """A notebook that papermill wrote says of which one, and the code of both is the same."""
    ran = by_papermill(PLAIN, "out/a.ipynb")
    assert executed_paths(ran) == ("in.ipynb", "out/a.ipynb")
    assert executed_paths(PLAIN) is None
    assert has_same_code(ran, PLAIN)
    assert not has_same_code(ran, notebook(code("lr = 0.1"), code("train(2)")))
    assert not has_same_code(ran, b"")
