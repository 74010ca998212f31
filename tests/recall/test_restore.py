"""What comes back of a run, what cannot, and what must not: a record is other people's input."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from conftest import FIVE_LINES, Project
from notebooks import PLAIN, code, notebook
from remotes import Http

import mlflow_dvc
from mlflow_dvc import tags as tag
from mlflow_dvc.capture import frozen_record, workspace
from mlflow_dvc.errors import CommitLostError, MlflowDvcError, TargetExistsError
from mlflow_dvc.recall.locate import locate_project
from mlflow_dvc.recall.stored_record import load_record
from mlflow_dvc.snapshot import DataEntry, Snapshot, with_data_version

Make = Callable[..., str]
PREPARED = "data/prepared.csv"


@pytest.fixture
def made(pipeline: Project, tracking_uri: str) -> Make:
    """``made(change, files)``: a run with the record of the project as it is; its id.

    ``change`` makes another Snapshot of it, ``files`` are attached besides; of None none is.
    """
    import mlflow

    def make(
        change: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot,
        files: Mapping[str, bytes] | None = (),  # type: ignore[assignment]
        tags: Mapping[str, str] = {},
        root: Path = pipeline.root,
    ) -> str:
        found = frozen_record.load_frozen(workspace.freeze(str(root)))
        changed = change(replace(found.snapshot, data_status="clean", frozen=False))
        snapshot = with_data_version(changed)
        with mlflow_dvc.disabled():
            run = mlflow.MlflowClient().create_run(
                os.environ["MLFLOW_EXPERIMENT_ID"], tags=tag.to_tags(snapshot) | tags
            )
        told = {"snapshot.json": json.dumps(snapshot.to_dict()).encode()}
        content = {} if files is None else found.files | told | dict(files)
        for path, data in content.items():
            target = Path(run.info.artifact_uri.removeprefix("file://"), "dvc", path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return str(run.info.run_id)

    return make


def test_downloaded_once(made: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Each file of a record is downloaded once for ``verify``, ``restore`` and ``reproduce``."""
    import mlflow

    from mlflow_dvc.tracking import run_artifacts

    run_id = made()
    monkeypatch.setattr(run_artifacts, "_local_path", lambda *_: None)  # as if it were far
    asked: list[str] = []
    real = mlflow.MlflowClient.download_artifacts

    def download(self: object, run_id: str, path: str, *rest: object) -> str:
        asked.append(path)
        return str(real(self, run_id, path, *rest))

    monkeypatch.setattr(mlflow.MlflowClient, "download_artifacts", download)
    for ask in (mlflow_dvc.verify, lambda run: mlflow_dvc.restore(run, str(tmp_path / "there"))):
        asked.clear()
        ask(run_id)
        assert asked
        assert not any(f"{one}/".startswith(f"{other}/") for one, other in permutations(asked, 2))


@pytest.fixture(autouse=True)
def here(pipeline: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pipeline.root)


def git_is(**values: object) -> Callable[[Snapshot], Snapshot]:
    def change(snapshot: Snapshot) -> Snapshot:
        assert snapshot.git
        return replace(snapshot, git=replace(snapshot.git, **values))  # type: ignore[arg-type]

    return change


def saw(*entries: DataEntry) -> Callable[[Snapshot], Snapshot]:
    return lambda snapshot: replace(snapshot, data=(*snapshot.data, *entries))


def faults(found: mlflow_dvc.Restored | mlflow_dvc.Verified) -> dict[str, str]:
    """The verdict of each thing that does not pass, by its name."""
    return {item.name: item.verdict for item in found.items if item.verdict != "PASS"}


def forget(project: Project) -> None:
    """What no branch has, git throws away."""
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "--quiet", "--prune=now")


# --- what comes back ---------------------------------------------------------------------------


@pytest.mark.hosts
def test_uncommitted_code(pipeline: Project, made: Make, tmp_path: Path):
    """Changed, new, deleted and binary files come back as they were, with their line ends."""
    pipeline.write(".gitattributes", "*.txt text eol=lf\n")
    pipeline.write("note.txt", "a\n")
    pipeline.commit("attributes")
    pipeline.write("src/train.py", "changed = 1\n")
    pipeline.write("src/fresh.py", "fresh = 1\n")
    pipeline.write("note.txt", b"a\r\nb\r\n")
    pipeline.write("run.py", bytes(range(256)))
    (pipeline.root / "src/report.py").unlink()
    run_id = made()
    pipeline.git("checkout", "--quiet", "--force", ".")
    (pipeline.root / "src/fresh.py").unlink()
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    assert faults(found) == {}
    assert (tmp_path / "back/src/train.py").read_text() == "changed = 1\n"
    assert (tmp_path / "back/src/fresh.py").read_text() == "fresh = 1\n"
    assert (tmp_path / "back/note.txt").read_bytes() == b"a\r\nb\r\n"
    assert (tmp_path / "back/run.py").read_bytes() == bytes(range(256))
    assert not (tmp_path / "back/src/report.py").exists()
    assert "src/train.py" in pipeline.run("git", "status", "--short", cwd=tmp_path / "back")
    (tmp_path / "back/note.txt").write_bytes(b"c\r\n")
    (tmp_path / "back/src/mlflow.py").write_text("in the way")
    again = mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    assert faults(again) == {"note.txt": "FAIL", "src/mlflow.py": "FAIL"}


def test_submodule(pipeline: Project, made: Make, tmp_path: Path):
    """A submodule comes back at its commit, with what was not committed in it."""
    inner = Project(tmp_path / "inner")
    inner.root.mkdir()
    inner.git("init", "--quiet")
    inner.write("lib.py", "lib = 1\n")
    inner.commit("lib")
    pipeline.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.root), "lib"
    )
    pipeline.commit("submodule")
    pipeline.write("lib/lib.py", "lib = 2\n")
    run_id, target = made(), tmp_path / "back"
    pipeline.git("submodule", "--quiet", "deinit", "--force", "--all")
    config = (pipeline.root / ".git/config").read_text()
    assert faults(mlflow_dvc.restore(run_id, str(target))) == {}
    assert (target / "lib/lib.py").read_text() == "lib = 2\n"
    assert (pipeline.root / ".git/config").read_text() == config
    (target / "lib/lib.py").write_text("mine")
    assert faults(mlflow_dvc.restore(run_id, str(target))) == {"lib/lib.py": "FAIL"}


