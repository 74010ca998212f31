"""What one process remembers of a project for the next: it must never show but in the time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PYTHON, Project

import mlflow_dvc
from mlflow_dvc import fingerprint
from mlflow_dvc.capture import workspace
from mlflow_dvc.capture.run_capture import RunCapture

A, B = "a" * 32, "b" * 32
LOCK = """\
schema: '2.0'
stages:
  train:
    cmd: python train.py
    outs:
    - path: model
      hash: md5
      md5: {md5}
      size: 3
"""
FILES = {
    "dvc.yaml": "stages:\n  train:\n    cmd: python train.py\n    deps: [train.py, conf]\n"
    "    params: [lr]\n    outs: [model]\n",
    "dvc.lock": LOCK.format(md5=A),
    "params.yaml": "lr: 1\n",
    "train.py": "",
    "conf/notes.txt": "",
    "data/raw.dvc": f"outs:\n- md5: {A}\n  hash: md5\n  path: raw\n",
    "data/more/x.dvc": f"outs:\n- md5: {B}\n  hash: md5\n  path: x\n",
    "other/dvc.yaml": "stages: {late: {cmd: x, outs: [y]}}\n",
    ".gitignore": "/ignored\n",
    "ignored/z.dvc": f"outs:\n- md5: {A}\n  hash: md5\n  path: z\n",
    "broken.dvc": "outs: [\n",
}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, initialised: Path) -> Path:
    root = tmp_path_factory.mktemp("prepared") / "project"
    shutil.copytree(initialised, root, symlinks=True)
    for path, text in FILES.items():
        Path(root, path).parent.mkdir(parents=True, exist_ok=True)
        Path(root, path).write_text(text)
    return root


@pytest.fixture(autouse=True)
def short_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the file system here is fine: files are settled after 20 ms, not 2 s."""
    monkeypatch.setattr(fingerprint, "RACY_NS", 20_000_000)


