"""``mlflow-dvc pin``: a tag of git that keeps the code of a run, its lock and its parameters."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import FIVE_LINES, Project
from mlflow import MlflowClient

from mlflow_dvc.tracking import write_files


def newest_run() -> str:
    return MlflowClient().search_runs(["1"])[0].info.run_id


def checks(project: Project, run: str) -> dict[tuple[str, str], str]:
    [found] = json.loads(project.cli("verify", run, "--json").stdout)["runs"]
    return {(one["part"], one["name"]): one["verdict"] for one in found["items"]}


def pin(project: Project, run: str, *words: str) -> dict[str, Any]:
    done = project.cli("pin", run, "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def forget(project: Project, *branches: str) -> None:
    """What no branch or tag leads to is gone."""
    project.git("switch", "--quiet", "--force", "main")
    if branches:
        project.git("branch", "--quiet", "-D", *branches)
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "--quiet", "--prune=now")


def reproduce(project: Project, lr: str) -> str:
    """A run of the stage ``train`` with another parameter, and code, that are not committed."""
    project.write("params.yaml", f"lr: {lr}\n")
    project.write("src/train.py", (project.root / "src/train.py").read_text() + f"# {lr}\n")
    project.dvc("repro")
    return newest_run()


def test_a_pinned_run_outlives_its_branch(pipeline: Project, tmp_path: Path):
    """The branch and all of its commits are gone, and the run verifies as before and is restored;
    a run that was not pinned is lost."""
    pipeline.git("switch", "--quiet", "--create", "try")
    pipeline.write("README.md", "a commit of this branch alone")
    base = pipeline.commit("base")
    run = reproduce(pipeline, "0.5")
    code = (pipeline.root / "src/train.py").read_text()
    pipeline.commit("what the run was")
    pipeline.write("README.md", "another commit of this branch alone")
    pipeline.commit("later")
    other = reproduce(pipeline, "0.7")
    before = checks(pipeline, run)
    assert set(before.values()) == {"PASS"}
    status = pipeline.git("status", "--porcelain")
    described = pipeline.git("describe", "--always", "--tags")
    found = pin(pipeline, run)
    name = f"mlflow-dvc/{run}"
    assert list(found["tags"]) == [name]
    assert found["is_new"]
    assert found["parents"][0] == base
    assert not found["left_out"]
    assert pipeline.git("show", f"{name}:src/train.py") == code.strip()
    assert pipeline.git("show", f"{name}:params.yaml") == "lr: 0.5"
    assert pipeline.git("status", "--porcelain") == status
    assert pipeline.git("describe", "--always", "--tags") == described
    assert not pin(pipeline, run)["is_new"]
    forget(pipeline, "try")
    assert checks(pipeline, run) == {**before, ("pin", name): "PASS"}
    assert checks(pipeline, other)["commit", pipeline_sha(other)] == "FAIL"
    done = pipeline.cli("restore", run, "--to", str(tmp_path / "back"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "back/src/train.py").read_text() == code
    pipeline.dvc("gc", "--all-tags", "--force")
    assert checks(pipeline, run)["data", "models/model.txt"] == "PASS"


def pipeline_sha(run: str) -> str:
    return MlflowClient().get_run(run).data.tags["git_sha"]


def test_a_pin_confirms_nothing(pipeline: Project):
    """What the record alone says stays UNVERIFIED: a pin is made of the record."""
    run = reproduce(pipeline, "0.5")
    before = checks(pipeline, run)
    assert before["lock", "dvc.lock"] == "UNVERIFIED"
    pin(pipeline, run)
    after = checks(pipeline, run)
    assert after.pop(("pin", f"mlflow-dvc/{run}")) == "PASS"
    assert after == before


def test_before_the_first_commit(initialised: Path, tmp_path: Path, tracking_uri: str):
    """All of the code is uncommitted then: the pin is a commit without a parent."""
    project = Project(tmp_path / "project")
    subprocess.run(["cp", "-r", initialised, project.root], check=True)
    project.write("run.py", FIVE_LINES)
    project.write("data.csv", "a\n1\n")
    project.dvc("add", "--quiet", "data.csv")
    project.python("run.py")
    run = newest_run()
    found = pin(project, run)
    assert found["parents"] == []
    name = f"mlflow-dvc/{run}"
    assert project.git("show", f"{name}:run.py") == FIVE_LINES.strip()
    assert project.git("show", f"{name}:data.csv.dvc")
    after = checks(project, run)
    assert after["pin", name] == "PASS"
    assert not [key for key in after if key[0] == "commit"]


def test_a_pin_is_shared(pipeline: Project, tmp_path: Path):
    """With --push another clone, that never saw the branch, has the commit of the run."""
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "hub"], check=True)
    pipeline.git("remote", "add", "origin", str(tmp_path / "hub"))
    pipeline.git("push", "--quiet", "origin", "main")
    pipeline.git("switch", "--quiet", "--create", "try")
    pipeline.write("run.py", f"{FIVE_LINES}# here\n")
    pipeline.commit("try")
    pipeline.write("run.py", f"{FIVE_LINES}# there\n")
    pipeline.python("run.py")
    run = newest_run()
    assert pin(pipeline, run, "--push")["remote"] == "origin"
    clone = Project(tmp_path / "clone")
    subprocess.run(["git", "clone", "--quiet", tmp_path / "hub", clone.root], check=True)
    after = checks(clone, run)
    assert after["commit", pipeline_sha(run)] == "PASS"
    assert after["pin", f"mlflow-dvc/{run}"] == "PASS"
    done = pipeline.cli("restore", run, "--to", str(tmp_path / "away"), cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    assert (tmp_path / "away/run.py").read_text() == f"{FIVE_LINES}# there\n"
    done = pipeline.cli("pin", run, "--push", "--remote", "nowhere")
    assert done.returncode == 2
    assert "nowhere" in done.stderr


@pytest.mark.parametrize("path", ["dvc.lock", "code.patch"])
def test_a_tampered_record_is_not_pinned(pipeline: Project, path: str):
    """Nothing of a record is pinned that contradicts itself."""
    run = reproduce(pipeline, "0.5")
    folder = Path(MlflowClient().get_run(run).info.artifact_uri.removeprefix("file:"), "dvc")
    content = (folder / path).read_text()
    write_files(str(folder), {path: content.replace("0.5", "0.6").encode()})
    done = pipeline.cli("pin", run)
    assert done.returncode == 2
    assert path in done.stderr
    assert not pipeline.git("tag", "--list", "mlflow-dvc/*")


def test_a_record_that_changed_since(pipeline: Project):
    """A record that is another than when it was pinned is told by verify, and not pinned again."""
    run = reproduce(pipeline, "0.5")
    pin(pipeline, run)
    name = f"mlflow-dvc/{run}"
    tree = pipeline.git("commit-tree", "-m", "another", "HEAD^{tree}")
    pipeline.git("tag", "--force", name, tree)
    assert checks(pipeline, run)["pin", name] == "UNVERIFIED"
    done = pipeline.cli("pin", run)
    assert done.returncode == 2
    assert name in done.stderr


def test_without_a_repository(pipeline: Project, make_project: Callable[..., Project]):
    """Outside of the run's repository, and for a run without a commit, it is said what to do."""
    run = reproduce(pipeline, "0.5")
    done = pipeline.cli("pin", run, cwd=pipeline.root.parent)
    assert done.returncode == 2
    assert "inside the project" in done.stderr
    plain = make_project("plain", git=False)
    plain.write("run.py", FIVE_LINES)
    plain.python("run.py")
    done = plain.cli("pin", newest_run(), cwd=pipeline.root)
    assert done.returncode == 2


