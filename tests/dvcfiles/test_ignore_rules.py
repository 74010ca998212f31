"""Ignore rules taken by name: the same verdict as by pathspec's expressions, and as git's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import Project, examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlflow_dvc.dvcfiles import ignore_rules

pytestmark = pytest.mark.hosts

PARTS = st.sampled_from(["a", "b.log", "data", "data.dvc", ".env", "x y", "é", "a+b", "deep"])
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
LINES = st.one_of(
    st.builds(
        lambda start, path, end: start + path + end,
        st.sampled_from(["", "/", "*", "**/", "!", "\\", "/*", "#", " ", "./"]),
        PATHS,
        st.sampled_from(["", "/", "*", "/*", "/**", " ", "\\ ", "//", "[a]", "?"]),
    ),
    st.sampled_from(["*.log", "*.dvc", "*", "/", "**", "*/", "data", "!data", "*.[a", "deep/../a"]),
)


@pytest.mark.fuzz
@settings(max_examples=examples(500), deadline=None)
@given(st.lists(LINES, min_size=1, max_size=4), PATHS, st.booleans())
def test_as_pathspec(lines: list[str], path: str, is_dir: bool):
    """Of a path that lies in no hidden folder, each file of rules says what pathspec says."""
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    if is_dir and any(line.startswith("!") for line in lines):
        return  # there it is git that counts
    spec = ignore_rules._spec(lines)
    folders = path.split("/")[:-1]
    for depth in range(1, len(folders) + 1):
        if spec and spec.match_file("/".join(folders[:depth]) + "/"):
            return
    theirs = spec.check_file(path + "/" if is_dir else path).include if spec else None
    assert bool(ignore_rules._Rules(lines).by_git(path, is_dir=is_dir)) == bool(theirs)


@pytest.mark.fuzz
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(["*.log", "!b.log/**"], ["b.log/a"])
@example([" a"], ["a", " a"])
@example(["*", "!*/", "!*.dvc"], ["data/data.dvc", "data/a"])
@example(["data/**", "!data/**/", "!data/**/*.dvc"], ["data/deep/data.dvc", "data/data.dvc"])
@example(["*", "!data", "a"], ["data/a", "data/deep"])
@given(st.lists(LINES, min_size=1, max_size=4), st.lists(PATHS, min_size=1, max_size=5))
def test_as_git(directory: Project, lines: list[str], paths: list[str]):
    """What is hidden is what git hides."""
    root = directory.root
    if not (root / ".git").exists():
        directory.git("init", "--quiet")
    (root / ".gitignore").write_text("\n".join(lines) + "\n")
    command = ["git", "check-ignore", "--no-index", "--stdin", "-z"]
    asked = "\0".join(paths)
    done = subprocess.run(
        command, cwd=root, input=asked, capture_output=True, text=True, check=False
    )
    theirs = set(done.stdout.split("\0")) - {""}
    rules = ignore_rules.git_rules(str(root))

    def hidden(path: str) -> bool:
        where = Path(root, path)
        return rules.ignores_any_parent(str(where.parent)) or rules.ignores(
            str(where), is_dir=False
        )

    assert {path for path in paths if hidden(path)} == theirs