def test_lost_submodule(pipeline: Project, made: Make, tmp_path: Path):
    """A commit of a submodule that no remote has is lost like any other."""
    inner = Project(tmp_path / "inner")
    inner.root.mkdir()
    inner.git("init", "--quiet")
    inner.write("lib.py", "lib = 1\n")
    first = inner.commit("lib")
    inner.write("lib.py", "lib = 2\n")
    inner.commit("to be dropped")
    pipeline.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.root), "lib"
    )
    pipeline.commit("submodule")
    run_id = made()
    assert faults(mlflow_dvc.verify(run_id)[0]) == {}
    shutil.rmtree(pipeline.root / "lib")
    inner.git("reset", "--quiet", "--hard", first)
    forget(inner)
    assert faults(mlflow_dvc.verify(run_id)[0]) == {"lib": "FAIL"}
    (pipeline.root / "lib").mkdir()
    shutil.rmtree(pipeline.root / ".git/modules")
    assert faults(mlflow_dvc.restore(run_id, str(tmp_path / "back"))) == {"lib": "FAIL"}


@pytest.mark.hosts
def test_imported_data(pipeline: Project, made: Make, tmp_path: Path):
    """What `dvc import` brought comes from where it was imported, which need not be pushed."""
    other = Project(tmp_path / "other")
    other.root.mkdir()
    other.git("init", "--quiet")
    other.dvc("init", "--quiet")
    other.write("shared.csv", "shared\n")
    other.write("plain.csv", "plain\n")
    other.dvc("add", "--quiet", "shared.csv")
    other.commit("shared")
    for name in ("shared.csv", "plain.csv"):
        pipeline.dvc("import", "--quiet", str(other.root), name)
    pipeline.commit("import")
    run_id = made()
    pipeline.dvc("remote", "add", "--quiet", "--default", "folder", str(tmp_path / "remote"))
    pipeline.dvc("push", "--quiet")
    shutil.rmtree(pipeline.root / ".dvc/cache")
    (verified,) = mlflow_dvc.verify(run_id)
    assert faults(verified) == {}
    assert faults(mlflow_dvc.restore(run_id, str(tmp_path / "back"))) == {}
    assert (tmp_path / "back/shared.csv").read_text() == "shared\n"
    assert (tmp_path / "back/plain.csv").read_text() == "plain\n"


def test_project_in_a_folder(made: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of a repository in which DVC has a folder of its own, everything lands in its place."""
    directory = Project(tmp_path / "repository")
    directory.root.mkdir()
    directory.git("init", "--quiet")
    folder = directory.root / "models/price"
    folder.mkdir(parents=True)
    inside = Project(folder)
    inside.dvc("init", "--quiet", "--subdir")
    inside.write("raw.csv", "1\n")
    inside.dvc("add", "--quiet", "raw.csv")
    directory.write("shared.csv", "shared\n")
    directory.commit("start")
    monkeypatch.chdir(folder)
    value = hashlib.md5(b"shared\n").hexdigest()
    above = DataEntry(
        "../../shared.csv", "md5", value, role="input", certainty="disk", cached=False
    )
    run_id = made(lambda snapshot: replace(snapshot, deps=(above,)), root=folder)
    assert faults(mlflow_dvc.verify(run_id)[0]) == {}
    assert faults(mlflow_dvc.restore(run_id, str(tmp_path / "back"))) == {}
    assert (tmp_path / "back/models/price/raw.csv").read_text() == "1\n"


@pytest.mark.hosts
def test_child_run(pipeline: Project, made: Make, tmp_path: Path):
    """A child run that saw what its parent did comes back by its parent's record."""
    parent = made()
    child = made(files=None, tags={"mlflow.parentRunId": parent})
    assert faults(mlflow_dvc.verify(child)[0]) == {}
    assert faults(mlflow_dvc.restore(child, str(tmp_path / "back"))) == {}
    assert (tmp_path / "back" / PREPARED).exists()


@pytest.mark.hosts
def test_clone(pipeline: Project, made: Make, http_remote: Http, tmp_path: Path, monkeypatch):
    """In a directory without the project, code comes from the run's remote, data from DVC's."""
    http_remote.configure(pipeline)
    http_remote.push(pipeline)
    pipeline.commit("remote")
    pipeline.git("clone", "--quiet", "--bare", ".", str(tmp_path / "origin.git"))
    pipeline.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    run_id = made()
    shutil.rmtree(pipeline.root)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert faults(mlflow_dvc.verify(run_id)[0]) == {}
    assert os.listdir(elsewhere) == []
    found = mlflow_dvc.restore(run_id)
    assert faults(found) == {}
    assert Path(found.directory).parent == elsewhere
    assert Path(found.directory, PREPARED).read_text() == "a,b\n1,2\n" * 2


@pytest.mark.hosts
def test_only_on_the_remote(pipeline: Project, made: Make, tmp_path: Path):
    """A commit that only the remote has passes without being kept, and comes when it is needed."""
    first = pipeline.git("rev-parse", "HEAD")
    pipeline.write("run.py", "run = 2\n")
    sha = pipeline.commit("pushed")
    pipeline.git("clone", "--quiet", "--bare", ".", str(tmp_path / "origin.git"))
    pipeline.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    run_id = made()
    pipeline.git("reset", "--quiet", "--hard", first)
    forget(pipeline)
    (verified,) = mlflow_dvc.verify(run_id)
    assert faults(verified) == {}
    assert pipeline.call("git", "cat-file", "-e", sha).returncode != 0
    assert faults(mlflow_dvc.restore(run_id, str(tmp_path / "back"))) == {}
    assert (tmp_path / "back/run.py").read_text() == "run = 2\n"


# --- again, and where something lies -----------------------------------------------------------


def test_nothing_is_overwritten(pipeline: Project, made: Make, tmp_path: Path):
    """A directory that holds anything is refused, and left as it is."""
    target = tmp_path / "mine"
    target.mkdir()
    (target / "note").write_text("mine")
    run_id = made()
    for to in (target, target / "note", pipeline.root):
        with pytest.raises(TargetExistsError, match="nothing in it may be overwritten"):
            mlflow_dvc.restore(run_id, str(to))
    assert os.listdir(target) == ["note"]


@pytest.mark.hosts
def test_taken_up_again(pipeline: Project, made: Make, tmp_path: Path):
    """What was broken off before any file was there, or in the midst of the data, is completed."""
    run_id, target = made(), tmp_path / "back"
    sha = pipeline.git("rev-parse", "HEAD")
    pipeline.git("worktree", "add", "--quiet", "--no-checkout", "--detach", str(target), sha)
    assert faults(mlflow_dvc.restore(run_id, str(target))) == {}
    git_dir = pipeline.run("git", "rev-parse", "--absolute-git-dir", cwd=target).strip()
    Path(git_dir, "index.lock").touch()  # of a git that was killed
    (target / PREPARED).unlink()
    (target / "data/.mlflow-dvc-half").mkdir()
    assert faults(mlflow_dvc.restore(run_id, str(target))) == {}
    assert (target / PREPARED).exists()
    assert not (target / "data/.mlflow-dvc-half").exists()


def test_changed_since(pipeline: Project, made: Make, tmp_path: Path):
    """What somebody has changed in a restored tree stays as it is, and is said."""
    run_id, target = made(), tmp_path / "back"
    mlflow_dvc.restore(run_id, str(target))
    changed = {"src/train.py": "mine\n", PREPARED: "mine\n", "params.yaml": "lr: 7\n"}
    for path, text in changed.items():
        (target / path).write_text(text)
    found = mlflow_dvc.restore(run_id, str(target))
    assert faults(found) == dict.fromkeys(changed, "FAIL")
    assert {path: (target / path).read_text() for path in changed} == changed


def test_failed_attempt(pipeline: Project, made: Make, tmp_path: Path, monkeypatch):
    """An attempt that fails before any file was there leaves nothing that a later one may take."""
    pipeline.git("init", "--quiet", "--bare", str(tmp_path / "origin.git"))
    pipeline.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    run_id, elsewhere = made(), tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(CommitLostError):
        mlflow_dvc.restore(run_id, "back")
    assert os.listdir(elsewhere) == []


def test_other_work_trees(pipeline: Project, made: Make, tmp_path: Path):
    """A work tree of the user's that is not there at the moment is not forgotten."""
    pipeline.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "stick"))
    (tmp_path / "stick").rename(tmp_path / "unplugged")
    mlflow_dvc.restore(made(), str(tmp_path / "back"))
    (tmp_path / "unplugged").rename(tmp_path / "stick")
    assert pipeline.run("git", "status", "--short", cwd=tmp_path / "stick") == ""


