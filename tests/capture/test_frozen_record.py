"""Where the code runs without its repository: a record made before, or the CI service's word."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import FIVE_LINES, Project

import mlflow_dvc
from mlflow_dvc.git import ci

pytestmark = pytest.mark.hosts

SHA = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def image(pipeline: Project, tmp_path: Path) -> Project:
    """What goes into an image: the code, neither ``.git`` nor ``.dvc``."""
    root = tmp_path / "image"
    shutil.copytree(pipeline.root / "src", root / "src")
    (root / "run.py").write_text(FIVE_LINES)
    return Project(root)


def freeze(project: Project, to: Path) -> dict[str, Any]:
    done = project.cli("snapshot", "-o", str(to))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return json.loads(to.read_text())


def test_same_record(
    pipeline: Project, image: Project, runs: Callable[[], list[Any]], attached: Any
):
    """A run in an image carries the record that a run in the repository would, patch and all."""
    pipeline.write("src/train.py", "# changed\n")
    frozen = freeze(pipeline, image.root / "record.json")
    pipeline.python("-c", FIVE_LINES, MLFLOW_DVC_CHECK="0", MLFLOW_DVC_READS="0")
    image.python("run.py", MLFLOW_DVC_SNAPSHOT="record.json")
    there, here = runs()
    ours = {key: value for key, value in here.data.tags.items() if key.startswith(("git_", "dvc."))}
    assert ours == {key: there.data.tags[key] for key in ours}
    assert ours["git_dirty"] == "true"
    assert ours["git_sha"] == frozen["git"]["sha"] == pipeline.git("rev-parse", "HEAD")
    assert here.data.tags["mlflow.source.git.commit"] == ours["git_sha"]
    theirs, mine = attached(there.info.run_id), attached(here.info.run_id)
    snapshot = json.loads(mine.pop("snapshot.json"))
    theirs.pop("snapshot.json")
    assert mine == theirs
    assert b"# changed" in mine["code.patch"]
    assert snapshot["frozen"] is True
    assert snapshot["git"]["source"] == "MLFLOW_DVC_SNAPSHOT"


def test_it_wins(pipeline: Project, runs: Callable[[], list[Any]], tmp_path: Path):
    """Named by the user, a frozen record counts, even where there is a repository."""
    freeze(pipeline, tmp_path / "record.json")
    sha = pipeline.git("rev-parse", "HEAD")
    pipeline.write("run.py", FIVE_LINES + "# later\n")
    pipeline.commit("later")
    pipeline.python("run.py", MLFLOW_DVC_SNAPSHOT=str(tmp_path / "record.json"))
    assert [run.data.tags["git_sha"] for run in runs()] == [sha]


def test_standard_output(pipeline: Project):
    """Without ``-o`` it goes to standard output; the Python function gives the same."""
    printed = json.loads(pipeline.cli("snapshot").stdout)
    assert printed == json.loads(mlflow_dvc.freeze(str(pipeline.root)))
    assert printed["files"]["dvc.lock"] == (pipeline.root / "dvc.lock").read_text()


def test_warnings(pipeline: Project):
    """What the record lacks is said on standard error, beside the record on standard output."""
    pipeline.write("key.py", "-----BEGIN PRIVATE KEY-----\n")
    done = pipeline.cli("snapshot")
    assert json.loads(done.stdout)["git"]["omitted"] == ["key.py: it holds credentials"]
    assert "key.py: it holds credentials" in done.stderr


def test_nothing_to_freeze(directory: Project):
    """Where there is neither git nor DVC, the command says so and writes nothing."""
    done = directory.cli("snapshot", "-o", "record.json")
    assert done.returncode == 2
    assert "neither a git repository nor a DVC project" in done.stderr
    assert os.listdir(directory.root) == []


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b"[]", b"{}", b'{"schema": 1}', b"\xff", b"[" * 100_000,
     b'{"schema": 1, "git": {"sha": "x"}, "files": []}'],
)  # fmt: skip
def test_not_a_record(
    pipeline: Project, runs: Callable[[], list[Any]], content: bytes | None, tmp_path: Path
):
    """What cannot be read as a frozen record is named, and the run recorded as without it."""
    path = tmp_path / "record.json"
    if content is not None:
        path.write_bytes(content)
    done = pipeline.call("python", "run.py", MLFLOW_DVC_SNAPSHOT=str(path))
    assert done.returncode == 0
    assert f"MLFLOW_DVC_SNAPSHOT={path}: cannot be read" in done.stderr
    (run,) = runs()
    assert run.data.tags["git_sha"] == pipeline.git("rev-parse", "HEAD")


def test_paths_from_elsewhere(
    pipeline: Project, runs: Callable[[], list[Any]], attached: Any, tmp_path: Path
):
    """A file in a frozen record that would lie outside of ``dvc/`` is not attached."""
    path = tmp_path / "record.json"
    frozen = freeze(pipeline, path)
    frozen["files"] |= {"../evil": "x", "/evil": "x", "a/../../evil": "x"}
    path.write_text(json.dumps(frozen))
    pipeline.python("run.py", MLFLOW_DVC_SNAPSHOT=str(path))
    (run,) = runs()
    assert not [name for name in attached(run.info.run_id) if "evil" in name]
    assert not (tmp_path / "evil").exists()


SERVICES = [
    (
        {
            "GITHUB_SHA": SHA,
            "GITHUB_REF_NAME": "main",
            "GITHUB_REPOSITORY": "acme/churn",
            "GITHUB_SERVER_URL": "https://github.com",
        },
        ("GITHUB_SHA", "main", "https://github.com/acme/churn"),
    ),
    (
        {
            "CI_COMMIT_SHA": SHA,
            "CI_COMMIT_BRANCH": "dev",
            "CI_PROJECT_URL": "https://token:x@gitlab.com/a/b",
        },
        ("CI_COMMIT_SHA", "dev", "https://gitlab.com/a/b"),
    ),
    ({"BUILDKITE_COMMIT": SHA}, ("BUILDKITE_COMMIT", None, None)),
    ({"GITHUB_SHA": "no sha", "CIRCLE_SHA1": SHA.upper()}, ("CIRCLE_SHA1", None, None)),
]


@pytest.mark.parametrize(("variables", "expected"), SERVICES)
def test_service(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: tuple[str, ...]
):
    """Each service's variables are read, the source is named, and credentials are not."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = ci.commit_from_env()
    assert found is not None
    assert found.sha == SHA
    assert (found.source, found.branch, found.remote_url) == expected


