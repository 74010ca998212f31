"""What differs between two runs: code, parameters, metrics, data down to the files in folders."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import Project
from notebooks import PLAIN, code, notebook

import mlflow_dvc
from mlflow_dvc.dvc_backend.storage import directory_diff as backend
from mlflow_dvc.errors import NoProjectError, RunNotFoundError
from mlflow_dvc.recall.diff.code import CodeDiff
from mlflow_dvc.recall.diff.data import DataChange
from mlflow_dvc.snapshot import Snapshot

FOLDER = "data/folder"


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def log(lr: float = 0.1, accuracy: float = 0.5, **more: Any) -> str:
    """A run of this process; its id."""
    with mlflow.start_run() as run:
        mlflow.log_params({"lr": lr, "same": 1, **more})
        mlflow.log_metrics({"accuracy": accuracy, "same": 1.0})
    return looked_at(run.info.run_id)


def looked_at(run_id: str) -> str:
    """The run, as if its data had been compared with what lies on disk."""
    client = mlflow.MlflowClient()
    if "dvc.data_status" in client.get_run(run_id).data.tags:
        client.set_tag(run_id, "dvc.data_status", "clean")
    return str(run_id)


def artifact(run_id: str, path: str) -> Path:
    """Where an artifact lies: anybody who may log to a server may put anything there."""
    return Path(mlflow.get_run(run_id).info.artifact_uri.removeprefix("file://")) / "dvc" / path


def files_below(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file there, with its time stamp and what is in it."""
    return {
        path.relative_to(root).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def change_entry(run_id: str, path: str, **values: Any) -> None:
    where = artifact(run_id, "snapshot.json")
    raw = json.loads(where.read_text())
    for entry in (*raw["data"], *raw["deps"]):
        if entry["path"] == path:
            entry.update(values)
    where.write_text(json.dumps(raw))


def by_path(found: mlflow_dvc.Diff) -> dict[str, DataChange]:
    return {change.path: change for change in found.data.changes}


@pytest.fixture
def project(pipeline: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The pipeline, with the working directory in it."""
    monkeypatch.chdir(pipeline.root)
    monkeypatch.setenv("MLFLOW_DVC_CHECK", "0")  # what the check finds out is tested elsewhere
    return pipeline


def put(project: Project, files: dict[str, str]) -> None:
    """Make DVC track a folder of exactly these files."""
    shutil.rmtree(project.root / FOLDER, ignore_errors=True)
    for name, content in files.items():
        project.write(f"{FOLDER}/{name}", content)
    project.dvc("add", "--quiet", FOLDER)


@pytest.fixture
def folders(project: Project) -> tuple[str, str]:
    """Two runs on two states of a folder; in the second one file is added, one modified, one
    renamed, one deleted, and one is as it was."""
    put(project, {"kept": "k", "modified": "old", "sub/was": "renamed", "deleted": "d"})
    first = log()
    put(project, {"kept": "k", "modified": "newer", "is": "renamed", "added": "a"})
    return first, log()


@pytest.mark.hosts
def test_everything(folders: tuple[str, str], project: Project):
    """Two runs differ in their commits, the code with what is not committed, parameters, metrics,
    and data down to the files of a folder; nothing is written into the project."""
    first, _ = folders
    project.git("add", "data")
    project.write("src/train.py", "import mlflow\n")
    committed = project.commit("smaller training")
    project.write("run.py", "print('not committed')\n")
    project.write("params.yaml", "lr: 0.2\n")
    last = log(lr=0.2, accuracy=0.75, batch=8)
    before = files_below(project.root)
    found = mlflow_dvc.diff(first, last)
    assert files_below(project.root) == before
    assert found.equal is False
    assert [(one.key, one.old, one.new) for one in found.params] == [
        ("batch", None, "8"), ("lr", "0.1", "0.2"),
    ]  # fmt: skip
    [metric] = found.metrics
    assert (metric.key, metric.old, metric.new, metric.delta) == ("accuracy", 0.5, 0.75, 0.25)
    code = found.code
    assert code.differs is True
    assert code.lost.count == 0
    assert [(one.sha, one.subject) for one in code.gained.commits] == [
        (committed, "smaller training")
    ]
    changed = [line.split()[-1] for line in code.text.splitlines() if line.startswith("diff ")]
    assert changed == ["b/run.py", "b/src/train.py"], "no file of DVC's, and no parameters"
    assert "+print('not committed')\n" in code.text
    [change] = found.data.changes
    assert (change.path, change.status) == (FOLDER, "modified")
    assert (change.old.nfiles, change.old.size) == (4, 12)
    assert (change.new.nfiles, change.new.size) == (4, 14)
    assert found.data.unchanged == 6
    words = {one.key: (one.old, one.new) for one in found.record}
    assert words.keys() == {"dvc.data_version", "git_dirty"}
    assert words["git_dirty"] == ("false", "true")
    back = mlflow_dvc.diff(last, first)
    assert (back.code.lost, back.code.gained) == (code.gained, code.lost)
    assert back.metrics[0].delta == -0.25


@pytest.mark.hosts
def test_inside_folders(folders: tuple[str, str], project: Project):
    """Of a folder: each file that was added, deleted, modified or renamed, and the counts."""
    files = by_path(mlflow_dvc.diff(*folders))[FOLDER].files
    assert (files.added, files.deleted, files.modified, files.renamed) == (1, 1, 1, 1)
    assert files.unchanged == 1
    rows = [(row.status, row.old_path, row.path, row.old, row.new) for row in files.listed]
    assert rows == [
        ("modified", None, "modified", md5("old"), md5("newer")),
        ("renamed", "sub/was", "is", md5("renamed"), md5("renamed")),
        ("deleted", None, "deleted", md5("d"), None),
        ("added", None, "added", None, md5("a")),
    ]
    sizes = [(row.old_size, row.new_size) for row in files.listed]
    assert sizes == [(3, 5), (7, 7), (1, None), (None, 1)]


@pytest.mark.hosts
def test_listings_from_a_remote(folders: tuple[str, str], project: Project, tmp_path: Path):
    """The listing of a folder is taken from a remote if the cache lacks it, without any data; had
    from nowhere, the folder's hashes remain, with the reason."""
    project.dvc("remote", "add", "--quiet", "--default", "storage", str(tmp_path / "remote"))
    project.dvc("push", "--quiet")
    tags = mlflow.get_run(folders[0]).data.tags
    old = tags[f"dvc.out.{FOLDER}"]
    cache = project.root / ".dvc/cache/files/md5"
    kept = tmp_path / "remote/files/md5" / old[:2] / old[2:]
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(cache / old[:2] / old[2:], kept)  # no file of DVC's names that state any more
    shutil.rmtree(cache)
    files = by_path(mlflow_dvc.diff(*folders))[FOLDER].files
    assert (files.added, files.deleted, files.modified, files.renamed) == (1, 1, 1, 1)
    assert {row.new_size for row in files.listed} == {None}, "sizes are known of the cache alone"
    assert not cache.exists(), "nothing is downloaded"
    kept.write_text("[]")
    change = by_path(mlflow_dvc.diff(*folders))[FOLDER]
    assert (change.files, change.status) == (None, "modified")
    assert old in change.reason
    assert "what lies there has the hash" in change.reason


def test_listings_elsewhere(folders: tuple[str, str], tmp_path: Path, monkeypatch):
    """Outside of a project folders are compared by their hashes alone, and it says why."""
    monkeypatch.chdir(tmp_path)
    change = by_path(mlflow_dvc.diff(*folders))[FOLDER]
    assert change.old.hash != change.new.hash
    assert "no DVC project" in change.reason
    inside = mlflow_dvc.diff(*folders, project=str(tmp_path / "project/data"))
    assert by_path(inside)[FOLDER].files.renamed == 1
    with pytest.raises(NoProjectError):
        mlflow_dvc.diff(*folders, project=str(tmp_path / "nowhere"))


@pytest.mark.hosts
def test_as_dvc_compares():
    """Files inside folders differ as DVC's own comparison says, renames included."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.index import DataIndex, DataIndexEntry
    from dvc_data.index import diff as by_dvc

    def index(state: dict[str, str]) -> Any:
        keys = {tuple(path.split("/")): value for path, value in state.items()}
        return DataIndex({
            key: DataIndexEntry(key=key, hash_info=HashInfo("md5", value))
            for key, value in keys.items()
        })  # fmt: skip

    names = {"add": "added", "delete": "deleted", "modify": "modified", "rename": "renamed"}
    chance = random.Random(7)
    for _ in range(200):
        old, new = (
            {
                f"{chance.choice(['', 'a/', 'a.b/', 'a/c/'])}{number}": md5(
                    str(chance.randrange(4))
                )
                for number in range(12)
                if chance.random() < 0.6
            }
            for _ in range(2)
        )
        ours = {
            (row.status, row.old_path or row.path, row.path)
            for row in backend.compare_rows(old, new).listed
        }
        theirs = {
            (
                names[change.typ],
                "/".join((change.old or change.new).key),
                "/".join((change.new or change.old).key),
            )
            for change in by_dvc(index(old), index(new), with_renames=True, hash_only=True)
        }
        assert ours == theirs


def test_large_folders():
    """Counts are exact and the list is bounded, what was modified first."""
    old = {f"{number:05}": "a" * 32 for number in range(3000)}
    new = {f"{number:05}": "b" * 32 for number in range(1, 5000)}
    found = backend.compare_rows(old, new)
    assert (found.modified, found.deleted, found.added, found.count) == (2999, 1, 2000, 5000)
    assert [row.path for row in found.listed] == [f"{number:05}" for number in range(1, 1001)]


def test_hostile_listing(folders: tuple[str, str], project: Project):
    """What is no listing of a folder, or leads out of it, is refused in words."""
    hashes = ["../../../../etc/passwd.dir"]
    for rows in ("7", "{}", "[7]", '[{"relpath": "x"}]', '[{"relpath": "../x", "md5": "a"}]'):
        hashes.append(md5(rows) + ".dir")
        project.write(f".dvc/cache/files/md5/{hashes[-1][:2]}/{hashes[-1][2:]}", rows)
    for evil in hashes:
        change_entry(folders[0], FOLDER, hash=evil)
        change = by_path(mlflow_dvc.diff(*folders))[FOLDER]
        assert (change.status, change.files) == ("modified", None)
        assert evil in change.reason


# --- code ----------------------------------------------------------------------------------------


def code_of(old: str, new: str, path: Path | None = None) -> CodeDiff:
    return mlflow_dvc.diff(old, new, project=str(path) if path else None).code


def test_equal(project: Project):
    """Runs of the same code, data and parameters are equal, whatever else was committed."""
    first = log()
    assert mlflow_dvc.diff(first, first).equal is True
    project.write("src/report.py", "# not committed at first\n")
    second = log()
    project.commit("what the second run had already")
    third = log()
    found = mlflow_dvc.diff(second, third)
    assert found.equal is True
    assert (found.code.differs, found.code.text, found.code.gained.count) == (False, "", 1)
    assert mlflow_dvc.diff(first, third).equal is False
    done = project.cli("diff", second, third)
    assert done.returncode == 0, done.stderr
    assert "what the second run had already" in done.stdout
    assert "nothing differs" in done.stderr


def test_diverged(project: Project):
    """Of two branches each has its commits; the difference is that of their code."""
    start = project.git("rev-parse", "HEAD")
    project.write("run.py", "print(1)\n")
    project.commit("one")
    first = log()
    project.git("checkout", "--quiet", "-b", "other", start)
    for number in (2, 3):
        project.write("run.py", f"print({number})\n")
        project.commit(f"number {number}")
    second = log()
    code = code_of(first, second)
    assert [one.subject for one in code.lost.commits] == ["one"]
    assert [one.subject for one in code.gained.commits] == ["number 3", "number 2"]
    assert "-print(1)\n+print(3)\n" in code.text


def test_no_program_of_the_users(project: Project, tmp_path: Path):
    """No hook, external diff or text conversion that the repository names is run."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\ncat $1\n")
    program.chmod(0o755)
    shutil.copy(program, project.root / ".git/hooks/post-index-change")
    first = log()
    project.write("run.py", "print(1)\n")
    second = log()
    (tmp_path / "was-run").unlink(missing_ok=True)
    for setting in ("diff.external", "diff.evil.command", "diff.evil.textconv"):
        project.git("config", setting, str(program))
    project.write(".git/info/attributes", "*.py diff=evil\n")
    assert "+print(1)" in code_of(first, second).text
    assert not (tmp_path / "was-run").exists()


def evil_patch(path: str) -> str:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
        "@@ -0,0 +1 @@\n+evil\n"
    )


