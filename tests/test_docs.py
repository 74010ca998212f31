"""Documents that are written by ``docs/reference.py`` say what the code says."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

import mlflow_dvc
from mlflow_dvc.cli.main import cli

DOCS = Path(__file__).parent.parent / "docs"
PACKAGE = DOCS.parent / "mlflow_dvc"


def test_reference_is_current():
    """``cli.md`` has the help of each command as it is, ``architecture.md`` a line per module."""
    done = subprocess.run(
        ["python", DOCS / "reference.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_module_is_listed():
    """No module of the package is left out of ``architecture.md``."""
    text = (DOCS / "architecture.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `") and line.count("|") == 3]
    modules = [path for path in PACKAGE.rglob("*.py") if "project" not in path.parts]
    assert len(rows) == len(modules)


def test_first_lines():
    """The first line of every module's docstring ends where a sentence does."""
    for path in PACKAGE.rglob("*.py"):
        first = path.read_text("utf-8").split("\n", 1)[0]
        if "project" not in path.parts:
            assert first.startswith('"""'), path
            assert first.rstrip('"').endswith((".", "?")), path


@pytest.mark.parametrize("name", [None, *sorted(cli.commands)])
def test_help_is_whole_at_80_columns(name: str | None):
    """No summary in ``--help`` is cut, and no line is longer than a terminal of 80 columns."""
    done = CliRunner().invoke(cli, [*([name] if name else []), "--help"], terminal_width=80)
    assert done.exit_code == 0
    assert all(len(line) <= 80 for line in done.output.splitlines())
    assert "..." not in done.output.replace("...\n\n  ", "").replace("[RUN]...", "").replace(
        "[ARGS]...", ""
    )


@pytest.mark.parametrize(
    "name", [name for name, command in cli.commands.items()
             if any((part.metavar or part.name or "").upper().strip("[].") in ("RUN", "RUNS")
                    for part in command.params)]
)  # fmt: skip
def test_run_is_explained(name: str):
    """Each command that takes a RUN says what that may be."""
    done = CliRunner().invoke(cli, [name, "--help"], terminal_width=80)
    said = " ".join(done.output.split())
    assert "RUN is a run id or a unique beginning of one, the name of a run, runs:/ID" in said


PUBLIC = [name for name in mlflow_dvc.__all__ if name != "__version__"]


def test_public_names_are_typed():
    """What type checkers read of the package, and what it imports when asked, are the same."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    found = {
        name.asname: f"{node.module}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert found == {name: f"mlflow_dvc.{module}" for name, module in mlflow_dvc._MODULES.items()}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_docstring(name: str):
    """Each public name says what it is; a function also what it raises, and shows an example."""
    thing = getattr(mlflow_dvc, name)
    if name in ("Verdict", "SyncVerdict", "BackfillVerdict"):
        return  # words, explained where they are used
    text = inspect.getdoc(thing)
    assert text
    assert not text.startswith(f"{name}("), "made by dataclass"
    if inspect.isfunction(thing) and name != "disabled":
        assert "Raises" in text
        assert "\n>>> " in text


@pytest.mark.parametrize(
    "name", [name for name in PUBLIC if dataclasses.is_dataclass(getattr(mlflow_dvc, name))]
)
def test_parts_of_results(name: str):
    """Each part of a result, of whatever depth, can be imported from the package too."""
    hints = " ".join(str(field.type) for field in dataclasses.fields(getattr(mlflow_dvc, name)))
    sources = [path.read_text("utf-8") for path in PACKAGE.rglob("*.py")]
    for part in re.findall(r"\b[A-Z]\w+", hints):
        is_class = any(re.search(rf"^class {part}\b", source, re.M) for source in sources)
        assert part in PUBLIC or not is_class, part
