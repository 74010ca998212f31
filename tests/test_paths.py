"""Which names a record may have written, held against what git itself refuses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mlflow_dvc.paths import holds_repository, is_inside, leads_out

EMPTY = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
REFUSED_BY_GIT = [
    ".git", ".GIT/config", "a/.git", "a/.gIt/hooks/x", ".git ", ".git.", ".git. ./x", "git~1/x",
    "GIT~1", ".git::$INDEX_ALLOCATION/config", ".git:stream", ".g\u200cit/config", ".gi\ufefft",
    "\u206a.git/config", "..", "../x", "a/../../x", "/etc/passwd",
]  # fmt: skip
FINE = [
    "a", "x/b c", ".gitignore", ".gitmodules", ".github/x", "x.git/config", "git", "git~10",
    "a:b+c=d,e@f", "\u00e9t\u00e9.csv", "new\nline", "nul", "con.csv", ".dvcignore", "a" * 200,
    "objects/x",
]  # fmt: skip


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "hash-object", "-w", "--stdin"], cwd=root, input=b"", check=True)
    return root


def is_refused(repository: Path, path: str) -> bool:
    """Whether git takes no file of this name into its index, for the sake of any system."""
    words = ("-c", "core.protectHFS=true", "-c", "core.protectNTFS=true", "update-index", "--add")
    done = subprocess.run(
        ["git", *words, "--cacheinfo", f"100644,{EMPTY},{path}"],
        cwd=repository, capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode != 0


@pytest.mark.parametrize("path", [*REFUSED_BY_GIT, *FINE])
def test_names_that_git_refuses(repository: Path, path: str):
    """What git refuses to write for the sake of some file system is refused here as well, on every
    one; what it takes is taken."""
    assert is_refused(repository, path) == (path in REFUSED_BY_GIT)
    assert is_inside(path) == (path not in REFUSED_BY_GIT)


@pytest.mark.parametrize("path", ["", "a\0b", "a\\b", ".dvc/config", "a/.DVC/x", "dvc~1/config"])
def test_names_that_git_would_take(path: str):
    """What DVC or another system would take for another place is refused too."""
    assert not is_inside(path)


@pytest.mark.parametrize(
    ("path", "destination"),
    [
        ("a", "/etc"), ("a", ".."), ("a/b", "../.."), ("a", "k/.."), ("a/b", "../../x"),
        ("a", ".git/hooks"), ("a/b", "../.GIT"), ("a", "b/../../.."), ("a", ".dvc/config"),
    ],
)  # fmt: skip
def test_links_that_lead_out(path: str, destination: str):
    """A link out of the tree, or into git's folder, is seen as such by its words alone."""
    assert leads_out(path, destination)


@pytest.mark.parametrize(
    ("path", "destination"), [("a", "b"), ("a/b", "../c"), ("a", "."), ("a/b", ".."), ("a", "./b")]
)
def test_links_that_stay(path: str, destination: str):
    """A link within the tree stays."""
    assert not leads_out(path, destination)


def test_a_folder_that_git_would_run(tmp_path: Path):
    """A folder that git takes for a bare repository, whose settings it follows, is seen by its
    files."""
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "data/x"], check=True)
    (tmp_path / "data/x/objects/y").write_text("")
    (tmp_path / "data/x/refs/y").write_text("")
    files = [
        os.path.relpath(os.path.join(folder, name), tmp_path)
        for folder, _, names in os.walk(tmp_path)
        for name in names
    ]
    assert holds_repository(files)
    assert not holds_repository([path for path in files if path != "data/x/HEAD"])