EVIL_PATCHES = (
    evil_patch("../evil.py"),
    evil_patch(".git/hooks/evil.py"),
    evil_patch("run.py"),
    "diff --git a/x b/x\nnew file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+/\n"
    "\\ No newline at end of file\n" + evil_patch("x/evil.py"),
    "no patch at all\n",
    "\0\x1b]0;evil\x07",
)


def test_hostile_patch(project: Project, tmp_path: Path):
    """A patch that leads out of the tree, does not fit or is none is refused, and it says so."""
    first = log()
    project.write("run.py", "print(1)\n")
    second = log()
    for patch in EVIL_PATCHES:
        artifact(second, "code.patch").write_text(patch)
        before = files_below(tmp_path)
        found = mlflow_dvc.diff(first, second)
        assert (found.code.differs, found.equal) == (None, None)
        assert "cannot be compared: the patch of the new run does not fit" in found.code.notes[-1]
        assert found.code.gained.count == 0
        assert (found.code.text_of, "evil" in found.code.text) == ("patches", "evil" in patch)
        assert files_below(tmp_path).keys() <= before.keys()
    done = project.cli("diff", first, second)
    assert done.returncode == 2
    assert not set("\x1b\x07\0") & {*done.stdout, *done.stderr}


def test_hostile_commit(project: Project):
    """What is not written as a commit is none, and never comes near a command line."""
    first, second = log(), log()
    path = artifact(second, "snapshot.json")
    raw = json.loads(path.read_text())
    for sha in ("--output=evil", "HEAD", "main", "", "a" * 39, "A" * 40):
        raw["git"]["sha"] = sha
        path.write_text(json.dumps(raw))
        code = code_of(first, second)
        assert (code.differs, code.text) == (None, "")
        assert "new: it names no commit" in code.notes
    assert not (project.root / "evil").exists()