@pytest.fixture
def project(prepared: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(prepared, tmp_path / "project", symlinks=True)
    yield Project(tmp_path / "project")
    forget()


def forget() -> None:
    """As in a new process."""
    workspace._readers.clear()
    workspace._last = None


def seen(project: Project, script: str | None = "train.py") -> RunCapture:
    """What a run of a new process that runs ``script`` gets to see."""
    forget()
    where = str(project.root)
    path = os.path.join(where, script) if script else None
    return workspace._capture(workspace.find_project(where, path))


def remembered(project: Project, script: str | None = "train.py") -> RunCapture:
    """The same, from memory."""
    time.sleep(0.05)  # until the files are settled, see short_tick
    workspace.save_cache(seen(project, script))
    capture = seen(project, script)
    assert capture.data_capture.cached_tags is not None
    assert capture.reading is not None
    assert not capture.reading.is_loaded
    return capture


def told(capture: RunCapture) -> tuple[Any, ...]:
    assert capture.reading is not None
    return capture.tags, capture.warnings, capture.snapshot, dict(capture.reading.params)


def anew(project: Project, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """What a process sees that remembers nothing."""
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(project.root.parent / "no cache"))
        return told(seen(project))


def test_the_same(project: Project, monkeypatch: pytest.MonkeyPatch):
    """Tags, warnings and Snapshot from memory are those of a fresh look."""
    assert told(remembered(project)) == anew(project, monkeypatch)


def test_what_is_attached(project: Project):
    """The content of every file is remembered as well, byte for byte."""
    fresh = seen(project)
    capture = remembered(project)
    assert fresh.reading is not None
    assert capture.reading is not None

    def contents(capture: RunCapture) -> list[Any]:
        assert capture.reading is not None
        found = capture.reading.dvc_files
        return [(source.file, source.content, source.lock_content) for source in found]

    assert contents(capture) == contents(fresh)
    assert capture.reading.params == fresh.reading.params != {}


def test_nothing_is_opened(project: Project):
    """A second process opens none of the project's DVC files before a run begins."""
    code = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from mlflow_dvc import fingerprint
from mlflow_dvc.capture import workspace
fingerprint.RACY_NS = 20_000_000
capture = workspace.capture_run()
capture.tags, capture.warnings
print([path for path in opened if path.startswith(sys.argv[1]) and "/.git/" not in path])
workspace.save_cache(capture)
"""
    project.write("run.py", code)
    time.sleep(0.05)  # until the files are settled, see short_tick
    first = project.run(sys.executable, "run.py", str(project.root))
    assert "dvc.lock" in first
    assert project.run(sys.executable, "run.py", str(project.root)).strip() == "[]"


def test_every_module_counts(tmp_path: Path):
    """A change of any module of the package, however deep, makes what was kept of no use."""
    code = "from mlflow_dvc.dvcfiles.reading_cache import _package_version as v\nprint(v())\n"
    source = Path(mlflow_dvc.__file__).parent
    package = shutil.copytree(
        source, tmp_path / "mlflow_dvc", ignore=shutil.ignore_patterns("*.pyc")
    )
    (tmp_path / "version.py").write_text(code)

    def version() -> str:
        done = subprocess.run(
            [PYTHON, "version.py"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout

    before = version()
    assert version() == before
    for module in ("tags.py", "recall/doctor/rules.py", "dvc_backend/storage/fetch.py"):
        with (package / module).open("a") as file:
            file.write("\n# changed\n")
        after = version()
        assert after != before, module
        before = after


def test_settings_of_the_user(project: Project, tmp_path: Path):
    """The user's own settings of DVC have a say: with ``core.no_scm`` no rule of git's counts."""
    project.write("run.py", """\
from mlflow_dvc import fingerprint
from mlflow_dvc.capture import workspace
fingerprint.RACY_NS = 20_000_000
capture = workspace.capture_run()
print("dvc.out.ignored/z" in capture.tags)
workspace.save_cache(capture)
""")  # fmt: skip
    time.sleep(0.05)  # until the files are settled, see short_tick
    seen = [project.run("python", "run.py") for _ in range(2)]
    project.dvc("config", "--global", "core.no_scm", "true")
    assert [text.strip() for text in (*seen, project.run("python", "run.py"))] == [
        "False", "False", "True",
    ]  # fmt: skip


def swap(project: Project) -> None:
    (project.root / "data").rename(project.root / "dat2")


CHANGES: dict[str, Callable[[Project], Any]] = {
    "lock": lambda p: p.write("dvc.lock", LOCK.format(md5=B)),
    "lock gone": lambda p: (p.root / "dvc.lock").unlink(),
    "lock comes": lambda p: p.write("other/dvc.lock", LOCK.replace("train", "late")),
    "pipeline": lambda p: p.write("dvc.yaml", "stages: {train: {cmd: x, outs: [model, new]}}\n"),
    "pipeline comes": lambda p: p.write("data/dvc.yaml", "stages: {n: {cmd: x, outs: [n]}}\n"),
    "file": lambda p: p.write("data/raw.dvc", FILES["data/raw.dvc"].replace(A, B)),
    "file gone": lambda p: (p.root / "data/more/x.dvc").unlink(),
    "file comes": lambda p: p.write("data/more/w.dvc", FILES["data/more/x.dvc"]),
    "folder comes": lambda p: p.write("new/deep/w.dvc", FILES["data/more/x.dvc"]),
    "folder moves": swap,
    "sub-project": lambda p: (p.root / "data/.dvc").mkdir(),
    "git's rules": lambda p: p.write(".gitignore", "/data\n"),
    "git's rules, deeper": lambda p: p.write("data/.gitignore", "/more\n"),
    "git's rules, in .git": lambda p: p.write(".git/info/exclude", "/data\n"),
    "the repository's settings": lambda p: (
        p.write("rules", "data\n"),
        p.git("config", "core.excludesFile", str(p.root / "rules")),
    ),
    "DVC's rules": lambda p: p.write(".dvcignore", "data\n"),
    "the user's rules": lambda p: (
        Path(os.environ["HOME"], ".config/git").mkdir(parents=True)
        or Path(os.environ["HOME"], ".config/git/ignore").write_text("data\n")
    ),
    "without git": lambda p: p.write(".dvc/config", "[core]\n    no_scm = True\n"),
    "params": lambda p: p.write("params.yaml", "lr: 2\n"),
    "mended": lambda p: p.write("broken.dvc", FILES["data/more/x.dvc"]),
    "no permission": lambda p: (p.root / "data/raw.dvc").chmod(0),
    "a folder instead": lambda p: ((p.root / "dvc.lock").unlink(), (p.root / "dvc.lock").mkdir()),
    "code in a folder": lambda p: p.write("conf/model.py", ""),
    "commit": lambda p: p.git("commit", "--quiet", "--allow-empty", "--message", "x"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("wait", [0, 0.05], ids=["at once", "later"])
def test_change(project: Project, monkeypatch: pytest.MonkeyPatch, name: str, wait: float):
    """No change of the project goes unseen, however soon it follows."""
    before = told(remembered(project))
    time.sleep(wait)  # before or after the files are settled
    CHANGES[name](project)
    after = told(seen(project))
    assert after == anew(project, monkeypatch)
    if name != "no permission" or os.geteuid():
        assert after != before


def test_edit_of_the_same_length(project: Project, monkeypatch: pytest.MonkeyPatch):
    """A file that was written just before the look, and again just after, is read again."""
    time.sleep(0.05)  # until the files are settled, see short_tick
    lock = project.write("dvc.lock", LOCK.format(md5=A))
    stamp = lock.stat().st_mtime_ns
    workspace.save_cache(seen(project))
    project.write("dvc.lock", LOCK.format(md5=B))
    os.utime(lock, ns=(stamp, stamp))
    assert told(seen(project)) == anew(project, monkeypatch)


@pytest.mark.parametrize("how", ["touch", "copy", "data file"])
def test_nothing_really_changed(project: Project, how: str):
    """A file with a new time stamp and the same content, and data beside it, change nothing."""
    remembered(project)
    lock = project.root / "dvc.lock"
    if how == "touch":
        os.utime(lock)
    elif how == "copy":
        shutil.copy(lock, project.root / "copy")
        os.replace(project.root / "copy", lock)
    else:
        project.write("data/more/numbers.csv", "1,2\n")
    assert seen(project).data_capture.cached_tags is not None


def test_another_kind_of_run(project: Project, monkeypatch: pytest.MonkeyPatch):
    """Each script, stage and working directory has tags of its own, all from one memory."""
    project.write("other.py", "")
    first, second = remembered(project), remembered(project, "other.py")
    assert first.tags["dvc.script_stage"] == "train"
    assert "dvc.script_stage" not in second.tags
    monkeypatch.setenv("DVC_STAGE", "train")
    assert seen(project).tags["dvc.stage"] == "train"
    monkeypatch.delenv("DVC_STAGE")
    assert seen(project).data_capture.cached_tags is not None
    assert seen(project, "other.py").data_capture.cached_tags is not None


def test_git_is_read_anew(project: Project):
    """The commit is never from memory."""
    remembered(project)
    sha = project.commit()
    assert seen(project).tags["git_sha"] == sha


def test_a_template_follows_its_values(project: Project, monkeypatch: pytest.MonkeyPatch):
    """What DVC filled in is forgotten when a file that it was filled in from changes."""
    project.write("dvc.yaml", "stages: {t: {foreach: '${items}', do: {cmd: x, outs: ['${item}']}}}")
    project.write("params.yaml", "items: [one, two]\n")
    workspace.inspect(str(project.root))
    assert {entry.path for entry in remembered(project).snapshot.data} >= {"one", "two"}
    project.write("params.yaml", "items: [one, six]\n")
    assert seen(project).snapshot.data == anew(project, monkeypatch)[2].data


def kept(project: Project) -> Path:
    remembered(project)
    (path,) = Path(os.environ["XDG_CACHE_HOME"], "mlflow-dvc/projects").iterdir()
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"[" * 100_000,
        b"{}\n{}",
        b"[1]\n2",
        b"\xff\xfe\n",
        b'{"by": 1}\n{}',
        b"null\nnull",
    ],
)
def test_damaged(project: Project, monkeypatch: pytest.MonkeyPatch, content: bytes):
    """Whatever lies in the place of the memory does no harm."""
    kept(project).write_bytes(content)
    assert told(seen(project)) == anew(project, monkeypatch)


def test_cut_off(project: Project, monkeypatch: pytest.MonkeyPatch):
    """A memory that is not whole does no harm, wherever it ends."""
    path = kept(project)
    whole = path.read_bytes()
    truth = anew(project, monkeypatch)
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        assert told(seen(project)) == truth


def test_wiped(project: Project, monkeypatch: pytest.MonkeyPatch):
    """A memory of the right length and the wrong bytes does no harm."""
    path = kept(project)
    head, body = path.read_bytes().split(b"\n", 1)
    path.write_bytes(head + b"\n" + b"\0" * len(body))
    assert told(seen(project)) == anew(project, monkeypatch)


def test_broken_off(project: Project, monkeypatch: pytest.MonkeyPatch):
    """After a reading that was interrupted the next one is whole."""
    seen(project)
    time.sleep(0.05)  # until the files are settled, see short_tick
    project.write("data/raw.dvc", FILES["data/raw.dvc"].replace(A, B))
    reader = workspace._readers[str(project.root)]
    with monkeypatch.context() as patch:

        def interrupted(directory: str) -> None:
            raise KeyboardInterrupt

        patch.setattr(reader._tree, "_list", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reader.read()
    hashes = {out.path: out.hash for stage in reader.read().stages for out in stage.outs}
    assert hashes["data/raw"] == B


def test_other_version(project: Project, monkeypatch: pytest.MonkeyPatch):
    """What another version of the package kept is not used."""
    path = kept(project)
    head, body = path.read_bytes().split(b"\n", 1)
    path.write_bytes(json.dumps({**json.loads(head), "by": "another"}).encode() + b"\n" + body)
    assert seen(project).data_capture.cached_tags is None


def test_no_home(project: Project, monkeypatch: pytest.MonkeyPatch):
    """Without a place to keep anything nothing is kept, and nothing is written elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "also-relative")
    workspace.save_cache(seen(project))
    assert seen(project).data_capture.cached_tags is None
    assert not list(project.root.parent.rglob("mlflow-dvc"))


def test_many_projects(tmp_path: Path):
    """The oldest memories are forgotten."""
    from mlflow_dvc import user_cache

    for number in range(250):
        user_cache.write("projects", str(number), b"x")
    assert user_cache.read("projects", "249") == b"x"
    assert user_cache.read("projects", "0") is None
