"""One place for each command, and files that nothing else would check."""

from __future__ import annotations

import ast
import os
import re
import select
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import PYTHON, SECONDS

import mlflow_dvc

ROOT = Path(__file__).parent.parent
RUN = (ROOT / ".ci/run").read_text("utf-8")
STEPS = set(re.findall(r"^STEPS='(.+)'$", RUN, re.M)[0].split())
SETUP = (ROOT / "setup.py").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
NOX = ast.parse((ROOT / "noxfile.py").read_text("utf-8"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def jobs(path: Path) -> Iterator[dict[str, Any]]:
    yield from read(path)["jobs"].values()


def commands(path: Path) -> list[str]:
    return [step["run"] for job in jobs(path) for step in job.get("steps", []) if "run" in step]


def body(step: str) -> str:
    """The commands of a step of .ci/run."""
    lines = re.search(rf"^{step}\(\) \{{(.*?)\}}$", RUN, re.M | re.S)
    assert lines is not None, step
    return lines[1]


def steps_of_nox() -> list[str]:
    """What the noxfile hands to .ci/run: the words behind it, and those of its ``steps``."""
    words: list[str] = []
    for call in ast.walk(NOX):
        if isinstance(call, ast.Call):
            given = [one.value for one in call.args if isinstance(one, ast.Constant)]
            if isinstance(call.func, ast.Name) and call.func.id == "steps":
                words += given
            elif ".ci/run" in given:
                words += given[2:]
    return words


def test_steps():
    """Every step that .ci/run names is one of its functions."""
    for step in STEPS:
        assert body(step).strip()


def test_unknown_step():
    """A step that is not there runs nothing, and is answered with the steps that are."""
    done = subprocess.run(
        ["bash", ROOT / ".ci/run", "lint", "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert set(done.stderr.split()) >= STEPS


def test_one_place_for_commands():
    """The workflows, the noxfile and the hooks of pre-commit run steps of .ci/run, nothing else."""
    hooks = [
        hook["entry"]
        for source in read(ROOT / ".pre-commit-config.yaml")["repos"]
        if source["repo"] == "local"
        for hook in source["hooks"]
    ]
    for command in [*hooks, *(one for path in WORKFLOWS for one in commands(path))]:
        if command != 'bash .ci/release "$GITHUB_REF_NAME"':
            program, script, *steps = command.split()
            assert (program, script) == ("bash", ".ci/run")
            assert set(steps) <= STEPS
    assert set(steps_of_nox()) <= STEPS
    ran = [
        call.args[1].value
        for call in ast.walk(NOX)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "session.run"
    ]
    assert set(ran) == {".ci/run"}


def test_every_step_is_run():
    """No step is left out by .ci/run as a whole, by the workflow, or by the noxfile."""
    lanes = [line.split() for line in RUN.splitlines() if line.startswith("lane ")]
    whole = {word for lane in lanes for word in lane}
    assert whole >= STEPS - {"coverage", "report", "audit"}  # which cost more, or ask a service
    workflow = {word for command in commands(ROOT / ".github/workflows/ci.yml")
                for word in command.split()}  # fmt: skip
    assert workflow >= STEPS - {"report"}  # which `coverage` ends with
    assert set(steps_of_nox()) == STEPS - {"install", "report"}  # nox installs


def test_contributing_names_the_steps():
    """CONTRIBUTING has one row for each step, and the commands in it are those of .ci/run."""
    habits = CONTRIBUTING.partition("## Habits")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", habits, re.M))
    assert set(rows) == STEPS
    for step in ("fast", "lint", "types", "suites"):
        ours = [line.strip() for line in body(step).replace('"$bin/', '"').splitlines()]
        ours = [line.replace('"', "").rstrip("; ") for line in ours if line]
        assert re.findall(r"`(.+?)`", rows[step]) == ours


def test_fast_suite_is_the_readmes():
    """The README's second command ends with what the step `fast` runs."""
    readme = (ROOT / "README.md").read_text("utf-8")
    [command] = re.findall(r"^\$ (python3 -m venv .+\.\[test\].+)$", readme, re.M)
    fast = body("fast").strip("; ").replace('"$bin/python"', ".venv/bin/python")
    assert command.rpartition(" && ")[2] == fast


@pytest.mark.parametrize("fails", ["first", "second"])
def test_lanes(tmp_path: Path, fails: str):
    """If a lane fails, .ci/run fails, tells what the second one said, and leaves no process."""
    begun = "while [ ! -e begun ]; do sleep 0.1; done"  # by the other lane, of itself
    tools = {
        ".ci/programs": "echo of the second lane; touch begun; "
        + ("exec sleep 900" if fails == "first" else "exit 7"),  # longer than the test waits
        **dict.fromkeys(("bin/ruff", "bin/mypy", "bin/python", "bin/coverage"), "exit 0"),
    }
    for name, script in {**tools, ".ci/run": RUN}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(script if name == ".ci/run" else f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    ends = "exit 5" if fails == "first" else "true"
    (tmp_path / "README.md").write_text(
        f"$ python3 -m venv -h '.[test]' >/dev/null; {begun}; {ends} && this is the step fast\n"
    )
    alive, held = os.pipe()
    with open(alive, "rb"):
        done = subprocess.run(
            ["bash", ".ci/run"],
            cwd=tmp_path, env=os.environ | {"VENV": str(tmp_path)}, pass_fds=[held],
            capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        os.close(held)
        ended, _, _ = select.select([alive], [], [], 60)  # the end of what all of them held
    assert done.returncode == (5 if fails == "first" else 7), done.stderr
    assert done.stdout.count("of the second lane") == 1
    assert ended


def test_workflows_are_pinned_and_may_little():
    """Actions have a full version, jobs a limit, and only what uploads may ask for an identity."""
    assert len(WORKFLOWS) == 2
    for path in WORKFLOWS:
        assert read(path)["permissions"] in ({}, {"contents": "read"})
        for job in jobs(path):
            assert job.get("permissions", {}) in ({}, {"contents": "read"}, {"id-token": "write"})
            if "id-token" in job.get("permissions", {}):
                assert job["environment"]["name"] == "pypi"
                assert not any("run" in step for step in job["steps"])
            assert "timeout-minutes" in job or job["uses"].startswith("./")
            for step in job.get("steps", []):
                assert "run" in step or re.fullmatch(r"[\w-]+/[\w-]+@v\d+\.\d+\.\d+", step["uses"])


def test_hooks_are_pinned():
    """Hooks of others have a full version, and ours take ruff and mypy from the environment."""
    for source in read(ROOT / ".pre-commit-config.yaml")["repos"]:
        assert source["repo"] == "local" or re.fullmatch(r"v\d+\.\d+\.\d+", source["rev"])
        assert "ruff" not in source["repo"]
        assert "mypy" not in source["repo"]


def test_forms_ask_for_what_is_needed():
    """Each form on GitHub has fields, and the one for bugs asks for the doctor's findings."""
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = read(path)
        if path.name != "config.yml":
            assert {"name", "description", "body"} <= form.keys()
            fields = [field["id"] for field in form["body"] if field["type"] != "markdown"]
            assert len(set(fields)) == len(fields) > 1
    bug = (ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text("utf-8")
    assert "mlflow-dvc doctor --json" in bug
    assert read(ROOT / ".github/dependabot.yml")["version"] == 2


def test_pythons():
    """What setup.py says to support is what the workflow and the noxfile run on."""
    supported = re.findall(r"Python :: (3\.\d+)", SETUP)
    newest = read(ROOT / ".github/workflows/ci.yml")["jobs"]["newest"]
    assert newest["strategy"]["matrix"]["python"] == supported
    [listed] = [
        ast.literal_eval(line.value)
        for line in NOX.body
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "PYTHONS"
    ]
    assert listed == supported


def test_citation():
    """CITATION.cff has the version, the licence and the repository of the package."""
    citation = read(ROOT / "CITATION.cff")
    assert str(citation["version"]) == mlflow_dvc.__version__
    assert f'license_expression="{citation["license"]}"' in SETUP
    assert f'REPOSITORY = "{citation["repository-code"]}"' in SETUP


@pytest.mark.parametrize(
    ("tag", "heading", "cited", "error"),
    [
        ("v1.2.3", "## 1.2.3 - 2026-01-31", "1.2.3", ""),
        ("v1.2.4", "## 1.2.3 - 2026-01-31", "1.2.3", "has version 1.2.3"),
        ("1.2.3", "## 1.2.3 - 2026-01-31", "1.2.3", "the tag is 1.2.3"),
        ("v1.2.3", "## 1.2.3 - unreleased", "1.2.3", "CHANGELOG.md has no line"),
        ("v1.2.3", "## 1x2.3 - 2026-01-31", "1.2.3", "CHANGELOG.md has no line"),
        ("v1.2.3", "## 1.2.3 - 2026-01-31", "1.2.2", "CITATION.cff has another version"),
    ],
)
def test_release(tmp_path: Path, tag: str, heading: str, cited: str, error: str):
    """A tag is released if version, citation and a dated entry of CHANGELOG agree with it."""
    for folder in ("mlflow_dvc", ".ci"):
        (tmp_path / folder).mkdir()
    (tmp_path / "mlflow_dvc/_version.py").write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n")
    (tmp_path / "CITATION.cff").write_text(f"version: {cited}\n")
    (tmp_path / ".ci/release").write_text((ROOT / ".ci/release").read_text("utf-8"))
    done = subprocess.run(
        ["bash", tmp_path / ".ci/release", tag], capture_output=True, text=True, check=False
    )
    assert done.returncode == (1 if error else 0)
    assert error in done.stderr


def test_source_distribution(tmp_path: Path):
    """The source distribution holds every file of the repository but those about GitHub and git."""
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    source = tmp_path / "source"
    for name in tracked:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [PYTHON, "-m", "build", "-q", "--sdist", "-o", tmp_path, source],
        check=True, capture_output=True,
    )  # fmt: skip
    [made] = tmp_path.glob("mlflow_dvc-*.tar.gz")
    with tarfile.open(made) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {name for name in tracked if (ROOT / name).is_file()}
    apart = {
        name for name in expected if name.startswith((".github/", ".gitignore", ".pre-commit"))
    }
    assert expected - apart <= names
    assert not apart & names