def test_no_repository(project: Project, tmp_path: Path, make_project: Callable[..., Project]):
    """Where the commits are not at hand, patches on one commit are compared as texts; code at two
    commits is not said to be the same."""
    project.write("run.py", "print(1)\n")
    first = log()
    project.write("run.py", "print(2)\n")
    second = log()
    other = make_project("other", dvc=False)
    for elsewhere, why in ((tmp_path, "no git repository"), (other.root, "does not have the old")):
        code = code_of(first, second, elsewhere)
        assert (code.differs, code.text_of) == (True, "patches")
        assert "-+print(1)\n++print(2)\n" in code.text
        assert why in code.notes[-1]
        assert code.gained is None
        assert code_of(first, first, elsewhere).differs is False
    project.commit("two")
    third = log()
    found = mlflow_dvc.diff(second, third, project=str(tmp_path))
    assert (found.code.differs, found.equal) == (None, None)
    assert mlflow_dvc.diff(second, third).equal is True


def test_not_all_of_the_code(project: Project, monkeypatch: pytest.MonkeyPatch):
    """What a record leaves out of the code is named, and code is not the same for lack of it."""
    project.write("settings.py", "A = 1\n")
    project.write(".env", "SECRET=1\n")
    project.git("add", "--force", ".env")
    project.commit("with a secret")
    first = log()
    project.write(".env", "SECRET=2\n")
    second = log()
    code = code_of(first, second)
    assert code.differs is None
    assert any(note.startswith("new: omitted: .env") for note in code.notes)
    monkeypatch.setenv("MLFLOW_DVC_PATCH", "off")
    code = code_of(first, log())
    assert code.differs is None
    assert any(note.startswith("new: ") for note in code.notes)