# --- what cannot come back ---------------------------------------------------------------------


def test_lost_commit(pipeline: Project, made: Make, tmp_path: Path):
    """Of a commit that was rebased away this is said, and the nearest one is offered."""
    nearest = pipeline.git("rev-parse", "HEAD")
    pipeline.write("run.py", "run = 2\n")
    sha = pipeline.commit("to be dropped")
    run_id = made()
    pipeline.git("reset", "--quiet", "--hard", nearest)
    (verified,) = mlflow_dvc.verify(run_id)
    assert faults(verified) == {sha: "FAIL"}
    assert "on no branch or tag" in next(i.reason for i in verified.items if i.name == sha)
    forget(pipeline)
    found = mlflow_dvc.verify(run_id)[0]
    assert faults(found) == {sha: "FAIL", "dvc.lock": "UNVERIFIED"}  # git is no witness any more
    with pytest.raises(CommitLostError) as caught:
        mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    assert caught.value.nearest == nearest
    assert f"--at {nearest}" in str(caught.value)
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"), at=nearest)
    assert faults(found) == {nearest: "FAIL"}
    assert (tmp_path / "back" / PREPARED).exists()


def test_remote_that_does_not_answer(pipeline: Project, made: Make):
    """What could not be asked is unverified, not lost."""
    pipeline.write("run.py", "run = 2\n")
    sha = pipeline.commit("only mine")
    run_id = made()
    pipeline.git("reset", "--quiet", "--hard", "HEAD~1")
    pipeline.git("remote", "add", "origin", "http://127.0.0.1:9/none.git")
    pipeline.dvc("remote", "add", "--quiet", "--default", "away", "http://127.0.0.1:9/none")
    shutil.rmtree(pipeline.root / ".dvc/cache")
    (verified,) = mlflow_dvc.verify(run_id)
    assert set(faults(verified).values()) == {"UNVERIFIED"}
    assert {sha, PREPARED} <= faults(verified).keys()
    assert pipeline.cli("verify", run_id).returncode == 2


def test_remote_of_another_time(pipeline: Project, made: Make, tmp_path: Path):
    """Data on a remote that the run's commit names is not lost, though the checkout has none."""
    first = pipeline.git("rev-parse", "HEAD")
    pipeline.dvc("remote", "add", "--quiet", "--default", "folder", str(tmp_path / "remote"))
    pipeline.dvc("push", "--quiet")
    pipeline.commit("remote")
    run_id = made()
    pipeline.git("branch", "other")
    pipeline.git("reset", "--quiet", "--hard", first)
    shutil.rmtree(pipeline.root / ".dvc/cache")
    assert faults(mlflow_dvc.verify(run_id)[0]) == {}
    assert faults(mlflow_dvc.restore(run_id, str(tmp_path / "back"))) == {}


@pytest.mark.hosts
def test_lost_data(pipeline: Project, made: Make, tmp_path: Path):
    """Data that lies nowhere, or damaged, is named with its hash; the rest comes back."""
    run_id = made()
    value = pipeline.lock()[PREPARED]
    stored = pipeline.root / f".dvc/cache/files/md5/{value[:2]}/{value[2:]}"
    stored.chmod(0o644)
    stored.write_text("damaged")
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    assert faults(found) == {PREPARED: "FAIL"}
    assert value in next(item.reason for item in found.items if item.name == PREPARED)
    assert not (tmp_path / "back" / PREPARED).exists()
    assert (tmp_path / "back/models/model.txt").exists()
    stored.unlink()
    assert faults(mlflow_dvc.verify(run_id)[0]) == {PREPARED: "FAIL"}


