"""A sound project, and what breaks one rule of the doctor in it and no other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project, environment, make_home

import mlflow_dvc
from mlflow_dvc.recall.doctor import Finding

SERVER = "https://mlflow.example.org"


@pytest.fixture(scope="session")
def published_once(reproduced_once: Path, shared: Callable[..., Path]) -> Path:
    """The pipeline with a git remote and a DVC remote beside it, everything pushed."""

    def make(folder: Path) -> None:
        make_home(folder / "home")
        shutil.copytree(reproduced_once, folder / "project", symlinks=True)
        give_remotes(Project(folder / "project", environment(folder / "home")))

    return shared("published", make)


def give_remotes(project: Project) -> None:
    text = (project.root / "dvc.yaml").read_text()
    deps = "deps: [models/model.txt, src/report.py]"
    project.write("dvc.yaml", text.replace("deps: [models/model.txt]", deps))
    project.run("git", "init", "--quiet", "--bare", "--initial-branch=main", "../code.git")
    project.git("remote", "add", "origin", "../code.git")
    project.dvc("remote", "add", "--quiet", "-d", "storage", "../storage")
    project.dvc("push", "--quiet")
    project.commit("remote")
    project.git("push", "--quiet", "--set-upstream", "origin", "main")


@pytest.fixture
def sound(published_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it all, with a tracking server that is far away."""
    shutil.copytree(published_once, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    project = Project(tmp_path / "project")
    project.git("update-index", "-q", "--refresh")
    return project


def publish(project: Project) -> None:
    project.commit()
    project.git("push", "--quiet")


def edit(project: Project, path: str, old: str, new: str) -> None:
    text = (project.root / path).read_text()
    assert old in text
    project.write(path, text.replace(old, new))
    publish(project)


def found_in(project: Project, **options: bool | str) -> list[Finding]:
    return mlflow_dvc.doctor(str(project.root), **options)  # type: ignore[arg-type]


def rules_of(findings: list[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


Defect = Callable[[Project, pytest.MonkeyPatch], None]
LOCAL: list[tuple[str, str, Defect]] = []


def defect(rule: str, where: str) -> Callable[[Defect], Defect]:
    """What breaks one rule, at one place, and no other."""

    def note(function: Defect) -> Defect:
        LOCAL.append((rule, where, function))
        return function

    return note


@defect("plugin-off", "MLFLOW_DVC_ENABLED")
def switched_off(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_DVC_ENABLED", "0")


@defect("frozen-in-repository", "MLFLOW_DVC_SNAPSHOT")
def frozen(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_DVC_SNAPSHOT", "record.json")


@defect("wrong-root", "MLFLOW_DVC_ROOT")
def root_without_dvc(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_DVC_ROOT", str(project.root / "src"))


@defect("part-off", "MLFLOW_DVC_SEAL")
def seal_off(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_DVC_SEAL", "0")


@defect("part-off", "MLFLOW_DVC_PATCH")
def patch_off(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_DVC_PATCH", "off")


@defect("no-git", ".")
def no_repository(project, monkeypatch):
    shutil.rmtree(project.root / ".git")
    project.dvc("config", "core.no_scm", "true")


@defect("no-git", ".")
def no_git_binary(project, monkeypatch):
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))


@defect("git-refused", ".")
def owned_by_another(project, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")


@defect("no-commit", ".git")
def nothing_committed(project, monkeypatch):
    shutil.rmtree(project.root / ".git")
    project.git("init", "--quiet")


@defect("no-git-remote", ".git/config")
def no_code_remote(project, monkeypatch):
    project.git("remote", "remove", "origin")


@defect("head-not-pushed", "HEAD")
def not_pushed(project, monkeypatch):
    project.commit()


@defect("shallow-clone", ".git")
def shallow(project, monkeypatch):
    shutil.rmtree(project.root)
    url = (project.root.parent / "code.git").as_uri()
    subprocess.run(["git", "clone", "-q", "--depth=1", url, str(project.root)], check=True)


@defect("submodule", "library")
def submodule_moved(project, monkeypatch):
    submodule(project)
    Project(project.root / "library").git("commit", "--quiet", "--allow-empty", "-m", "more")


@defect("submodule", "library")
def submodule_absent(project, monkeypatch):
    submodule(project)
    project.git("submodule", "--quiet", "deinit", "library")


def submodule(project: Project) -> None:
    allow = ("-c", "protocol.file.allow=always")
    project.git(*allow, "submodule", "--quiet", "add", "../code.git", "library")
    publish(project)


@defect("unreadable", "broken.dvc")
def no_yaml(project, monkeypatch):
    project.write("broken.dvc", "outs: [")
    publish(project)


@defect("unreadable", "data/raw.csv.dvc")
def merge_conflict(project, monkeypatch):
    project.write("data/raw.csv.dvc", "<<<<<<< HEAD\n")
    publish(project)


@defect("unreadable", "data/raw.csv")
def one_output_of_two_stages(project, monkeypatch):
    shutil.copy(project.root / "data/raw.csv.dvc", project.root / "data/again.dvc")
    publish(project)


@defect("dvc-file-hidden", "data/raw.csv.dvc")
def tracked_but_ignored(project, monkeypatch):
    edit(project, ".gitignore", "/mlruns/", "/mlruns/\n*.dvc")


@defect("dvc-file-hidden", "data/raw.csv.dvc")
def in_an_ignored_folder(project, monkeypatch):
    edit(project, ".gitignore", "/mlruns/", "/mlruns/\n/data/")


@defect("dvc-file-hidden", "other/dvc.yaml")
def never_seen_by_git(project, monkeypatch):
    edit(project, ".gitignore", "/mlruns/", "/mlruns/\n/other/")
    project.write("other/dvc.yaml", "stages: {}\n")


@defect("dvc-file-hidden", "other/dvc.yaml")
def in_dvcignore(project, monkeypatch):
    project.write(".dvcignore", "other\n")
    project.write("other/dvc.yaml", "stages: {}\n")
    publish(project)


@defect("dvc-file-hidden", "dvc.lock")
def lock_in_dvcignore(project, monkeypatch):
    project.write(".dvcignore", "dvc.lock\n")
    publish(project)


@defect("lock-ignored", "dvc.lock")
def lock_ignored(project, monkeypatch):
    edit(project, ".gitignore", "/mlruns/", "/mlruns/\n*.lock")


@defect("lock-without-pipeline", "old/dvc.lock")
def orphan(project, monkeypatch):
    (project.root / "old").mkdir()
    shutil.copy(project.root / "dvc.lock", project.root / "old/dvc.lock")
    publish(project)


@defect("lock-without-pipeline", "old/dvc.lock")
def orphan_of_nobody(project, monkeypatch):
    (project.root / "old").mkdir()
    shutil.copy(project.root / "dvc.lock", project.root / "old/dvc.lock")


@defect("head-not-pushed", "HEAD")
def detached(project, monkeypatch):
    project.git("checkout", "--quiet", "--detach")
    project.commit()


@defect("lock-uncommitted", "dvc.lock")
def lock_changed(project, monkeypatch):
    text = (project.root / "dvc.lock").read_text()
    project.write("dvc.lock", text + "# another line\n")


@defect("lock-uncommitted", "dvc.lock")
def lock_never_added(project, monkeypatch):
    project.git("rm", "--quiet", "--cached", "dvc.lock")
    project.git("commit", "--quiet", "-m", "no lock")
    project.git("push", "--quiet")


@defect("dvc-file-uncommitted", "data/raw.csv.dvc")
def data_changed(project, monkeypatch):
    project.write("data/raw.csv", "a,b\n3,4\n")
    project.dvc("add", "--quiet", "data/raw.csv")


@defect("script-not-declared", "report")
def script_missing(project, monkeypatch):
    edit(project, "dvc.yaml", ", src/report.py]", "]")


@defect("params-not-declared", "prepare")
def params_opened(project, monkeypatch):
    script = (project.root / "src/prepare.py").read_text()
    project.write("src/prepare.py", script + "import yaml\nyaml.safe_load(open('params.yaml'))\n")
    publish(project)


@defect("params-not-declared", "prepare")
def params_shown(project, monkeypatch):
    script = (project.root / "src/prepare.py").read_text()
    project.write("src/prepare.py", script + "import dvc.api\ndvc.api.params_show()['lr']\n")
    publish(project)


@defect("metric-cached", "train")
def metric_cached(project, monkeypatch):
    edit(project, "dvc.yaml", "[{metrics.json: {cache: false}}]", "[metrics.json]")


@defect("dataset-without-version", "report")
def dataset_unknown(project, monkeypatch):
    edit(project, "dvc.yaml", "[models/model.txt,", "['ds://nope', models/model.txt,")


@defect("never-run", "dvc.yaml")
def stage_added(project, monkeypatch):
    text = (project.root / "dvc.yaml").read_text()
    project.write("dvc.yaml", text + "  more:\n    cmd: echo > more.txt\n    outs: [more.txt]\n")
    publish(project)


@defect("dead-lock-entry", "dvc.lock")
def stage_removed(project, monkeypatch):
    text = (project.root / "dvc.yaml").read_text()
    project.write("dvc.yaml", text.partition("  report:")[0])
    publish(project)


@defect("no-remote", ".dvc/config")
def no_dvc_remote(project, monkeypatch):
    project.write(".dvc/config", "")
    publish(project)


@defect("no-remote", ".dvc/config")
def no_default_remote(project, monkeypatch):
    edit(project, ".dvc/config", "remote = storage", "")


@defect("no-server", "MLFLOW_TRACKING_URI")
def server_unset(project, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")


@defect("local-store", "MLFLOW_TRACKING_URI")
def database_in_project(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")


@defect("local-store", "MLFLOW_TRACKING_URI")
def files_in_project(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (project.root / "mlruns").as_uri())


@pytest.fixture
def at_server(sound: Project, tracking_uri: str) -> Project:
    """The sound project with an MLflow store that answers, outside of it."""
    return sound


def object_of(store: Path, value: str) -> Path:
    return store / "files" / "md5" / value[:2] / value[2:]


def log(  # noqa: PLR0917 - the facts of a run
    project: Project,
    stage: str,
    seal: str,
    sha: str = "",
    status: str = "FINISHED",
    reads: str | None = None,
) -> None:
    """A run with the tags of a record, made where the plugin is off."""
    import mlflow

    tags = {
        "dvc.stage": stage,
        "dvc.seal": seal,
        "git_sha": sha or project.git("rev-parse", "HEAD"),
    }
    if reads is not None:
        tags |= {"dvc.reads": "observed", "dvc.undeclared": reads}
    with mlflow_dvc.disabled():
        client = mlflow.MlflowClient()
        run = client.create_run(os.environ["MLFLOW_EXPERIMENT_ID"], tags=tags)
        client.set_terminated(run.info.run_id, status)