@pytest.mark.parametrize("value", ["", "HEAD", "main", SHA[:7], f"--{SHA}", f"{SHA}x"])
def test_no_commit(monkeypatch: pytest.MonkeyPatch, value: str):
    """What is no full commit is not taken for one."""
    monkeypatch.setenv("GITHUB_SHA", value)
    assert ci.commit_from_env() is None


def test_run_without_git(image: Project, runs: Callable[[], list[Any]], attached: Any):
    """Where there is no repository, a run has the commit of the CI service, and says whose."""
    image.python("run.py", GITHUB_SHA=SHA, GITHUB_REF_NAME="main")
    (run,) = runs()
    assert (run.data.tags["git_sha"], run.data.tags["git_branch"]) == (SHA, "main")
    assert "git_dirty" not in run.data.tags
    snapshot = json.loads(attached(run.info.run_id)["snapshot.json"])
    assert snapshot["git"]["source"] == "GITHUB_SHA"


def test_git_comes_first(pipeline: Project, runs: Callable[[], list[Any]]):
    """Where there is a repository, its commit counts."""
    pipeline.python("run.py", GITHUB_SHA=SHA)
    assert [run.data.tags["git_sha"] for run in runs()] == [pipeline.git("rev-parse", "HEAD")]


def test_unreadable_repository(pipeline: Project):
    """Where the repository cannot be read, the service's commit stands in, and that is said."""
    pipeline.write(".git/HEAD", "nonsense")
    done = pipeline.call("python", "-m", "mlflow_dvc", "status", "--json", GITHUB_SHA=SHA)
    answer = json.loads(done.stdout)
    assert answer["git"]["sha"] == SHA
    assert any("HEAD" in warning for warning in answer["warnings"])