@pytest.mark.hosts
def test_damaged_listing(pipeline: Project, made: Make):
    """A folder whose list of files is damaged is lost, though an object of its name is there."""
    value = pipeline.lock()["data/parts"]
    stored = pipeline.root / f".dvc/cache/files/md5/{value[:2]}/{value[2:]}"
    stored.chmod(0o644)
    stored.write_text("[]")
    assert faults(mlflow_dvc.verify(made())[0]) == {"data/parts": "FAIL"}


def test_data_that_is_not_known(pipeline: Project, made: Make, tmp_path: Path):
    """What the run read and cannot be told of is named by both."""
    deps = (
        DataEntry("s3://bucket/raw.csv", "etag", "1-2", cached=False, role="input"),
        DataEntry("other.csv", "md5", None, cached=False, role="input", state="missing"),
    )
    run_id = made(lambda snapshot: replace(snapshot, deps=deps))
    expected = {dep.path: "UNVERIFIED" for dep in deps}
    assert faults(mlflow_dvc.verify(run_id)[0]) == expected
    assert faults(mlflow_dvc.restore(run_id, str(tmp_path / "back"))) == expected


def test_data_in_git(pipeline: Project, made: Make):
    """What a stage reads may lie in git, as a file; of a folder there nothing is claimed."""
    pipeline.write("conf/a.csv", "a\n")
    pipeline.commit("conf")
    value = hashlib.md5(b"a\n").hexdigest()
    deps = (
        DataEntry("conf/a.csv", "md5", value, cached=False, role="input", certainty="disk"),
        DataEntry("conf", "md5", "0" * 32 + ".dir", cached=False, role="input", certainty="disk"),
    )
    (found,) = mlflow_dvc.verify(made(lambda snapshot: replace(snapshot, deps=deps)))
    assert faults(found) == {"conf": "UNVERIFIED"}


def test_unrelated_repository(made: Make, tmp_path: Path, monkeypatch):
    """In a repository that is not the run's nothing is called lost."""
    other = Project(tmp_path / "other")
    other.root.mkdir()
    other.git("init", "--quiet")
    other.write("run.py", "other\n")
    other.commit("other")
    run_id = made()
    monkeypatch.chdir(other.root)
    assert mlflow_dvc.verify(run_id)[0].verdict == "UNVERIFIED"
    with pytest.raises(MlflowDvcError, match="names no repository"):
        mlflow_dvc.restore(run_id, str(tmp_path / "back"))


def test_tag_of_the_users(pipeline: Project, made: Make):
    """A ``git_sha`` that somebody set is no forgery, but nothing to rely on."""
    import mlflow

    run_id = made()
    mlflow.MlflowClient().set_tag(run_id, "git_sha", "abc")
    assert faults(mlflow_dvc.verify(run_id)[0]) == {"snapshot.json": "UNVERIFIED"}


def test_no_record(pipeline: Project, made: Make, tmp_path: Path):
    """A run that recorded no commit, or nothing, is refused in words."""
    import mlflow

    with mlflow_dvc.disabled():
        bare = mlflow.MlflowClient().create_run(os.environ["MLFLOW_EXPERIMENT_ID"]).info.run_id
    for run_id in (bare, made(git_is(sha=None))):
        with pytest.raises(MlflowDvcError, match="recorded no commit"):
            mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    assert not (tmp_path / "back").exists()
    assert mlflow_dvc.verify(bare)[0].verdict == "UNVERIFIED"


def test_no_stage(made: Make, tmp_path: Path):
    """What no stage of dvc.yaml ran cannot be reproduced, which is said before anything is done."""
    with pytest.raises(MlflowDvcError, match="of no stage"):
        mlflow_dvc.reproduce(made(), str(tmp_path / "again"))
    assert not (tmp_path / "again").exists()


@pytest.mark.hosts
def test_all_and_registered(pipeline: Project, made: Make):
    """An audit takes every run with a record, or those behind the registered models."""
    import mlflow

    first, second = made(), made()
    client = mlflow.MlflowClient()
    client.create_registered_model("price")
    client.create_model_version("price", "runs:/model", run_id=second)
    client.create_model_version("price", "somewhere/else")
    asked = {
        option: pipeline.cli("verify", option, "--json") for option in ("--all", "--registered")
    }
    found = {
        option: {run["run_id"] for run in json.loads(done.stdout)["runs"]}
        for option, done in asked.items()
    }
    assert found == {"--all": {first, second}, "--registered": {second, ""}}
    assert pipeline.cli("verify").returncode == 2


def test_nothing_to_verify(pipeline: Project, make_project, tmp_path: Path, tracking_uri: str):
    """Where there is nothing to judge, no run, no record or no data, ``verify`` is never green."""
    import mlflow

    done = pipeline.cli("verify", "--all")
    assert (done.returncode, done.stdout) == (3, "")
    assert "nothing to verify" in done.stderr
    with mlflow_dvc.disabled():
        bare = mlflow.MlflowClient().create_run(os.environ["MLFLOW_EXPERIMENT_ID"]).info.run_id
    assert pipeline.cli("verify", bare).returncode == 3
    without_data = make_project("code-only", dvc=False)
    without_data.write("run.py", FIVE_LINES)
    without_data.commit("code")
    without_data.python("run.py")
    [run] = [run for run in mlflow.search_runs(output_format="list") if run.info.run_id != bare]
    [found] = mlflow_dvc.verify(run.info.run_id, project=str(without_data.root))
    assert found.is_empty
    assert found.verdict == "UNVERIFIED"
    assert "names no data" in found.items[-1].reason
    done = without_data.cli("verify", run.info.run_id)
    assert done.returncode == 3
    assert "nothing to verify" in done.stdout


