"""What is shipped: entry points, files, floors, and documents that tell the truth."""

from __future__ import annotations

import email
import importlib.metadata
import posixpath
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mlflow_dvc import tags
from mlflow_dvc.cli.main import cli
from mlflow_dvc.recall.doctor.rules import RULES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted((ROOT / "docs").glob("*.md"))
# Every document, by its path.
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in (*sorted(ROOT.glob("*.md")), *PAGES, *(ROOT / "examples").rglob("*.md"))
}
# What tells users how to work with it.
GUIDE = README + "".join(path.read_text("utf-8") for path in PAGES)
SETTINGS = (ROOT / "mlflow_dvc" / "settings.py").read_text("utf-8")


def test_entry_points():
    """MLflow finds the provider, and the shell the command, by entry points."""
    from mlflow.tracking.context.abstract_context import RunContextProvider

    providers = [
        point
        for point in importlib.metadata.entry_points(group="mlflow.run_context_provider")
        if point.dist.name == "mlflow-dvc"
    ]
    assert len(providers) == 2
    assert all(issubclass(provider.load(), RunContextProvider) for provider in providers)
    [command] = [
        point
        for point in importlib.metadata.entry_points(group="console_scripts")
        if point.name == "mlflow-dvc"
    ]
    assert callable(command.load())


def test_wheel(tmp_path: Path):
    """The wheel, of any Python 3 and machine, holds the package, its types, every file of the demo
    and the licence, and nothing else."""
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
        about = {name.partition(".dist-info/")[2] for name in archive.namelist()} - {""}
        [metadata] = (name for name in archive.namelist() if name.endswith("/METADATA"))
        told = email.message_from_bytes(archive.read(metadata))
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "licenses/LICENSE" in about
    assert (told["License-Expression"], told["License-File"]) == ("Apache-2.0", "LICENSE")
    assert names == {name for name in tracked if name.startswith("mlflow_dvc/")}
    assert "mlflow_dvc/py.typed" in names
    assert "mlflow_dvc/demo/project/.gitignore" in names


def test_floors_are_tested():
    """Each requirement in setup.py has a floor, and that is what the oldest environment pins."""
    setup = (ROOT / "setup.py").read_text("utf-8")
    required = setup.partition("install_requires=[")[2].partition("]")[0]
    floors = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', required))
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / ".ci/oldest.txt").read_text(), re.M))
    assert len(floors) == len(re.findall(r'"[^"]+"', required)) > 4
    assert pinned == floors


def test_every_setting_is_documented():
    """Each environment variable of settings.py has a row in docs/settings.md, and no other has."""
    used = set(re.findall(r'"(MLFLOW_DVC_\w+)"', SETTINGS))
    assert used == set(
        re.findall(r"^\| `(MLFLOW_DVC_\w+)` \|", DOCUMENTS["docs/settings.md"], re.M)
    )
    others = [
        path
        for path in (ROOT / "mlflow_dvc").rglob("*.py")
        if path.name != "settings.py"
        and re.search(r"environ.*MLFLOW_DVC_", path.read_text("utf-8"))
    ]
    assert others == []


def test_every_tag_is_documented():
    """Each name of tags.py has a row in docs/record.md, which tells what it claims, from what
    evidence, and when it is absent; no other name has one."""
    ours = {
        value
        for name, value in vars(tags).items()
        if name.isupper() and isinstance(value, str) and value.startswith(("git_", "dvc."))
    }
    cell = r" [^|\n]{3,} \|"
    rows = re.findall(
        rf"^\| `((?:git_|dvc\.)[\w.]+)(?:<path>)?` \|{cell}{cell}{cell}$",
        DOCUMENTS["docs/record.md"],
        re.M,
    )
    assert sorted(ours) == sorted(rows)


def test_every_rule_is_documented():
    """Each rule of the doctor has a row with its level in docs/doctor.md, in the same order."""
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \|", DOCUMENTS["docs/doctor.md"], re.M)
    assert rows == [(rule.name, rule.level) for rule in RULES]


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_is_documented(name: str):
    """Each command stands in the README or in docs, and has a help text for itself and its
    arguments."""
    assert f"mlflow-dvc {name}" in GUIDE
    command = cli.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help
        else:
            assert (parameter.metavar or parameter.name).strip("[].").upper() in command.help


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_exist(document: str):
    """Every ``mlflow-dvc`` line of a document can be parsed by the command line."""
    for line in re.findall(r"^\$ (?:\S+/)?mlflow-dvc (.+)$", DOCUMENTS[document], re.M):
        name, *words = shlex.split(line, comments=True)
        cli.commands[name].make_context(name, words)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_is_valid(document: str):
    """Every Python block of a document can be compiled."""
    for block in re.findall(r"^```python\n(.*?)^```", DOCUMENTS[document], re.M | re.S):
        compile(block, document, "exec")


def test_pictures():
    """Each picture in docs stands in a document, is made by the script, and is small."""
    kinds = (".png", ".svg")
    pictures = sorted(path.name for path in (ROOT / "docs").iterdir() if path.suffix in kinds)
    shown = {path for name in DOCUMENTS for path, _ in links(name) if path.endswith(kinds)}
    assert sorted(shown) == [f"docs/{name}" for name in pictures]
    script = (ROOT / "docs" / "pictures.py").read_text("utf-8")
    drawn = re.findall(r'"([\w-]+\.(?:png|svg))"', script)
    assert sorted([*drawn, "benchmarks.svg"]) == pictures  # which is of the benchmarks
    for name in pictures:
        assert (ROOT / "docs" / name).stat().st_size < 220_000


def test_readme_is_short():
    """The README has at most 130 lines."""
    assert len(README.splitlines()) <= 130


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


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links(document: str):
    """Every file, and every heading in it, that a document names by a link is there."""
    for path, anchor in links(document):
        assert (ROOT / path).exists(), path
        if anchor:
            assert anchor in anchors(path), f"{path}#{anchor}"


def test_every_page_is_found():
    """Each page of docs has a link in the README or in the index of docs."""
    named = {path for index in ("README.md", "docs/README.md") for path, _ in links(index)}
    assert {f"docs/{page.name}" for page in PAGES} <= {*named, "docs/README.md"}


def test_versions_have_a_link():
    """Each version of the changelog is a link to what changed in it."""
    changelog = DOCUMENTS["CHANGELOG.md"]
    versions = re.findall(r"^## (.+?)(?: - .*)?$", changelog, re.M)
    assert versions
    defined = re.findall(r"^(\[.+\]): https://\S+$", changelog, re.M)
    assert defined == versions


def links(document: str) -> Iterator[tuple[str, str]]:
    """Of each link to something of this repository the path from its root, and the anchor."""
    for link in re.findall(r"(?:\]\(|src(?:set)?=\")([^)\"\s]+)[)\"]", prose(document)):
        path, _, anchor = link.partition("#")
        if "://" not in link:
            folder = posixpath.dirname(document)
            yield posixpath.normpath(posixpath.join(folder, path)) if path else document, anchor


def anchors(document: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def prose(document: str) -> str:
    """Less what stands in blocks of code."""
    return re.sub(r"^```.*?^```", "", DOCUMENTS[document], flags=re.M | re.S)
