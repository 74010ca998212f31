"""``mlflow-dvc gc``: on real projects with real DVC, caches and remotes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from conftest import FIVE_LINES, PYTHON, SECONDS, Project, examples
from mlflow import MlflowClient
from mounts import make_read_only, unmount
from servers import S3

import mlflow_dvc
from mlflow_dvc.recall.gc import GcRequest, execute_gc, plan_gc

OBJECTS = "[0-9a-f][0-9a-f]/*"


def objects_in(store: Path) -> set[str]:
    return {path.parent.name + path.name for path in (store / "files/md5").glob(OBJECTS)}


def files_of(store: Path, value: str) -> set[str]:
    """The hash, and of a folder those of its files."""
    if not value.endswith(".dir"):
        return {value}
    rows = json.loads((store / "files/md5" / value[:2] / value[2:]).read_text())
    return {value, *(row["md5"] for row in rows)}


def hashes_in_commits(project: Project) -> set[str]:
    """By the plainest reading of every commit that a branch or tag leads to."""
    found = set()
    for commit in project.git("rev-list", "--branches", "--tags").split():
        for path in project.git("ls-tree", "-r", "--name-only", commit).splitlines():
            if path.endswith((".dvc", "dvc.lock")):
                text = project.git("show", f"{commit}:{path}")
                found |= {line.split()[-1] for line in text.splitlines() if " md5: " in line}
    return found


def hashes_of_runs(uri: str) -> set[str]:
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as store:
        rows = store.execute("select value from tags where key like 'dvc.hashes%'").fetchall()
    return {word for (value,) in rows for word in value.split()}


def verified(project: Project) -> list[dict[str, Any]]:
    return json.loads(project.cli("verify", "--all", "--json").stdout)["runs"]


def found_runs(project: Project) -> list[dict[str, Any]]:
    """Those that saw ``data.csv``, the newest first."""
    return json.loads(project.cli("search", "data.csv", "--json").stdout)["runs"]


def plan(project: Project, *words: str) -> dict[str, Any]:
    done = project.cli("gc", "--dry-run", "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(answer: dict[str, Any]) -> dict[str, set[str]]:
    return {store["name"]: {one["hash"] for one in store["objects"]} for store in answer["stores"]}


@pytest.fixture
def project(make_project: Callable[..., Project], tracking_uri: str) -> Project:
    """A file and a folder, tracked and committed, and a script that starts a run."""
    project = make_project("project")
    project.write("run.py", FIVE_LINES)
    project.write(".gitignore", "/mlflow.db\n/mlruns/\n")
    change(project, "start")
    project.commit("data")
    return project


def change(project: Project, word: str) -> None:
    """Let the data be other data, and track it."""
    project.write("data.csv", f"a,b\n{word},2\n")
    shutil.rmtree(project.root / "parts", ignore_errors=True)
    for name in ("same", word):
        project.write(f"parts/{name}.csv", name)
    project.dvc("add", "--quiet", "data.csv", "parts")


def record(project: Project, word: str, *, branch: bool = True) -> None:
    """A run on other data, committed on a branch of its own."""
    if branch:
        project.git("switch", "--quiet", "--create", word, "main")
    change(project, word)
    project.commit(word)
    project.python("run.py")


@pytest.mark.hosts
def test_what_runs_need_stays(project: Project, make_project, tracking_uri: str, tmp_path: Path):
    """Whatever became of branches, each run verifies as before; what nobody needs is gone, and was
    listed."""
    remotes = {name: tmp_path / name for name in ("one", "two")}
    for name, folder in remotes.items():
        project.dvc("remote", "add", "--quiet", name, str(folder))
    project.dvc("remote", "default", "--quiet", "one")
    project.commit("remotes")
    number = examples(8)
    for at in range(number):
        if at % 4 == 3:  # code that was not committed
            project.write("run.py", f"{FIVE_LINES}\n# {at}\n")
        record(project, f"run-{at}")
        project.dvc("push", "--quiet", "--remote", ("one", "two")[at % 2])
        project.git("checkout", "--quiet", "--", ".")
    project.git("switch", "--quiet", "--create", "nobody", "main")
    change(project, "nobody")
    project.commit("a commit without a run")
    for name in remotes:
        project.dvc("push", "--quiet", "--remote", name)
    project.git("switch", "--quiet", "main")
    project.dvc("checkout", "--quiet")
    for at in range(0, number, 2):
        project.git("branch", "--quiet", "-D", f"run-{at}")
    project.git("branch", "--quiet", "-D", "nobody")
    other = make_project("other")
    other.dvc("remote", "add", "--quiet", "--default", "one", str(remotes["one"]))
    other.write("theirs.csv", "theirs")
    other.dvc("add", "--quiet", "theirs.csv")
    other.commit("theirs")
    other.dvc("push", "--quiet")

    before = verified(project)
    assert [one["verdict"] for one in before].count("PASS") == number / 2  # have a branch
    checks = [check for one in before for check in one["items"] if check["part"] == "data"]
    assert {check["verdict"] for check in checks} == {"PASS"}
    cache = project.root / ".dvc/cache"
    needed = set()
    for value in hashes_in_commits(project) | hashes_of_runs(tracking_uri):
        needed |= files_of(cache, value)
    theirs = objects_in(other.root / ".dvc/cache")
    words = ("--remote", "one", "--remote", "two", "--projects", str(other.root))
    answer = plan(project, *words)
    there = {"cache": cache, **{f"remote {name}": folder for name, folder in remotes.items()}}
    unneeded = {name: objects_in(store) - needed - theirs for name, store in there.items()}
    assert listed(answer) == {name: unneeded.get(name, set()) for name in listed(answer)}
    assert all(unneeded.values())

    done = project.cli("gc", "--yes", *words)
    assert done.returncode == 0, done.stderr
    assert all(objects_in(store) <= needed | theirs for store in there.values())
    assert verified(project) == before
    other.run("rm", "-rf", ".dvc/cache", "theirs.csv")
    other.dvc("pull", "--quiet")
    assert not any(listed(plan(project, *words)).values())


def test_runs_that_are_not_kept_are_named(project: Project):
    """A run that is not kept would lose what only it needs, by path and hash, and the files of its
    folder; a filter keeps the others."""
    record(project, "kept")
    record(project, "lost")
    project.git("switch", "--quiet", "main")
    project.dvc("checkout", "--quiet")
    project.git("branch", "--quiet", "-D", "kept", "lost")
    answer = plan(project, "--keep", "attributes.start_time > 0")
    assert not answer["losses"]
    runs = {one["data"][0]["hash"]: one["run_id"] for one in found_runs(project)}
    lost, kept = (one["run_id"] for one in found_runs(project))
    answer = plan(project, "--keep", f"attributes.run_id = '{kept}'")
    [loss] = answer["losses"]
    assert loss["id"] == lost
    paths = dict(loss["data"])
    assert set(paths) == {"data.csv", "parts", "parts/lost.csv", "parts/same.csv"}
    assert runs[paths["data.csv"]] == lost
    shown = project.cli("gc", "--dry-run", "--keep", f"attributes.run_id = '{kept}'").stdout
    assert f"run {lost}" in shown
    assert paths["parts/lost.csv"] in shown


def test_what_a_remote_keeps_is_not_lost(project: Project, tmp_path: Path):
    """A run loses nothing that a remote has which is not looked through; that remote is named."""
    project.dvc("remote", "add", "--quiet", "--default", "one", str(tmp_path / "one"))
    project.commit("remote")
    record(project, "kept")
    record(project, "lost")
    project.dvc("push", "--quiet")
    project.git("switch", "--quiet", "main")
    project.dvc("checkout", "--quiet")
    project.git("branch", "--quiet", "-D", "kept", "lost")
    lost, kept = (one["run_id"] for one in found_runs(project))
    keep = ("--keep", f"attributes.run_id = '{kept}'")
    answer = plan(project, *keep)
    assert listed(answer)["cache"]
    assert answer["losses"] == []
    [line] = answer["warnings"]
    assert line.startswith("remote one")
    assert lost in line
    [loss] = plan(project, *keep, "--cloud")["losses"]
    assert loss["id"] == lost


def test_two_remotes_of_one_address(project: Project, s3, serve: Callable[..., str]):
    """Buckets of one name on two servers are two stores, each with what nobody needs there."""
    other = serve("s3-two", S3)
    urlopen(Request(f"{other}/bucket", method="PUT"), timeout=SECONDS).close()
    s3.configure(project)
    project.dvc("remote", "add", "--quiet", "two", s3.url)
    project.dvc("remote", "modify", "two", "endpointurl", other)
    project.commit("remotes")
    project.python("run.py")
    for remote in ("s3", "two"):
        change(project, f"nobody-{remote}")
        project.dvc("push", "--quiet", "--remote", remote)
    project.git("checkout", "--quiet", "--", ".")
    project.dvc("checkout", "--quiet")
    words = ("--remote", "s3", "--remote", "two")
    found = listed(plan(project, *words))
    assert found["remote s3"]
    assert found["remote two"]
    assert not found["remote s3"] & found["remote two"]
    removed = json.loads(project.cli("gc", "--yes", "--json", *words).stdout)["removed"]
    assert removed["remote s3"] == len(found["remote s3"])
    assert removed["remote two"] == len(found["remote two"])


def test_another_project_of_the_repository(project: Project):
    """What the work tree of another project in the repository tracks stays, committed or not."""
    inner = Project(project.root / "inner", project.env)
    inner.root.mkdir()
    inner.dvc("init", "--quiet", "--subdir")
    inner.dvc("cache", "dir", str(project.root / ".dvc/cache"))
    inner.write("theirs.csv", "theirs")
    inner.dvc("add", "--quiet", "theirs.csv")
    project.python("run.py")
    assert not any(listed(plan(project)).values())
    (inner.root / "theirs.csv.dvc").unlink()
    assert len(listed(plan(project))["cache"]) == 1


def test_hidden_branches(project: Project):
    """Where DVC is told not to look at git, its branches cannot be asked for."""
    project.python("run.py")
    project.dvc("config", "core.no_scm", "true")
    done = project.cli("gc", "--dry-run", "--all-branches")
    assert (done.returncode, "core.no_scm" in done.stderr) == (2, True), done.stderr
    assert project.cli("gc", "--dry-run").returncode == 0


@pytest.mark.hosts
def test_which_runs_are_kept(project: Project):
    """The runs behind models, behind aliases, and those that began some days ago at most."""
    record(project, "named")
    record(project, "registered")
    record(project, "old")
    project.git("switch", "--quiet", "main")
    project.dvc("checkout", "--quiet")
    project.git("branch", "--quiet", "-D", "named", "registered", "old")
    client = MlflowClient()
    runs = [client.get_run(one["run_id"]) for one in found_runs(project)]
    old, registered, named = (run.info.run_id for run in runs)
    client.create_registered_model("model")
    for run in (registered, named):
        client.create_model_version("model", f"runs:/{run}/model", run)
    client.set_registered_model_alias("model", "champion", "2")

    def losing(*keep: str) -> set[str]:
        words = (word for one in keep for word in ("--keep", one))
        return {loss["id"] for loss in plan(project, *words)["losses"]}

    assert losing("registered") == {old}
    assert losing("aliased") == {old, registered}
    assert losing("aliased", f"attributes.run_id = '{old}'") == {registered}
    assert losing("1") == set()
    assert losing("all") == set()
    done = project.cli("gc", "--yes", "--keep", "aliased", "--json")
    assert set(json.loads(done.stdout)["removed"]) == {"cache"}
    assert losing("aliased") == set()
    done = project.cli("gc", "--keep", "0")
    assert done.returncode == 3
    done = project.cli("gc", "--keep", "registred")
    assert (done.returncode, "registred" in done.stderr) == (2, True)


def test_the_server_goes_away(project: Project, tmp_path: Path):
    """A server that is gone when something is to be removed: nothing is."""
    record(project, "run")
    project.git("switch", "--quiet", "main")
    change(project, "nobody")
    project.git("checkout", "--quiet", "--", ".")
    project.dvc("checkout", "--quiet")
    before = objects_in(project.root / ".dvc/cache")
    request = GcRequest(project=str(project.root))
    found = plan_gc(request)
    assert not found.is_empty
    (tmp_path / "mlflow.db").rename(tmp_path / "away.db")
    with pytest.raises(mlflow_dvc.TrackingUnavailableError):
        execute_gc(request, found)
    assert objects_in(project.root / ".dvc/cache") == before
    (tmp_path / "away.db").rename(tmp_path / "mlflow.db")
    execute_gc(request, found)
    assert objects_in(project.root / ".dvc/cache") < before


def test_a_broken_record_counts(project: Project, tracking_uri: str):
    """A run whose snapshot is damaged, or gone, needs what its tags name."""
    record(project, "damaged")
    record(project, "gone")
    client = MlflowClient()
    gone, damaged = (client.get_run(one["run_id"]) for one in found_runs(project))
    folders = [Path(run.info.artifact_uri.removeprefix("file:"), "dvc") for run in (gone, damaged)]
    shutil.rmtree(folders[0])
    (folders[1] / "snapshot.json").write_text("{")
    project.git("switch", "--quiet", "main")
    project.dvc("checkout", "--quiet")
    project.git("branch", "--quiet", "-D", "damaged", "gone")
    answer = plan(project)
    assert not any(listed(answer).values())
    assert "snapshot.json" in answer["warnings"][0]


def test_the_wrong_server_removes_nothing(project: Project, tmp_path: Path, empty_database: Path):
    """Where no run is recorded, or none is kept, nothing is removed and the exit code is 3."""
    record(project, "run")
    before = objects_in(project.root / ".dvc/cache")
    project.git("switch", "--quiet", "main")
    project.git("branch", "--quiet", "-D", "run")
    shutil.copy(empty_database, tmp_path / "empty.db")
    for words in (
        ("--tracking-uri", f"sqlite:///{tmp_path}/empty.db"),
        ("--keep", "registered"),
    ):
        done = project.cli("gc", "--yes", *words)
        assert done.returncode == 3, done.stderr
        assert "nothing was removed" in done.stderr
    done = project.cli("gc", "--yes", "--tracking-uri", "http://127.0.0.1:9")
    assert done.returncode == 2
    assert objects_in(project.root / ".dvc/cache") == before


@pytest.mark.hosts
def test_what_cannot_be_told_removes_nothing(project: Project, tmp_path: Path):
    """A commit that DVC cannot read, a remote with versions and a folder whose listing may lie on
    a remote that does not answer: an error that names it, and nothing is removed."""
    record(project, "run")
    project.git("switch", "--quiet", "main")
    project.git("branch", "--quiet", "-D", "run")
    cache = project.root / ".dvc/cache"
    before = objects_in(cache)
    project.dvc("remote", "add", "--quiet", "--default", "cloud", "s3://bucket/versions")
    project.dvc("remote", "modify", "cloud", "version_aware", "true")
    done = project.cli("gc", "--yes", "--cloud")
    assert done.returncode == 2
    assert "cloud versioned" in done.stderr
    project.dvc("remote", "modify", "cloud", "version_aware", "false")
    project.dvc("remote", "modify", "cloud", "endpointurl", "http://127.0.0.1:9")
    for key in ("access_key_id", "secret_access_key"):
        project.dvc("remote", "modify", "cloud", key, "none")
    [listing] = [
        value for value in before if value.endswith(".dir") and value in hashes_in_commits(project)
    ][:1]
    kept = cache / "files/md5" / listing[:2] / listing[2:]
    content = kept.read_bytes()
    kept.unlink()
    done = project.cli("gc", "--yes")
    assert done.returncode == 2
    assert listing in done.stderr
    kept.write_bytes(content)
    project.write("dvc.yaml", "stages: [")
    done = project.cli("gc", "--yes")
    assert done.returncode == 2
    assert "dvc.yaml" in done.stderr
    assert objects_in(cache) == before


def test_a_lost_folder_is_said(project: Project):
    """A folder whose listing is nowhere is named with its run, and removes nothing else of it."""
    record(project, "run")
    project.git("switch", "--quiet", "main")
    project.dvc("checkout", "--quiet")
    project.git("branch", "--quiet", "-D", "run")
    cache = project.root / ".dvc/cache"
    [listing] = {value for value in objects_in(cache) if value.endswith(".dir")} - {
        value for value in hashes_in_commits(project) if value.endswith(".dir")
    }
    (cache / "files/md5" / listing[:2] / listing[2:]).unlink()
    answer = plan(project)
    assert any(listing in line and "lost" in line for line in answer["warnings"])


def test_a_person_is_asked(project: Project):
    """Without --yes a person is asked; any answer but yes removes nothing."""
    record(project, "run")
    change(project, "nobody")
    project.git("checkout", "--quiet", "--", ".")
    project.dvc("checkout", "--quiet")
    before = objects_in(project.root / ".dvc/cache")
    done = project.cli("gc")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    for answer, code, left in (("n\n", 1, before), ("yes\n", 0, None)):
        asked = subprocess.run(
            [os.environ["TEST_COMMANDS"] + "/python", "-m", "mlflow_dvc", "gc"],
            cwd=project.root, input=answer, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert asked.returncode == code, asked.stderr
        assert left is None or objects_in(project.root / ".dvc/cache") == left
    assert objects_in(project.root / ".dvc/cache") < before


ASKED = """\
import signal
import sys
from mlflow_dvc.cli.main import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
sys.argv = ["mlflow-dvc", "gc"]
main()
"""


def test_interrupted(project: Project):
    """Ctrl-C at the question removes nothing, and the exit code is 130."""
    record(project, "run")
    project.git("switch", "--quiet", "main")
    change(project, "nobody")
    project.git("checkout", "--quiet", "--", ".")
    project.dvc("checkout", "--quiet")
    before = objects_in(project.root / ".dvc/cache")
    with subprocess.Popen(
        [PYTHON, "-c", ASKED], cwd=project.root, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        said = ""
        while not said.endswith("[y/N] ") and (more := process.stderr.read(1)):
            said += more
        assert said.endswith("[y/N] "), said
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert objects_in(project.root / ".dvc/cache") == before


def test_deleted_runs_count_until_mlflow_forgets_them(project: Project):
    """A deleted run can be had back by MLflow: its data stays."""
    record(project, "run")
    project.git("switch", "--quiet", "main")
    project.dvc("checkout", "--quiet")
    project.git("branch", "--quiet", "-D", "run")
    [run] = found_runs(project)
    MlflowClient().delete_run(run["run_id"])
    assert not any(listed(plan(project)).values())


def test_a_cache_of_several_projects(project: Project, make_project, tmp_path: Path):
    """A cache outside of the project may be others': it is said, and what commits of those that are
    named need stays."""
    shared = tmp_path / "cache"
    other = make_project("other")
    for one in (project, other):
        one.dvc("cache", "dir", str(shared))
        one.commit("shared cache")
    other.write("theirs.csv", "theirs")
    other.dvc("add", "--quiet", "theirs.csv")
    other.commit("theirs")
    project.dvc("commit", "--quiet", "--force")
    project.python("run.py")
    theirs = objects_in(shared)
    answer = plan(project)
    assert listed(answer)["cache"] <= theirs
    assert len(listed(answer)["cache"]) == 1
    assert "--projects" in answer["warnings"][0]
    assert not any(listed(plan(project, "--projects", str(other.root))).values())


def test_a_remote_that_refuses(project: Project, tmp_path: Path):
    """What is removed and which store has refused is said, and the exit code is 2."""
    remote = tmp_path / "remote"
    project.dvc("remote", "add", "--quiet", "--default", "one", str(remote))
    project.commit("remote")
    project.python("run.py")
    change(project, "nobody")
    project.dvc("push", "--quiet")
    project.git("checkout", "--quiet", "--", ".")
    project.dvc("checkout", "--quiet")
    make_read_only(remote / "files")
    try:
        done = project.cli("gc", "--yes", "--cloud", "--json")
    finally:
        unmount(remote)
    assert done.returncode == 2
    answer = json.loads(done.stdout)
    assert answer["removed"] == {"cache": 3}
    assert len(answer["faults"]) == 1
    assert "remote one" in answer["faults"][0]
    again = project.cli("gc", "--yes", "--cloud", "--json")
    assert json.loads(again.stdout)["removed"] == {"remote one": 3}


@pytest.mark.hosts
def test_a_bucket(project: Project, s3):
    """What nobody needs goes from a bucket, what runs need stays, and DVC knows what is gone."""
    s3.configure(project)
    project.commit("remote")
    record(project, "run")
    project.git("switch", "--quiet", "main")
    project.git("branch", "--quiet", "-D", "run")
    change(project, "nobody")
    s3.push(project)
    project.git("checkout", "--quiet", "--", ".")
    project.dvc("checkout", "--quiet")
    done = project.cli("gc", "--yes", "--cloud", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["removed"] == {"cache": 3, "remote s3": 3}
    assert not any(listed(plan(project, "--cloud")).values())
    change(project, "nobody")
    s3.push(project)
    assert not project.dvc("status", "--cloud", "--json").strip("{}\n")


def forget_work_tree(project: Project) -> None:
    """The work tree names no data any more; what commits name stays in the cache."""
    project.git("rm", "--quiet", "--cached", "data.csv.dvc", "parts.dvc")
    for path in ("data.csv.dvc", "parts.dvc"):
        (project.root / path).unlink()


def test_commits_count_by_their_text(project: Project):
    """What a commit names stays: of a project that lay elsewhere then, under a remote that DVC does
    not know any more, and of a folder with odd names, which no other tree could be given."""
    project.write("parts/a\\b", "odd")
    project.write("parts/HEAD", "of a repository")
    project.dvc("add", "--quiet", "parts")
    project.commit("odd names")
    project.python("run.py")
    project.dvc("remote", "add", "--quiet", "--local", "far", "s3://bucket/x")
    project.git("config", "core.autocrlf", "false")
    (project.root / "ml").mkdir()
    for path in (".dvc", ".dvcignore"):
        project.git("mv", path, f"ml/{path}")
        if (project.root / path).exists():
            shutil.copytree(project.root / path, project.root / "ml" / path, dirs_exist_ok=True)
            shutil.rmtree(project.root / path)
    forget_work_tree(project)
    project.commit("moved")
    moved = Project(project.root / "ml", project.env)
    assert moved.dvc("status")
    assert not any(listed(plan(moved)).values())


def test_a_shallow_clone_removes_nothing(project: Project, tmp_path: Path):
    """The older commits of a shallow clone are not known: an error, unless they do not count."""
    project.python("run.py")
    project.commit("later")
    clone = Project(tmp_path / "clone")
    words = ("--quiet", "--depth", "1", project.root.as_uri(), str(clone.root))
    project.git("clone", *words)
    done = clone.cli("gc", "--yes")
    assert done.returncode == 2
    assert "shallow" in done.stderr
    assert clone.cli("gc", "--dry-run", "--workspace").returncode == 0