# --- what must not -----------------------------------------------------------------------------


def test_hostile_commit(pipeline: Project, made: Make, tmp_path: Path):
    """A tag that is no commit reaches no command line."""
    for sha in ("--upload-pack=touch pwned", "main", "HEAD", "a" * 39):
        run_id = made(git_is(sha=sha))
        assert mlflow_dvc.verify(run_id)[0].verdict == "TAMPERED"
        with pytest.raises(MlflowDvcError, match="is no commit"):
            mlflow_dvc.restore(run_id, str(tmp_path / "back"))


def test_hostile_remote(made: Make, tmp_path: Path, monkeypatch):
    """An address that would run a program is not followed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    marker = tmp_path / "pwned"
    for url in (f"ext::sh -c touch% {marker}", f"--upload-pack=touch {marker}"):
        run_id = made(git_is(remote_url=url, sha="1" * 40))
        assert mlflow_dvc.verify(run_id)[0].verdict in ("UNVERIFIED", "FAIL")
        with pytest.raises(MlflowDvcError):
            mlflow_dvc.restore(run_id, str(tmp_path / "back"))
        shutil.rmtree(tmp_path / "back", ignore_errors=True)
    assert not marker.exists()


PATCH = """\
diff --git a/{0} b/{0}
new file mode 100644
--- /dev/null
+++ b/{0}
@@ -0,0 +1 @@
+evil
"""


@pytest.mark.parametrize("path", ["../evil", ".git/hooks/post-checkout", "/tmp/mlflow-dvc-evil"])
def test_hostile_patch(path: str, made: Make, tmp_path: Path):
    """A patch that writes outside of the tree, or into git's own files, is not applied."""
    run_id = made(git_is(dirty=True), {"code.patch": PATCH.format(path).encode()})
    assert faults(mlflow_dvc.verify(run_id)[0]) == {"code.patch": "FAIL"}
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    assert faults(found) == {"code.patch": "FAIL"}
    assert not (tmp_path / "evil").exists()
    assert not Path("/tmp/mlflow-dvc-evil").exists()


def test_forged_patch(made: Make, pipeline: Project, tmp_path: Path):
    """A patch that is not the one that was recorded is not applied."""
    pipeline.write("src/train.py", "changed = 1\n")
    run_id = made(files={"code.patch": PATCH.format("evil.py").encode()})
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    assert faults(found)["code.patch"] == "TAMPERED"
    assert not (tmp_path / "back/evil.py").exists()


@pytest.mark.hosts
def test_hostile_files(pipeline: Project, made: Make, tmp_path: Path):
    """An attached file is written neither into git's and DVC's own folders nor through a link."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (pipeline.root / "link").symlink_to(outside)
    (pipeline.root / "file.dvc.txt").symlink_to(outside / "new")
    pipeline.commit("links")
    hostile = [
        ".git/hooks/post-checkout", "sub/.GIT/config", ".dvc/config", "link/evil.dvc",
        "file.dvc.txt",
    ]  # fmt: skip
    found = mlflow_dvc.restore(made(files=dict.fromkeys(hostile, b"evil")), str(tmp_path / "back"))
    refused = {name for name, verdict in faults(found).items() if verdict == "TAMPERED"}
    assert refused == set(hostile)
    assert os.listdir(outside) == []
    assert (tmp_path / "back/.dvc/config").read_bytes() != b"evil"


@pytest.mark.hosts
def test_hostile_data(pipeline: Project, made: Make, tmp_path: Path):
    """Data is brought to no place outside of the tree, be it by its path or by a folder's list."""
    value = pipeline.lock()[PREPARED]
    rows = json.dumps([{"md5": value, "relpath": "../../evil"}]).encode()
    listed = hashlib.md5(rows).hexdigest() + ".dir"
    pipeline.write(f".dvc/cache/files/md5/{listed[:2]}/{listed[2:]}", rows)
    rows = json.dumps([{"md5": value, "relpath": ".git/config"}]).encode()
    nested = hashlib.md5(rows).hexdigest() + ".dir"
    pipeline.write(f".dvc/cache/files/md5/{nested[:2]}/{nested[2:]}", rows)
    entries = [
        DataEntry(str(tmp_path / "evil"), "md5", value),
        DataEntry("../evil", "md5", value),
        DataEntry(".git/evil", "md5", value),
        DataEntry("folder", "md5", listed),
        DataEntry("nested", "md5", nested),
    ]
    run_id = made(saw(*entries))
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    assert faults(found) == {entry.path: "FAIL" for entry in entries}
    assert not list(tmp_path.rglob("evil"))


def test_hostile_links(pipeline: Project, made: Make, tmp_path: Path):
    """Neither the DVC project nor its settings are a link that leads out of the tree."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "params.yaml").write_text("mine")
    (pipeline.root / "sub").symlink_to(outside)
    pipeline.commit("root")
    run_id = made(lambda snapshot: replace(snapshot, root="sub"))
    assert faults(mlflow_dvc.restore(run_id, str(tmp_path / "root"))) == {"sub": "TAMPERED"}
    (pipeline.root / ".dvc/config.local").symlink_to(outside / "new")
    pipeline.git("add", "--force", ".dvc/config.local")
    pipeline.commit("settings")
    found = mlflow_dvc.restore(made(), str(tmp_path / "settings"))
    assert faults(found) == {".dvc/config.local": "TAMPERED", "sub": "UNVERIFIED"}
    assert os.listdir(outside) == ["params.yaml"]
    assert (outside / "params.yaml").read_text() == "mine"


@pytest.mark.hosts
def test_hostile_settings(pipeline: Project, made: Make, tmp_path: Path, monkeypatch):
    """DVC settings of a commit, which can name programs, are not followed where it is not mine."""
    pytest.importorskip("dvc_s3")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # nobody answers there
    clean, marker = (pipeline.root / ".dvc/config").read_bytes(), tmp_path / "pwned"
    pipeline.write("aws.cfg", f"[default]\ncredential_process = touch {marker}\n")
    pipeline.write(
        ".dvc/config",
        "[core]\nremote = evil\n['remote \"evil\"']\nurl = s3://bucket/evil\n"
        "endpointurl = http://127.0.0.1:9\nconfigpath = ../aws.cfg\n",
    )
    pipeline.commit("evil")
    run_id = made()
    pipeline.write(".dvc/config", clean)
    pipeline.commit("clean")
    pipeline.git("clone", "--quiet", "--bare", ".", str(tmp_path / "origin.git"))
    shutil.rmtree(pipeline.root / ".dvc/cache")
    mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    url = str(tmp_path / "origin.git")
    sha = pipeline.git("rev-parse", "HEAD~1")
    other = made(git_is(remote_url=url, sha=sha))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert mlflow_dvc.verify(other)[0].verdict != "PASS"
    mlflow_dvc.restore(other)
    assert not marker.exists()


def test_code_among_the_files(pipeline: Project, made: Make, tmp_path: Path):
    """What is attached beside DVC's files and parameters is not laid over the code."""
    run_id = made(files={"src/train.py": b"evil", "src/json.py": b"evil"})
    for found in (mlflow_dvc.verify(run_id)[0], mlflow_dvc.restore(run_id, str(tmp_path / "b"))):
        assert faults(found) == {"src/train.py": "TAMPERED", "src/json.py": "TAMPERED"}
    assert (tmp_path / "b/src/train.py").read_bytes() != b"evil"
    assert not (tmp_path / "b/src/json.py").exists()