# --- data, parameters, metrics -------------------------------------------------------------------


def test_unknown(project: Project):
    """Data whose hash one run does not tell, or tells by another algorithm, is not called equal."""
    first, second, third = log(), log(), log()
    change_entry(second, "report.txt", hash=None)
    change_entry(third, "report.txt", algorithm="md5-dos2unix")
    for last, why in ((second, "new: no hash is recorded"), (third, "hashed by md5-dos2unix")):
        found = mlflow_dvc.diff(first, last)
        change = by_path(found)["report.txt"]
        assert change.status == "unknown"
        assert why.removeprefix("hashed by ") in change.reason
        assert (found.data.differs, found.equal) == (None, None)


def test_added_and_removed(project: Project):
    """A path that only one run has is added or removed."""
    first = log()
    project.write("extra.csv", "1\n")
    project.dvc("add", "--quiet", "extra.csv")
    second = log()
    assert by_path(mlflow_dvc.diff(first, second))["extra.csv"].status == "added"
    assert by_path(mlflow_dvc.diff(second, first))["extra.csv"].status == "removed"


def test_stage_that_was_not_sealed(project: Project, runs):
    """What a stage made is not said to be unchanged when one of its runs does not tell."""
    script = project.root / "src/train.py"
    sealed = script.read_text()
    project.write("params.yaml", "lr: 0.5\n")
    project.dvc("repro", "train")
    script.write_text(sealed + "import os; os._exit(0)\n")
    project.dvc("repro", "train")
    first, second = (run.info.run_id for run in runs())
    found = mlflow_dvc.diff(first, second)
    change = by_path(found)["models/model.txt"]
    assert (change.status, change.new) == ("unknown", None)
    assert "not recorded" in change.reason
    assert "os._exit" in found.code.text


