"""A patch that is known is the one that git would make now."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project

from mlflow_dvc import fingerprint
from mlflow_dvc.git import known_patch
from mlflow_dvc.git.changed_code import PatchOptions
from mlflow_dvc.git.patch import make_patch

TICK = 0.02  # seconds; after it a change of a file shows


@pytest.fixture
def project(make_project: Callable[..., Project], monkeypatch) -> Project:
    """With a changed program, a new one, and some that are as committed."""
    monkeypatch.setattr(fingerprint, "RACY_NS", int(TICK / 2 * 1e9))
    monkeypatch.setattr(known_patch, "_last", None)
    found = make_project()
    for name in ("a.py", "b.py", "c.py", "lib/d.py"):
        found.write(name, f"print({name!r})\n")
    found.write(".gitignore", "ignored.py\n")
    found.commit("code")
    found.write("a.py", "print(1)\n")
    found.write("new.py", "print(2)\n")
    return found


def wanted() -> PatchOptions:
    """As for a run that starts now."""
    return PatchOptions(since=time.time())


class Made:
    """Counts how often a patch was made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        monkeypatch.setattr(known_patch, "make_patch", self._make)

    def _make(self, *args: object) -> object:
        self.times += 1
        return make_patch(*args)  # type: ignore[arg-type]


@pytest.fixture
def made(monkeypatch) -> Made:
    return Made(monkeypatch)


def look_until_known(project: Project, sha: str, made: Made) -> None:
    for _ in range(2):
        time.sleep(TICK)  # until changes show
        known_patch.find_patch(str(project.root), sha, wanted())
    before = made.times
    known_patch.find_patch(str(project.root), sha, wanted())
    assert made.times == before, "it is known by now"


def same_size_and_time(path: Path, content: str) -> None:
    """As an editor that keeps time stamps would."""
    status = path.stat()
    path.write_text(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def submodule(project: Project) -> None:
    url = str(project.root / ".git")
    project.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url, "sub")
    project.write("sub/a.py", "print(3)\n")


CHANGES: dict[str, Callable[[Project], object]] = {
    "changed further": lambda p: p.write("a.py", "print(7)\n"),
    "with its time kept": lambda p: same_size_and_time(p.root / "a.py", "print(7)\n"),
    "another changed": lambda p: p.write("b.py", "print(7)\n"),
    "another of this size and time": lambda p: same_size_and_time(
        p.root / "b.py", "print('B.py')\n"
    ),
    "changed back": lambda p: p.write("a.py", "print('a.py')\n"),
    "the new one changed": lambda p: p.write("new.py", "print(7)\n"),
    "the new one gone": lambda p: (p.root / "new.py").unlink(),
    "one more": lambda p: p.write("lib/deep/more.py", "print(7)\n"),
    "one gone": lambda p: (p.root / "c.py").unlink(),
    "a folder in place of one": lambda p: (
        (p.root / "lib/d.py").unlink(), p.write("lib/d.py/e.py", "print(7)\n"),
    ),
    "executable": lambda p: (p.root / "b.py").chmod(0o755),
    "staged": lambda p: p.git("add", "new.py"),
    "staged and changed back": lambda p: (p.git("add", "a.py"), p.write("a.py", "print('a.py')\n")),
    "to be ignored": lambda p: p.write(".gitignore", "new.py\n"),
    "ignored by the clone": lambda p: (p.root / ".git/info/exclude").write_text("new.py\n"),
    "not looked at": lambda p: (
        p.git("update-index", "--assume-unchanged", "c.py"), p.write("c.py", "print(7)\n"),
    ),
    "a submodule": submodule,
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_seen(project: Project, made: Made, name: str):
    """Whatever changes in a work tree, the next patch has it, and so have all that follow."""
    sha = project.git("rev-parse", "HEAD")
    look_until_known(project, sha, made)
    CHANGES[name](project)
    for _ in range(3):
        found = known_patch.find_patch(str(project.root), sha, PatchOptions())
        assert found == make_patch(str(project.root), sha, PatchOptions())
        time.sleep(TICK)  # until changes show


@pytest.mark.parametrize("file", ["mlflow.db", "mlruns/1/x/artifacts/y.lock", "ignored.py"])
def test_no_code(project: Project, made: Made, file: str):
    """What no patch holds may come and change: a tracking store in the project does at each run."""
    sha = project.git("rev-parse", "HEAD")
    project.write(file, "1\n")
    look_until_known(project, sha, made)
    before = made.times
    project.write(file, "22\n")
    known_patch.find_patch(str(project.root), sha, wanted())
    assert made.times == before


def test_written_since(project: Project, made: Made):
    """A file that was written after a run began is named for this run, and not for the next."""
    sha = project.git("rev-parse", "HEAD")
    look_until_known(project, sha, made)
    started = wanted()
    time.sleep(TICK)  # until changes show
    project.write("a.py", "print(8)\n")
    time.sleep(TICK)  # until changes show
    first = known_patch.find_patch(str(project.root), sha, started)
    assert first.omitted == ("a.py: changed after the run began",)
    for _ in range(3):
        assert known_patch.find_patch(str(project.root), sha, wanted()).omitted == ()


def test_written_before_and_known(project: Project, made: Made):
    """A known patch is not taken for a run that began before its files were written."""
    sha = project.git("rev-parse", "HEAD")
    early = wanted()
    time.sleep(TICK)  # until changes show
    project.write("a.py", "print(9)\n")
    look_until_known(project, sha, made)
    found = known_patch.find_patch(str(project.root), sha, early)
    assert "a.py: changed after the run began" in found.omitted