def test_patch_that_says_otherwise(pipeline: Project, made: Make, tmp_path: Path):
    """A patch of a run whose code was all committed is forged; one that is lacking is missed."""
    forged = made(files={"code.patch": PATCH.format("evil.py").encode()})
    assert faults(mlflow_dvc.verify(forged)[0]) == {"code.patch": "TAMPERED"}
    assert faults(mlflow_dvc.restore(forged, str(tmp_path / "a"))) == {"code.patch": "TAMPERED"}
    assert not (tmp_path / "a/evil.py").exists()
    lacking = made(git_is(dirty=True, changes="0" * 32))
    assert faults(mlflow_dvc.verify(lacking)[0]) == {"code.patch": "UNVERIFIED"}
    assert faults(mlflow_dvc.restore(lacking, str(tmp_path / "b"))) == {"code.patch": "UNVERIFIED"}


def test_forged_pipeline(pipeline: Project, made: Make, tmp_path: Path):
    """A dvc.yaml that is not as in the commit, though all code was committed, is not written."""
    run_id = made(files={"dvc.yaml": b"stages: {evil: {cmd: evil}}\n"})
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    assert faults(found) == {"dvc.yaml": "TAMPERED"}
    there, here = (root / "dvc.yaml" for root in (tmp_path / "back", pipeline.root))
    assert there.read_bytes() == here.read_bytes()