def test_without_a_record(project: Project, tracking_uri: str):
    """Of a run without a record parameters and metrics are compared, and the rest is not known."""
    first = log()
    with mlflow_dvc.disabled():
        second, third = log(lr=0.2), log(lr=0.2)
    found = mlflow_dvc.diff(first, second)
    assert [one.key for one in found.params] == ["lr"]
    assert (found.new.recorded, found.data.differs, found.code.differs) == (False, None, None)
    assert found.data.changes == ()
    assert mlflow_dvc.diff(second, third).equal is None
    done = project.cli("diff", second, third)
    assert done.returncode == 2
    assert "no record" in done.stderr


def test_nobody_looked(project: Project):
    """Runs whose data nobody compared with the disk are not known to be equal."""
    first, second = log(), log()
    mlflow.MlflowClient().set_tag(second, "dvc.data_status", "unverified")
    found = mlflow_dvc.diff(first, second)
    assert (found.data.differs, found.equal) == (False, None)
    assert project.cli("diff", first, second).returncode == 2


@pytest.mark.hosts
def test_resumed(project: Project):
    """Of a run that was resumed on other data the first record alone does not tell."""
    first, second = log(), log()
    later = artifact(second, "resume-1/snapshot.json")
    later.parent.mkdir()
    later.write_text("{}")
    assert mlflow_dvc.diff(first, second).equal is None


def test_output_in_git(project: Project):
    """An output that git keeps is data, and told when it differs."""
    first = log()
    project.write("metrics.json", '{"x": 2}')
    project.dvc("commit", "--quiet", "--force", "train")
    project.commit("metrics")
    found = mlflow_dvc.diff(first, log())
    assert by_path(found).keys() == {"metrics.json"}
    assert found.equal is False


def test_by_tags_alone(project: Project):
    """Without the attached record a path that has no tag is unknown, not removed."""
    first, second = log(), log()
    artifact(second, "snapshot.json").unlink()
    mlflow.MlflowClient().delete_tag(second, "dvc.out.report.txt")
    found = mlflow_dvc.diff(first, second)
    told = {path: one.status for path, one in by_path(found).items()}
    assert told == {"report.txt": "unknown", "metrics.json": "unknown"}  # the latter has no tag
    assert any("snapshot.json" in note for note in found.notes)


@pytest.mark.hosts
def test_child_runs(project: Project):
    """A child run, whose record is its parent's, is compared by that record."""
    project.write("run.py", "print(1)\n")
    with mlflow.start_run() as parent, mlflow.start_run(nested=True) as child:
        pass
    assert not artifact(child.info.run_id, "code.patch").exists()
    found = mlflow_dvc.diff(*(looked_at(run.info.run_id) for run in (parent, child)))
    assert found.equal is True
    mlflow.MlflowClient().set_tag(child.info.run_id, "mlflow.parentRunId", "0" * 32)
    assert mlflow_dvc.diff(parent.info.run_id, child.info.run_id).code.differs is None