def test_what_was_attached_is_lost(pipeline: Project, tmp_path: Path):
    """A pin has code, lock and parameters of a run whose artifacts are gone: restore takes it."""
    run = reproduce(pipeline, "0.5")
    lock, code = (pipeline.root / path for path in ("dvc.lock", "src/train.py"))
    pin(pipeline, run)
    shutil.rmtree(Path(MlflowClient().get_run(run).info.artifact_uri.removeprefix("file:"), "dvc"))
    done = pipeline.cli("restore", run, "--at", f"mlflow-dvc/{run}", "--to", str(tmp_path / "back"))
    assert "data/prepared.csv" in done.stdout
    assert (tmp_path / "back/src/train.py").read_text() == code.read_text()
    assert (tmp_path / "back/params.yaml").read_text() == "lr: 0.5\n"
    assert (tmp_path / "back/dvc.lock").read_text() == lock.read_text()
    assert (tmp_path / "back/models/model.txt").read_text().startswith("model of")


def test_a_pin_is_no_commit_of_a_run(pipeline: Project):
    """A run at the commit of a pin is not confirmed by it: that was made of a record."""
    run = reproduce(pipeline, "0.5")
    name, sha = next(iter(pin(pipeline, run)["tags"].items()))
    pipeline.git("checkout", "--quiet", "--force", name)
    pipeline.python("src/train.py")
    again = newest_run()
    assert pipeline_sha(again) == sha
    assert checks(pipeline, again)["lock", "dvc.lock"] == "UNVERIFIED"