def test_outputs_elsewhere(pipeline: Project, made: Make, tmp_path: Path):
    """A stage is not run again whose outputs lie outside of the tree: DVC would remove them."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    text = f"stages:\n  evil:\n    cmd: echo\n    outs: [{{{precious}: {{cache: false}}}}]\n"
    pipeline.write("dvc.yaml", text)
    pipeline.commit("evil")
    run_id = made(lambda snapshot: replace(snapshot, stage="evil"))
    with pytest.raises(MlflowDvcError, match="works outside of"):
        mlflow_dvc.reproduce(run_id, str(tmp_path / "again"))
    assert precious.read_text() == "precious"


def test_hostile_root(made: Make, tmp_path: Path):
    """A DVC root that leads out of the repository is not gone to."""
    run_id = made(lambda snapshot: replace(snapshot, root="../.."))
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    assert faults(found) == {"../..": "TAMPERED"}


def test_terminal_escapes(pipeline: Project, made: Make, tmp_path: Path):
    """Names out of a record cannot steer a terminal."""
    run_id = made(saw(DataEntry("evil\x1b[31m.csv", "md5", "0" * 32)))
    for words in (["verify", run_id], ["restore", run_id, "--to", str(tmp_path / "back")]):
        done = pipeline.cli(*words)
        assert done.returncode == 1, done.stderr
        assert "evil" in done.stdout
        assert "\x1b" not in done.stdout + done.stderr


def test_forged_tags(pipeline: Project, made: Make):
    """A tag that is not what the snapshot says is called tampered with."""
    import mlflow

    for key, value in ((f"{tag.OUT}{PREPARED}", "0" * 32), (f"{tag.OUT}new", "0" * 32)):
        run_id = made()
        mlflow.MlflowClient().set_tag(run_id, key, value)
        (verified,) = mlflow_dvc.verify(run_id)
        assert faults(verified) == {"snapshot.json": "TAMPERED"}
        assert key in verified.items[0].reason


def test_forged_lock_and_digest(pipeline: Project, made: Make):
    """A lock that was edited together with its digest still says something else than the record."""
    lock = (pipeline.root / "dvc.lock").read_bytes()
    for value in (b"f" * 32, b"0" * 32):  # the latter is a number to YAML
        forged = lock.replace(pipeline.lock()[PREPARED].encode(), value)
        digest = hashlib.md5(forged).hexdigest()
        said = {"lock": digest, "locks": {"dvc.lock": digest}}
        run_id = made(lambda snapshot, said=said: replace(snapshot, **said), {"dvc.lock": forged})
        assert faults(mlflow_dvc.verify(run_id)[0]) == {"dvc.lock": "TAMPERED"}


# --- before the first commit, and in the project around ------------------------------------------


def start_anew(project: Project, kind: str = "sha1") -> None:
    """Git as it is before the first commit, around files that lie there already."""
    shutil.rmtree(project.root / ".git")
    project.git("init", "--quiet", "--initial-branch=main", f"--object-format={kind}")


@pytest.mark.parametrize(
    ("where", "kind"),
    [("inside", "sha256"), ("inside", "sha1"), ("after commits", "sha1"), ("elsewhere", "sha256")],
)
def test_before_the_first_commit(made: Make, tmp_path: Path, monkeypatch, where: str, kind: str):
    """A run from before the first commit has all of its code in the patch, and comes back."""
    pipeline = Project(tmp_path / "project")
    start_anew(pipeline, kind)
    pipeline.write("tool.py", bytes(range(256)))
    pipeline.write("src/a b.py", "x = 1\n")
    run_id = made()
    text = (pipeline.root / "run.py").read_text()
    if where != "inside":
        pipeline.write("run.py", "other\n")
        pipeline.commit("one")
    if where == "elsewhere":
        pipeline.dvc("remote", "add", "--quiet", "--default", "folder", str(tmp_path / "remote"))
        pipeline.dvc("push", "--quiet")
        (tmp_path / "away").mkdir()
        monkeypatch.chdir(tmp_path / "away")
    verdicts = {item.name: item for item in mlflow_dvc.verify(run_id)[0].items}
    assert "TAMPERED" not in {item.verdict for item in verdicts.values()}
    assert verdicts["none"].reason == "the repository had no commit yet"
    assert verdicts["code.patch"].verdict == "PASS"
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    if where != "elsewhere":  # there, nothing names the remote of the data
        assert faults(found) == {}
        assert (tmp_path / "back" / PREPARED).exists()
    assert (tmp_path / "back/run.py").read_text() == text
    assert (tmp_path / "back/tool.py").read_bytes() == bytes(range(256))
    assert (tmp_path / "back/src/a b.py").read_text() == "x = 1\n"
    assert "src/a b.py" in pipeline.run(
        "git", "status", "--short", "--untracked-files=all", cwd=tmp_path / "back"
    )


@pytest.mark.parametrize("inside", [True, False])
def test_git_alone_before_the_first_commit(made: Make, tmp_path: Path, monkeypatch, inside: bool):
    """Git without DVC is restored from before the first commit as well."""
    root = tmp_path / "plain"
    root.mkdir()
    plain = Project(root)
    plain.git("init", "--quiet", "--object-format=sha256")
    plain.write("run.py", FIVE_LINES)
    run_id = made(root=plain.root)
    monkeypatch.chdir(plain.root if inside else tmp_path)
    plain.write("run.py", "other\n")
    plain.commit("one")
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    assert faults(found) == {}
    assert (tmp_path / "back/run.py").read_text() == FIVE_LINES
    (verified,) = mlflow_dvc.verify(run_id)
    assert verified.verdict == "UNVERIFIED"
    assert {item.name for item in verified.items if item.verdict == "PASS"} >= {"code.patch"}


def test_sha256(tmp_path: Path, made: Make, pipeline: Project, monkeypatch):
    """A repository that names by SHA-256 is restored like any other, from a clone too."""
    start_anew(pipeline, "sha256")
    pipeline.commit("one")
    pipeline.git("remote", "add", "origin", pipeline.root.as_uri())
    pipeline.write("run.py", "changed = 1\n")
    pipeline.write("tool.py", bytes(range(256)))
    run_id = made()
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    assert faults(found) == {}
    monkeypatch.chdir(tmp_path)
    mlflow_dvc.restore(run_id, str(tmp_path / "clone"))
    for name in ("back", "clone"):
        assert (tmp_path / name / "run.py").read_text() == "changed = 1\n"
        assert (tmp_path / name / "tool.py").read_bytes() == bytes(range(256))


def lose_commit(project: Project, made: Make, **git: object) -> str:
    """A run on a commit that is gone afterwards, so that only other marks tell whose it is."""
    first = project.git("rev-parse", "HEAD")
    project.write("run.py", "run = 2\n")
    project.commit("to be dropped")
    run_id = made(lambda snapshot: replace(git_is(**git)(snapshot), workspace=None))
    project.git("reset", "--quiet", "--hard", first)
    forget(project)
    return run_id


def strip_marks(run_id: str) -> None:
    """Without what is attached, nothing but the remote tells whose run it is."""
    import mlflow

    for file in Path(
        mlflow.get_run(run_id).info.artifact_uri.removeprefix("file://"), "dvc"
    ).iterdir():
        if file.name != "snapshot.json":
            shutil.rmtree(file) if file.is_dir() else file.unlink()


SPELLINGS = [
    "https://example.org/team/project.git", "https://example.org/team/project",
    "https://example.org/team/project/", "https://me@example.org/team/project.git",
    "https://example.org:8443/team/project.git", "ssh://git@example.org/team/project.git",
    "ssh://git@example.org:2222/team/project", "git@example.org:team/project.git",
    "example.org:team/project", "git@EXAMPLE.org:/team/project.git",
    "git://example.org/team/project.git", "git+ssh://git@example.org/team/project.git",
    "http://example.org/team/project", "https://example.org/team//project.git/",
]  # fmt: skip


def test_remote_spelled_otherwise(pipeline: Project, made: Make, tmp_path: Path):
    """A run whose commit is gone is of the repository with its remote, however that is spelled."""
    runs = [lose_commit(pipeline, made, remote_url=url) for url in SPELLINGS]
    for spelled in (SPELLINGS[0], SPELLINGS[7]):
        pipeline.git("config", "remote.origin.url", spelled)
        for run_id in runs:
            strip_marks(run_id)
            assert locate_project(load_record(run_id)).repository is not None
    pipeline.git("config", "remote.origin.url", "eg:project")
    pipeline.git("config", "url.git@example.org:team/.insteadOf", "eg:")
    for run_id in (*runs, lose_commit(pipeline, made, remote_url="eg:project")):
        strip_marks(run_id)
        assert locate_project(load_record(run_id)).repository is not None
    pipeline.git("config", "remote.origin.url", "https://example.org/team/other.git")
    for run_id in runs:
        assert locate_project(load_record(run_id)).repository is None


def test_remote_that_has_moved(pipeline: Project, made: Make, tmp_path: Path):
    """A run whose commit is gone is of the repository that git is sent to for the run's address."""
    run_id = lose_commit(pipeline, made, remote_url="https://old.example.org/team/project.git")
    strip_marks(run_id)
    pipeline.git("config", "remote.origin.url", "git@new.example.org:other/project.git")
    assert locate_project(load_record(run_id)).repository is None
    base = "url.ssh://git@new.example.org/other/.insteadOf"
    pipeline.git("config", "--global", base, "https://old.example.org/team/")
    assert locate_project(load_record(run_id)).repository is not None


