"""What is shipped: entry points, files, floors, and documents that tell the truth."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest

from mlflow_dvc.cli.main import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SETTINGS = (ROOT / "mlflow_dvc" / "settings.py").read_text("utf-8")


def test_entry_points():
    """MLflow finds the provider, and the shell the command, by entry points."""
    from mlflow.tracking.context.abstract_context import RunContextProvider

    [provider] = [
        point
        for point in importlib.metadata.entry_points(group="mlflow.run_context_provider")
        if point.dist.name == "mlflow-dvc"
    ]
    assert issubclass(provider.load(), RunContextProvider)
    [command] = [
        point
        for point in importlib.metadata.entry_points(group="console_scripts")
        if point.name == "mlflow-dvc"
    ]
    assert callable(command.load())


def test_wheel(tmp_path: Path):
    """The wheel holds the package, its types and every file of the demo, and nothing else."""
    source = tmp_path / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in tracked:
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(source)],
        check=True, capture_output=True,
    )  # fmt: skip
    [wheel] = tmp_path.glob("mlflow_dvc-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {name for name in tracked if name.startswith("mlflow_dvc/")}
    assert "mlflow_dvc/py.typed" in names
    assert "mlflow_dvc/demo/project/.gitignore" in names


def test_floors_are_tested():
    """The floors of setup.py are the versions that the oldest environment pins."""
    setup = (ROOT / "setup.py").read_text("utf-8")
    required = setup.partition("install_requires=[")[2].partition("]")[0]
    floors = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', required))
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / ".ci/oldest.txt").read_text(), re.M))
    assert set(floors) >= {"mlflow", "dvc", "dvc-data", "PyYAML"}
    assert pinned == floors


def test_every_setting_is_documented():
    """Each environment variable of settings.py has a row in the README, and no other has."""
    used = set(re.findall(r'"(MLFLOW_DVC_\w+)"', SETTINGS))
    rows = set(re.findall(r"^\| `(MLFLOW_DVC_\w+)` \|", README, re.M))
    assert used == rows
    others = [
        path
        for path in (ROOT / "mlflow_dvc").rglob("*.py")
        if path.name != "settings.py"
        and re.search(r"environ.*MLFLOW_DVC_", path.read_text("utf-8"))
    ]
    assert others == []


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_is_documented(name: str):
    """Each command stands in the README and has a help text for itself and its arguments."""
    assert f"mlflow-dvc {name}" in README
    command = cli.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help
        else:
            assert (parameter.metavar or parameter.name).strip("[].").upper() in command.help


def test_readme_commands_exist():
    """Every ``mlflow-dvc`` line in the README can be parsed by the command line."""
    lines = re.findall(r"^\$ (?:\S+/)?mlflow-dvc (.+?)(?:\s+#.*)?$", README, re.M)
    assert len(lines) >= 8
    for line in lines:
        name, *words = line.split()
        command = cli.commands[name]
        context = command.make_context(name, words, resilient_parsing=True)
        command.parse_args(context, list(words))


def test_pictures():
    """Each picture in docs stands in the README, is made by the script, and is small."""
    pictures = sorted(path.name for path in (ROOT / "docs").glob("*.png"))
    assert sorted(re.findall(r"\(docs/([\w.]+\.png)\)", README)) == pictures
    script = (ROOT / "docs" / "pictures.py").read_text("utf-8")
    assert sorted(re.findall(r'"(\w+\.png)"', script)) == pictures
    for name in pictures:
        assert (ROOT / "docs" / name).stat().st_size < 200_000


def test_set_up_in_two_lines():
    """The README's two set-up commands make their own environment and name no other step."""
    lines = re.findall(r"^\$ (python3 -m venv .+)$", README, re.M)
    assert lines == [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/mlflow-dvc demo",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/python -m pytest",
    ]


def test_sleeps_say_why():
    """A test that waits by the clock says what for, on the same line."""
    for path in Path(__file__).parent.rglob("*.py"):
        for line in path.read_text("utf-8").splitlines():
            assert not re.search(r"\bsleep\(", line) or "#" in line, f"{path.name}: {line.strip()}"


def test_links():
    """Every file that a document names by a link is there."""
    for document in ROOT.glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", document.read_text("utf-8")):
            if "://" not in link:
                assert (ROOT / link).exists(), f"{document.name}: {link}"
