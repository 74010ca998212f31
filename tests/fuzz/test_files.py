"""What reads DVC's files, patches and listings that other people made."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Project
from hostile_inputs import damaged, damaged_bytes
from hypothesis import strategies as st

from mlflow_dvc.dvc_backend.storage.stores import read_listing
from mlflow_dvc.dvcfiles import yaml12
from mlflow_dvc.dvcfiles.dvc_file import runs_the_same, shown_files
from mlflow_dvc.dvcfiles.lock_file import entry_digest, locked_stages, stage_entry
from mlflow_dvc.dvcfiles.reader import ProjectReader
from mlflow_dvc.fingerprint import UnreadableError
from mlflow_dvc.foreign_values import as_count
from mlflow_dvc.git.repository import GitError, Repository, object_in_patch
from mlflow_dvc.git.uncommitted import Patch
from mlflow_dvc.limits import MAX_ARTIFACT_BYTES
from mlflow_dvc.paths import is_inside
from mlflow_dvc.recall.lock_memory import LockMemory
from mlflow_dvc.recall.verify.named_hashes import names_hash, parse
from mlflow_dvc.tracking.archive import pack_files, unpack_files

pytestmark = pytest.mark.fuzz

MD5 = "0123456789abcdef" * 2
_OUT = {"path": "data", "hash": "md5", "md5": f"{MD5}.dir", "size": 3, "nfiles": 2}
LOCK = {
    "schema": "2.0",
    "stages": {
        "train": {
            "cmd": "python t.py", "deps": [_OUT, {**_OUT, "path": "t.py"}],
            "params": {"params.yaml": {"lr": 0.1}}, "outs": [{**_OUT, "path": "model"}],
        },
        "all@a": {"cmd": "x", "outs": [{"path": "o", "cloud": {"r": {"etag": "x", "size": 1}}}]},
    },
    "datasets": [{"name": "d", "type": "dvc", "url": "u", "rev_lock": "a" * 40}],
}  # fmt: skip
PIPELINE = {
    "stages": {
        "train": {
            "cmd": "python t.py", "deps": ["data", "t.py"], "params": ["lr", {"p.json": ["a"]}],
            "outs": ["model", {"o": {"cache": False}}], "metrics": ["m.json"],
            "plots": [{"x.csv": {"x": "a"}}],
        },
    },
    "plots": [{"x.csv": {"x": "a"}}], "artifacts": {"m": {"path": "model", "type": "model"}},
    "datasets": [{"name": "d", "type": "dvc", "url": "u"}], "params": ["q.yaml"],
}  # fmt: skip
SINGLE = {
    "outs": [{"path": "raw", "md5": MD5, "size": 3, "files": [{"relpath": "a", "md5": MD5}]}],
    "deps": [{"path": "x", "repo": {"url": "https://a/b", "rev_lock": "a" * 40}}],
    "wdir": "..", "frozen": True, "meta": {"a": 1},
}  # fmt: skip


def dumped(raw: Any) -> bytes:
    try:
        text: str = yaml.safe_dump(raw, sort_keys=False, allow_unicode=True)
    except (yaml.YAMLError, ValueError):
        text = json.dumps(raw)
    return text.encode("utf-8", "surrogatepass")


def files_of(whole: Any) -> st.SearchStrategy[bytes]:
    return damaged(whole).map(dumped) | damaged_bytes(dumped(whole))


def check_yaml(content: bytes) -> None:
    reason = ""
    try:
        yaml12.parse_yaml(content)
    except UnreadableError as error:
        reason = str(error)
    assert reason == "" or reason.isprintable()
    for entry in (stage_entry(locked_stages(content), "train"), None):
        entry_digest(entry)
    LockMemory().entries(content)
    names_hash(parse(content), "data/raw", MD5)
    list(shown_files("sub/dvc.yaml", content))
    runs_the_same(content, dumped(PIPELINE))


@pytest.fixture
def check_project(tmp_path: Path) -> Callable[[tuple[bytes, bytes, bytes]], None]:
    """The files of a record, read as those of a project."""
    root = tmp_path / "record"
    (root / ".dvc").mkdir(parents=True)

    def check(files: tuple[bytes, bytes, bytes]) -> None:
        for name, content in zip(("dvc.yaml", "dvc.lock", "raw.dvc"), files, strict=True):
            (root / name).write_bytes(content)
        reading = ProjectReader(str(root)).read()
        for line in reading.warnings:
            assert line.isprintable()
        for stage in reading.stages:
            for out in stage.outs:
                for number in (out.size, out.nfiles):
                    assert number is None or as_count(number) == number
                assert out.path
                assert "\0" not in out.path

    return check


def test_yaml(hunt):
    """A file of DVC's is read, or refused in words; what reads a part of it says nothing then."""
    hunt(check_yaml, files_of(LOCK) | files_of(PIPELINE) | files_of(SINGLE), 150)