def test_not_numbers(tracking_uri: str, project: Project):
    """NaN is equal to itself, and stands in JSON as a word."""
    first, second = log(accuracy=float("nan")), log(accuracy=float("nan"))
    assert mlflow_dvc.diff(first, second).metrics == ()
    done = project.cli("diff", first, log(accuracy=1.0), "--json")

    def no_constant(word: str) -> None:
        raise AssertionError(word)

    [metric] = json.loads(done.stdout, parse_constant=no_constant)["metrics"]
    assert (metric["old"], metric["new"], metric["delta"]) == ("NaN", 1.0, None)


def test_snapshot_of_other_kinds(project: Project):
    """A field of an attached record that is not of its kind makes it no record."""
    content = artifact(log(), "snapshot.json").read_text()
    Snapshot.from_dict(json.loads(content))
    for *steps, last, value in (
        ("git", "sha", 7),
        ("git", "omitted", [7]),
        ("data", 0, "path", None),
        ("data", 0, "hash", ["x"]),
        ("data", 0, "state", {}),
        ("warnings", [None]),
        ("root", 3.5),
    ):
        raw = place = json.loads(content)
        for step in steps:
            place = place[step]
        place[last] = value
        with pytest.raises(ValueError, match="not a snapshot"):
            Snapshot.from_dict(raw)


# --- the command line ----------------------------------------------------------------------------


@pytest.mark.hosts
def test_command(folders: tuple[str, str], project: Project):
    """``diff`` prints each section, and the same as JSON; it exits with 1 where runs differ and
    with 2 where one is not there."""
    first, _ = folders
    project.write("run.py", "if x:\n\tprint(1)\n")
    last = log(lr=0.2, accuracy=0.75)
    done = project.cli("diff", first[:12], last)
    assert done.returncode == 1, done.stderr
    words = (
        "lr", "0.2", "accuracy", "+0.25", "data/folder", "1 added, 1 deleted, 1 modified",
        "sub/was -> is", "+\tprint(1)", "with uncommitted changes", "and 6 unchanged",
    )  # fmt: skip
    for word in words:
        assert word in done.stdout
    assert "\x1b" not in done.stdout
    done = project.cli("diff", first, last, "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert list(answer) == [
        "schema", "equal", "old", "new", "code", "params", "metrics", "data", "record", "notes",
        "certain",
    ]  # fmt: skip
    assert (answer["schema"], answer["equal"]) == (1, False)
    assert answer["data"]["changes"][0]["files"]["renamed"] == 1
    patch = project.write("../found.patch", answer["code"]["text"])
    project.git("stash", "--quiet")
    project.git("apply", "--check", str(patch))
    done = project.cli("diff", first, "0" * 32)
    assert done.returncode == 2
    assert "no run" in done.stderr


def test_names_of_others(project: Project):
    """Names and values from a shared server or a repository cannot steer the reader's terminal."""
    evil = "evil \x1b[31m[bold]x[/bold]\x07"
    put(project, {"a": "1"})
    first = log()
    put(project, {evil: "1"})
    project.write("run.py", f"# {evil}\n")
    second = log(evil=evil)
    mlflow.MlflowClient().set_tag(second, "mlflow.runName", evil)
    done = project.cli("diff", first, second)
    assert done.returncode == 1, done.stderr
    for output in (done.stdout, done.stderr):
        assert not set("\x1b\x07") & {*output}
    assert done.stdout.count("[bold]x[/bold]") == 4, "run name, parameter, file, code"


@pytest.mark.hosts
def test_registered_models(project: Project):
    """Each run may be named by a version or an alias of a registered model."""
    first, second = log(), log(lr=0.2)
    client = mlflow.MlflowClient()
    client.create_registered_model("m")
    for run_id in (first, second):
        client.create_model_version("m", f"runs:/{run_id}/model", run_id=run_id)
    client.set_registered_model_alias("m", "prod", "2")
    found = mlflow_dvc.diff("models:/m/1", "models:/m@prod")
    assert (found.old.run_id, found.new.run_id) == (first, second)
    with pytest.raises(RunNotFoundError):
        mlflow_dvc.diff("models:/m/1", "models:/m/7")