def test_this_very_repository(pipeline: Project, made: Make, tmp_path: Path, monkeypatch):
    """A run of a clone of this repository, whose commit is gone, is of this one."""
    root = pipeline.root
    (tmp_path / "link").symlink_to(root)
    pipeline.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    spelled = [str(root), f"{root}/", root.as_uri(), f"{root}/.git", f"{root.as_uri()}/.git/",
               f"file://localhost{root}", str(tmp_path / "link")]  # fmt: skip
    runs = [lose_commit(pipeline, made, remote_url=url) for url in spelled]
    for place in (root, root / "src", tmp_path / "linked"):
        monkeypatch.chdir(place)
        for run_id in runs:
            strip_marks(run_id)
            assert locate_project(load_record(run_id)).repository is not None, (place, run_id)


def test_no_remote(pipeline: Project, made: Make, tmp_path: Path, monkeypatch):
    """Without a remote, and with the commit gone, DVC's own files tell whose run it is."""
    run_id = lose_commit(pipeline, made)
    assert locate_project(load_record(run_id)).repository is not None
    with pytest.raises(CommitLostError):
        mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"), at="main")
    assert (tmp_path / "back" / PREPARED).exists()
    assert found.sha == pipeline.git("rev-parse", "main")


def unrelated(folder: Path, files: Mapping[str, str], remote: str | None = None) -> Project:
    other = Project(folder)
    other.root.mkdir()
    other.git("init", "--quiet", "--initial-branch=main")
    for path, text in files.items():
        other.write(path, text)
    other.commit("other")
    if remote:
        other.git("remote", "add", "origin", remote)
    return other


def test_unrelated_repositories(pipeline: Project, made: Make, tmp_path: Path, monkeypatch):
    """A repository with another remote, or with the same parameters by chance, is not the run's."""
    params = {"params.yaml": (pipeline.root / "params.yaml").read_text(), "empty.yaml": ""}
    pipeline.write("empty.yaml", "")
    pipeline.commit("empty")
    named = made(git_is(remote_url="https://example.org/team/project.git"))
    unnamed = made()
    relative = made(git_is(remote_url="../project.git"))
    same = {path: (pipeline.root / path).read_text() for path in ("dvc.yaml", "dvc.lock")}
    others = [
        unrelated(tmp_path / "a", params),
        unrelated(tmp_path / "b", params, "https://example.org/team/other.git"),
        unrelated(tmp_path / "c", params, "https://else.org/team/project.git"),
        unrelated(tmp_path / "d", params, "../project.git"),
    ]
    for other in others:
        monkeypatch.chdir(other.root)
        for run_id in (named, unnamed, relative):
            assert locate_project(load_record(run_id)).repository is None, (other.root, run_id)
    template = unrelated(tmp_path / "e", same, "https://example.org/team/other.git")
    monkeypatch.chdir(template.root)
    assert locate_project(load_record(named)).repository is None


def test_notebook_of_a_stage(pipeline: Project, made: Make, tmp_path: Path):
    """A notebook comes back with its code; that its outputs are others is no fault."""
    text = (pipeline.root / "dvc.yaml").read_text()
    pipeline.write("dvc.yaml", text.replace("src/prepare.py]", "src/prepare.py, in.ipynb]"))
    pipeline.write("in.ipynb", PLAIN)
    pipeline.commit("notebook")
    pipeline.write("in.ipynb", notebook(code("lr = 0.1", 1), code("train(lr)", 2)))
    ran = made(depends_on(pipeline, "in.ipynb"))
    pipeline.write("in.ipynb", notebook(code("lr = 0.1", 1), code("train(2)", 2)))
    edited = made(depends_on(pipeline, "in.ipynb"))
    for number, (run_id, source) in enumerate([(ran, "train(lr)"), (edited, "train(2)")]):
        back = tmp_path / f"back{number}"
        assert faults(mlflow_dvc.restore(run_id, str(back))) == {}
        assert json.loads((back / "in.ipynb").read_bytes())["cells"][1]["source"] == source
    (back / "in.ipynb").write_bytes(PLAIN)
    assert faults(mlflow_dvc.restore(edited, str(back))) == {"in.ipynb": "FAIL"}


def depends_on(project: Project, path: str) -> Callable[[Snapshot], Snapshot]:
    """The record of a run whose stage has read the program at ``path`` as it is now."""
    value = hashlib.md5((project.root / path).read_bytes()).hexdigest()
    entry = DataEntry(path, "md5", value, certainty="disk", state="clean", role="code")
    return lambda snapshot: replace(snapshot, deps=(*snapshot.deps, entry))


def test_at_a_revision_of_another(made: Make, pipeline: Project, tmp_path: Path, monkeypatch):
    """A branch of that name in an unrelated repository is not the run's; a commit in full is."""
    run_id = made(lambda snapshot: replace(snapshot, workspace=None))
    other = unrelated(tmp_path / "other", {"run.py": "other\n"})
    monkeypatch.chdir(other.root)
    with pytest.raises(MlflowDvcError, match="is no commit"):
        mlflow_dvc.restore(run_id, str(tmp_path / "back"), at="main")
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"), at=other.git("rev-parse", "main"))
    assert found.verdict == "FAIL"


@pytest.mark.parametrize("remote", [None, "https://example.org/team/project.git"])
def test_git_alone_at_a_branch(made: Make, tmp_path: Path, monkeypatch, remote: str | None):
    """Without DVC and with the commit gone, ``--at main`` is of the repository around."""
    plain = unrelated(tmp_path / "plain", {"run.py": "one\n"}, remote)
    plain.write("run.py", "two\n")
    plain.commit("to be dropped")
    run_id = made(root=plain.root)
    plain.git("reset", "--quiet", "--hard", "HEAD~1")
    forget(plain)
    monkeypatch.chdir(plain.root)
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"), at="main")
    assert (tmp_path / "back/run.py").read_text() == "one\n"
    assert found.verdict == "FAIL"
