"""Whatever lies in DVC's files: never an exception, never a hash that the file does not hold."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest
from conftest import Project, examples, few
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlflow_dvc.capture import workspace
from mlflow_dvc.dvcfiles.reader import ProjectReader
from mlflow_dvc.snapshot import Snapshot

A, B, C, D = ("a" * 32, "b" * 32, "c" * 32, "d" * 32)
GOOD = f"outs:\n- path: good.csv\n  hash: md5\n  md5: {D}\n  size: 4\n"
FILES = {
    "data.csv.dvc": f"outs:\n- md5: {A}\n  size: 12\n  hash: md5\n  path: data.csv\n",
    "dvc.yaml": "stages:\n  train:\n    cmd: python train.py\n    outs: [model, extra]\n",
    "dvc.lock": f"""\
schema: '2.0'
stages:
  train:
    cmd: python train.py
    outs:
    - path: extra
      hash: md5
      md5: {B}
      size: 5
    - path: model
      hash: md5
      md5: {C}.dir
      size: 6
      nfiles: 2
""",
}
KNOWN = {"data.csv": A, "extra": B, "model": f"{C}.dir", "good.csv": D}

CONTENTS = {
    "binary": bytes(range(256)) * 8,
    "zeros": b"\0" * 1000,
    "not utf-8": b"outs:\n- path: caf\xe9\n  md5: " + A.encode(),
    "utf-16": FILES["data.csv.dvc"].encode("utf-16"),
    "tabs": b"outs:\n\t- path: x\n",
    "unclosed": b"{outs: [{path: x, md5: '",
    "two documents": b"a: 1\n---\nb: 2\n",
    "undefined alias": b"outs: *nothing\n",
    "tag": b"!!python/object/apply:os.system ['touch hacked']\n",
    "deep": b"[" * 20_000,
    "deep mapping": b"".join(b" " * depth + b"a:\n" for depth in range(2_000)),
    "deep and closed": b"[" * 2_000 + b"]" * 2_000,
    "cycle": b"&a [*a]\n",
    "list": b"- a\n- b\n",
    "word": b"word\n",
    "number": b"42\n",
    "same key": f"outs:\n- path: x\n  md5: {A}\n  md5: {B}\nouts: []\n".encode(),
    "unhashable key": b"{[a]: b, {c: d}: e}\n",
    "complex key": b"? [a, b]\n: c\n",
    "bad date": b"schema: 2021-99-99\n",
    "bad number": b"schema: -_\n",
    "huge number": b"schema: " + b"9" * 10_000,
    "bad binary": b"schema: !!binary \xe9\n",
}


@pytest.fixture(scope="session")
def laid_out(tmp_path_factory: pytest.TempPathFactory, initialised: Path) -> Path:
    root = tmp_path_factory.mktemp("laid") / "project"
    shutil.copytree(initialised, root, symlinks=True)
    for name, text in FILES.items():
        (root / name).write_text(text)
    (root / "zz").mkdir()
    (root / "zz/good.csv.dvc").write_text(GOOD)
    return root


@pytest.fixture
def project(laid_out: Path, tmp_path: Path) -> Project:
    shutil.copytree(laid_out, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


def read(project: Project) -> Snapshot:
    return workspace.inspect(str(project.root))[1]


def hashes(snapshot: Snapshot) -> dict[str, str]:
    return {os.path.basename(e.path): e.hash for e in snapshot.data if e.hash is not None}


def named(snapshot: Snapshot, file: str) -> list[str]:
    """The warnings that name the file, each of which must give a reason in one short line."""
    found = [warning for warning in snapshot.warnings if warning.startswith(file)]
    for warning in found:
        assert len(warning) > len(file) + 5, warning
        assert len(warning) < 500, warning
        assert warning.isprintable(), warning
    return found


def test_unharmed(project: Project):
    """What is broken below is whole here: every hash is read, and there is nothing to say."""
    snapshot = read(project)
    assert hashes(snapshot) == KNOWN
    assert snapshot.warnings == ()


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_content(project: Project, file: str, content: bytes):
    """A file that makes no sense is named with the reason; the others are still read."""
    project.write(file, content)
    snapshot = read(project)
    assert named(snapshot, file) == list(snapshot.warnings) != []
    lost = {"data.csv.dvc": {"data.csv"}}.get(file, {"extra", "model"})
    assert hashes(snapshot) == {path: md5 for path, md5 in KNOWN.items() if path not in lost}
    assert not (project.root / "hacked").exists()


@pytest.mark.parametrize("file", FILES)
def test_empty(project: Project, file: str):
    """An empty file says nothing; only an empty lock is one that DVC refuses."""
    for content in ("", "\n", "# comment\n", "---\n", "~\n", "{}\n"):
        project.write(file, content)
        snapshot = read(project)
        lost = {"data.csv.dvc": {"data.csv"}}.get(file, {"extra", "model"})
        assert hashes(snapshot) == {path: md5 for path, md5 in KNOWN.items() if path not in lost}
        assert bool(named(snapshot, file)) == (file == "dvc.lock")


@pytest.mark.parametrize("file", FILES)
def test_truncated(project: Project, file: str):
    """Cut off anywhere, a file gives no hash that does not stand in it as a whole."""
    text = FILES[file]
    reader = ProjectReader(str(project.root))
    for end in range(len(text)):
        project.write(file, text[:end])
        reading = reader.read()
        outs = [out for stage in reading.stages for out in stage.outs if out.hash]
        # A hash of a directory less its last letters is one of a file.
        assert {out.hash for out in outs} <= {*KNOWN.values(), C}
        assert "zz/good.csv" in {out.path for out in outs}


@pytest.mark.fuzz
@settings(
    max_examples=examples(300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    file=st.sampled_from(list(FILES)),
    damage=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 40), st.binary(max_size=6))),
)
def test_damage(project: Project, file: str, damage: list[tuple[int, int, bytes]]):
    """Whatever happens to the bytes of a file, each hash that is read stands in a file."""
    content = FILES[file].encode()
    for at, length, new in damage:
        content = content[:at] + new + content[at + length :]
    reader = ProjectReader(str(project.root))
    project.write(file, content)
    reading = reader.read()
    outs = [out for stage in reading.stages for out in stage.outs if out.hash]
    everything = b"".join(text.encode() for text in (*FILES.values(), GOOD)) + content
    for out in outs:
        assert out.hash is not None
        assert out.hash.encode() in everything
    assert "zz/good.csv" in {out.path for out in outs}
    assert all(warning.isprintable() for warning in reading.warnings)
    project.write(file, FILES[file])


@pytest.mark.parametrize("file", FILES)
def test_huge(project: Project, file: str):
    """A file of 100 MB is named and not read: that would hold up the training for a minute."""
    with (project.root / file).open("wb") as stream:
        stream.write(FILES[file].encode())
        stream.truncate(100 * 1024 * 1024)
    snapshot = read(project)
    assert "larger than 32 MiB" in named(snapshot, file)[0]
    assert "good.csv" in hashes(snapshot)


@contextmanager
def closed(path: Path) -> Iterator[None]:
    """Nobody may read ``path``; root, who may read everything, is somebody else meanwhile."""
    path.chmod(0)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)
        path.chmod(0o755)


@pytest.mark.parametrize("file", [*FILES, "zz", ".dvcignore", ".gitignore", ".git/HEAD"])
def test_no_permission(laid_out: Path, file: str):
    """What may not be read is named where it is missed; the others are still read."""
    with tempfile.TemporaryDirectory() as directory:  # pytest's own is closed to other users
        Path(directory).chmod(0o755)
        project = Project(Path(directory).resolve() / "project")
        shutil.copytree(laid_out, project.root, symlinks=True)
        (project.root / ".gitignore").touch()
        read(Project(laid_out))  # nobody may import what is needed for it, either
        with closed(project.root / file):
            snapshot = read(project)
    if file in FILES:
        assert "Permission denied" in named(snapshot, file)[0]
    if file == ".git/HEAD":
        assert any("HEAD" in warning for warning in snapshot.warnings)
    assert ("good.csv" in hashes(snapshot)) == (file != "zz")
    assert hashes(snapshot).items() <= KNOWN.items()


@pytest.mark.parametrize("file", FILES)
def test_conflict(project: Project, file: str):
    """A file in the middle of a merge is named as that, and neither side is taken."""
    text = FILES[file]
    theirs = text.replace(A, D).replace(B, D).replace(C, D).replace("train.py", "other.py")
    project.write(file, f"<<<<<<< HEAD\n{text}=======\n{theirs}>>>>>>> other\n")
    snapshot = read(project)
    assert "merge conflict" in " ".join(named(snapshot, file))
    assert "good.csv" in hashes(snapshot)
    lost = {"data.csv.dvc": {"data.csv"}}.get(file, {"extra", "model"})
    assert not lost & hashes(snapshot).keys()


SPOILT = (*FILES, ".dvcignore", ".gitignore", ".dvc/config")
KINDS = ("directory", "loop", "dangling", "pipe")


@pytest.mark.parametrize(
    ("file", "kind"),
    few(
        *zip(SPOILT, KINDS * 2, strict=False), *zip(SPOILT, KINDS[1:] * 3, strict=False),
        of=product(SPOILT, KINDS),
    ),
)  # fmt: skip
def test_unreadable(project: Project, file: str, kind: str):
    """What cannot be opened is named where DVC would look into it; the others are still read."""
    path = project.root / file
    path.unlink(missing_ok=True)
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path.name if kind == "loop" else "nowhere")
    snapshot = read(project)
    assert "good.csv" in hashes(snapshot)
    assert hashes(snapshot).items() <= KNOWN.items()
    # A directory is no DVC file by its name alone.
    if file == "dvc.lock" or (file in FILES and kind != "directory"):
        assert named(snapshot, file) != []


@pytest.mark.parametrize("name", ["a\nb.dvc", "a\x1b[31m.dvc", "\udcff.dvc"])
def test_strange_name(project: Project, name: str):
    """The name of a broken file cannot break the line in which it is named."""
    (project.root / name).write_text("[")
    snapshot = read(project)
    assert len(snapshot.warnings) == 1
    assert snapshot.warnings[0].isprintable()
    snapshot.warnings[0].encode()
    assert hashes(snapshot) == KNOWN


@pytest.mark.parametrize(
    "value",
    ["12345", "''", "null", "true", "1.5", "[a]", "{a: b}", A[:-1], A + "0", A + ".di", "g" * 32,
     A.upper(), f"' {A}'", f"'{A}\\n'", f'"{A}\\0"', "1" * 32, "00" + "1" * 30, "1e" + "1" * 30],
)  # fmt: skip
def test_no_hash(project: Project, value: str):
    """What is no md5 is not passed on as one; a number is none, since its zeros are lost."""
    project.write("data.csv.dvc", f"outs:\n- path: data.csv\n  hash: md5\n  md5: {value}\n")
    snapshot = read(project)
    assert "data.csv" not in hashes(snapshot)
    if value not in ("''", "null"):
        assert named(snapshot, "data.csv.dvc") != []


@pytest.mark.parametrize(
    "out",
    [
        "- 5\n",
        "- path: [x]\n",
        "- path: ''\n  md5: {0}\n",
        "- md5: {0}\n",
        "- path: x\n  md5: {0}\n  files: 3\n",
        "- path: x\n  md5: {0}\n  files: [{{relpath: 1, md5: {0}}}]\n",
        "- path: x\n  md5: {0}\n  files: [x]\n",
        "- path: x\n  md5: {0}\n  cloud: [x]\n",
        "- path: x\n  md5: {0}\n  cloud: {{a: 3}}\n",
        "- path: x\n  md5: {0}\n  size: many\n",
        "- path: x\n  md5: {0}\n  nfiles: 1.5\n",
        "- path: x\n  md5: {0}\n  hash: [x]\n",
        '- path: "x\\0y"\n  md5: {0}\n',
        "- path: http://[x\n  md5: {0}\n",
        "- {{path: x, md5: {0}}}\n- {{path: x/y, md5: {0}}}\n- {{path: x, md5: {1}}}\n",
    ],
)
def test_shape(project: Project, out: str):
    """An entry of the wrong shape, or two for one place, is named with its file."""
    project.write("data.csv.dvc", "outs:\n" + out.format(A, B))
    snapshot = read(project)
    assert [warning for warning in snapshot.warnings if "data.csv.dvc" in warning]
    assert {"good.csv", "extra", "model"} <= hashes(snapshot).keys()


def test_v1_lock(project: Project):
    """A lock of DVC 1, which DVC 3 refuses, gives no hash and a way out."""
    project.write("dvc.lock", f"train:\n  cmd: x\n  outs:\n  - path: model\n    md5: {C}\n")
    snapshot = read(project)
    assert "DVC 1" in named(snapshot, "dvc.lock")[0]
    assert hashes(snapshot).keys() == {"data.csv", "good.csv"}


def test_everything_broken(project: Project):
    """Where nothing can be read, each file is named and the record is empty."""
    for file in (*FILES, "zz/good.csv.dvc", ".git/HEAD", ".dvcignore", ".gitignore", ".dvc/config"):
        project.write(file, bytes(range(256)))
    snapshot = read(project)
    assert hashes(snapshot) == {}
    for file in ("data.csv.dvc", "dvc.yaml", "zz/good.csv.dvc"):
        assert named(snapshot, file) != []
    assert any("HEAD" in warning for warning in snapshot.warnings)


@pytest.mark.parametrize("content", [b"", b"ref: nowhere\n", bytes(range(256)), b"\xff" * 40])
def test_head(project: Project, content: bytes):
    """A broken HEAD is named, and takes nothing of the data with it."""
    project.write(".git/HEAD", content)
    snapshot = read(project)
    assert snapshot.git is None
    assert ["HEAD" in warning for warning in snapshot.warnings] == [True]
    assert hashes(snapshot) == KNOWN


def test_repaired(project: Project):
    """A file that was broken is read as soon as it is whole, by the same reader."""
    reader = ProjectReader(str(project.root))
    for _ in range(2):
        project.write("dvc.lock", "[")
        assert len(reader.read().warnings) == 1
        project.write("dvc.lock", FILES["dvc.lock"])
        reading = reader.read()
        assert reading.warnings == ()
        assert sum(bool(out.hash) for stage in reading.stages for out in stage.outs) == 4


@pytest.mark.parametrize(
    "text",
    [
        "stages: {a: {cmd: x, outs: ['${nothing}']}, b: {cmd: x, outs: [extra]}}",
        "stages: {a: {foreach: '${nothing}', do: {cmd: x}}, b: {cmd: x, outs: [extra]}}",
        "vars: [nowhere.yaml]\nstages: {a: {cmd: x, outs: ['${n}']}, b: {cmd: x, outs: [extra]}}",
        "vars: [params.yaml]\nstages: {a: {cmd: x, outs: ['${n}']}, b: {cmd: x, outs: [extra]}}",
        "stages: {a: {cmd: x, outs: ['${a b}']}, b: {cmd: x, outs: [extra]}}",
    ],
)
def test_template(project: Project, text: str):
    """A template that DVC cannot fill in is named; the stages beside it are still read."""
    project.write("dvc.yaml", text)
    project.write("params.yaml", "n: [\n" if "params" in text else "x: 1")
    project.write("dvc.lock", FILES["dvc.lock"].replace("train", "b"))
    snapshot = read(project)
    assert named(snapshot, "dvc.yaml") != []
    assert hashes(snapshot) == {"data.csv": A, "good.csv": D, "extra": B}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("raw.dvc", 'wdir: "\\0"\nouts:\n- path: raw\n'),
        ("dvc.yaml", 'params: ["\\0"]\n'),
        ("dvc.yaml", 'stages: {a: {cmd: x, params: [{"\\0": [b]}]}}\n'),
        ("dvc.yaml", 'stages: {a: {cmd: x, deps: ["\\0"]}}\n'),
    ],
)
def test_no_path(tmp_path: Path, name: str, text: str):
    """A NUL in a path is no path, and no fault of the reader's."""
    (tmp_path / name).write_text(text)
    reading = ProjectReader(str(tmp_path)).read()
    assert not any("\0" in out.path for stage in reading.stages for out in stage.outs)