def test_on_a_terminal(folders: tuple[str, str], project: Project):
    """On a terminal of 80 columns it is coloured as git does, and no line but code is longer."""
    import io

    from rich.console import Console

    from mlflow_dvc.cli.render import diff as render

    project.write("run.py", "print(1)\n")
    found = mlflow_dvc.diff(folders[0], log(lr=0.2))
    screen = io.StringIO()
    render.print_diff(found, Console(file=screen, force_terminal=True, width=80, highlight=False))
    assert "\x1b[32m+print(1)\x1b[0m" in screen.getvalue()
    plain = io.StringIO()
    render.print_diff(found, Console(file=plain, width=80, highlight=False))
    assert max(map(len, plain.getvalue().splitlines())) <= 80


def test_shallow(project: Project, tmp_path: Path):
    """In a shallow clone the commits between are said to be not all of them."""
    first = log()
    project.write("run.py", "print(1)\n")
    project.commit("one")
    second = log()
    clone = tmp_path / "clone"
    words = ["git", "clone", "--quiet", "--depth=2", project.root.as_uri(), str(clone)]
    subprocess.run(words, check=True)
    code = code_of(first, second, clone)
    assert "+print(1)" in code.text
    assert "shallow" in code.notes[-1]


# --- what is no code -----------------------------------------------------------------------------


@pytest.mark.hosts
def test_grid_of_experiments(pipeline: Project, runs: Callable[[], list[Any]], monkeypatch):
    """Two ``dvc exp run -S`` differ in parameters, not in code; so does a new run on new values."""
    monkeypatch.chdir(pipeline.root)
    pipeline.dvc("exp", "run", "-S", "lr=0.5", "train")
    pipeline.git("checkout", "--quiet", "--force", ".")
    pipeline.dvc("exp", "run", "--temp", "-S", "lr=0.7", "train")
    first, second = (run.info.run_id for run in runs())
    found = mlflow_dvc.diff(first, second)
    assert (found.code.differs, found.code.text, found.code.notes) == (False, "", ())
    assert [(one.key, one.old, one.new) for one in found.params] == [
        ("params.yaml:lr", "0.5", "0.7")
    ]
    assert found.equal is False


def test_notebooks(project: Project):
    """A notebook that was run between two commits is the same code; an edited one is not."""
    project.write("in.ipynb", PLAIN)
    project.commit("notebook")
    first = log()
    project.write("in.ipynb", notebook(code("lr = 0.1", 1), code("train(lr)", 2)))
    second = log()
    project.commit("ran")
    third = log()
    assert code_of(first, second).differs is False
    assert code_of(first, third).differs is False
    project.write("in.ipynb", notebook(code("lr = 0.1", 1), code("train(lr, 2)", 2)))
    found = code_of(third, log())
    assert found.differs is True
    assert "train(lr, 2)" in found.text


def test_shown_files(project: Project):
    """Metrics and plots that a dvc.yaml shows are no code, wherever git has them; programs are."""
    text = (project.root / "dvc.yaml").read_text()
    project.write("dvc.yaml", f"{text}metrics: [scores/a.json]\nplots: [scores, src]\n")
    project.write("scores/a.json", "{}")
    project.write("scores/roc.csv", "a\n1\n")
    project.commit("shown")
    first = log()
    project.write("scores/a.json", '{"a": 1}')
    project.write("scores/roc.csv", "a\n2\n")
    project.commit("other results")
    second = log()
    assert code_of(first, second).differs is False
    project.write("src/report.py", "# changed\n")
    assert code_of(second, log()).differs is True


def test_before_the_first_commit(project: Project):
    """Runs from before the first commit are compared by what is attached of their code."""
    shutil.rmtree(project.root / ".git")
    project.git("init", "--quiet", "--initial-branch=main")
    first, second = log(), log()
    project.write("run.py", "changed = 1\n")
    third = log()
    project.commit("one")
    fourth = log()
    assert code_of(first, second).differs is False
    found = code_of(second, third)
    assert found.differs is True
    assert "+changed = 1" in found.text
    found = code_of(third, fourth)
    assert found.differs is None
    assert "only programs" in found.notes[0]
    assert "run.py" not in found.text