def test_projects(hunt, check_project):
    """Whatever DVC's files say, they are read as a project, or named."""
    hunt(check_project, st.tuples(files_of(PIPELINE), files_of(LOCK), files_of(SINGLE)), 60)


ROWS = [{"md5": MD5, "relpath": "a/b.csv"}, {"md5": MD5, "relpath": "c"}]


def test_listings(hunt, tmp_path: Path):
    """A listing is one of files inside its folder, each with a hash, or a ValueError."""
    from dvc_data.hashfile.db.local import LocalHashFileDB
    from dvc_objects.fs.local import LocalFileSystem

    odb = LocalHashFileDB(LocalFileSystem(), str(tmp_path / "odb"))

    def check(content: bytes) -> None:
        value = hashlib.md5(content, usedforsecurity=False).hexdigest() + ".dir"
        path = odb.oid_to_path(value)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(content)
        try:
            rows = read_listing(odb, value)
        except ValueError:
            return
        finally:
            os.unlink(path)
        assert all(is_inside(row["relpath"]) for row in rows)
        assert all(re.fullmatch("[0-9a-f]{32}", row["md5"]) for row in rows)

    hunt(
        check,
        damaged(ROWS).map(lambda raw: json.dumps(raw).encode())
        | damaged_bytes(json.dumps(ROWS).encode()),
        100,
    )


PACKED = pack_files({"dvc.yaml": b"stages: {}\n" * 20, "a/b.dvc": b"outs: []\n", "c": b""})


def test_archives(hunt):
    """An archive is some files with names inside a project, or a ValueError."""

    def check(content: bytes) -> None:
        try:
            found = unpack_files(content)
        except ValueError:
            return
        assert all(map(is_inside, found))
        assert sum(map(len, found.values())) <= MAX_ARTIFACT_BYTES

    hunt(check, damaged_bytes(PACKED), 200)


PATCH = b"""\
diff --git a/run.py b/run.py
index 1111111..2222222 100644
--- a/run.py
+++ b/run.py
@@ -1 +1,2 @@
 print(1)
+print(2)
diff --git a/new.py b/new.py
new file mode 100644
index 0000000..3333333
--- /dev/null
+++ b/new.py
@@ -0,0 +1 @@
+x = 1
"""
_LINES = (
    b"new file mode 120000\n", b"--- a/../../x\n", b"+++ b/.git/hooks/pre-commit\n",
    b"+++ b/.GIT/x\n", b"rename from run.py\nrename to ../y\n", b"index 1..2 160000\n",
    b"GIT binary patch\nliteral 9999999999\nzc\n", b"deleted file mode 100644\n",
    b"old mode 100755\n", b"@@ -1 +1,99999999 @@\n", b"diff --git a//etc/x b//etc/x\n",
    b"+++ \"b/\\000\"\n",
)  # fmt: skip


@st.composite
def patches(draw: st.DrawFn) -> bytes:
    lines = PATCH.splitlines(keepends=True)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        lines[at : at + draw(st.integers(0, 1))] = [draw(st.sampled_from((*_LINES, *lines)))]
    return draw(damaged_bytes(b"".join(lines)))


def test_patches(hunt, make_project: Callable[..., Project], tmp_path: Path):
    """A patch makes a tree of the commit, or is refused; nothing is written beside the objects."""
    project = make_project("patched", dvc=False)
    project.write("run.py", "print(1)\n")
    sha = project.commit("code")
    repository = Repository(str(project.root))
    (tmp_path / "target").mkdir()

    def lies_there() -> set[str]:
        found = (path for path in tmp_path.rglob("*") if ".git/objects" not in path.as_posix())
        return {path.as_posix() for path in found}

    before = lies_there()

    def check(patch: bytes) -> None:
        object_in_patch(patch)
        Patch({"code.patch": patch}).digest  # noqa: B018 - it is computed
        try:
            tree = repository.tree(sha, patch)
        except GitError:
            tree = ""
        assert all(is_inside(path) for path in repository.paths(tree)) if tree else True
        assert lies_there() == before

    hunt(check, patches(), 25)
