"""What a policy asks of a run, rule by rule, and which run is behind a model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, few
from mlflow import MlflowClient

import mlflow_dvc
from mlflow_dvc.errors import PolicyFileError, UnknownOriginError
from mlflow_dvc.recall.check.origin import RegisteredFiles, find_run_id
from mlflow_dvc.recall.check.policy import find_policy

pytestmark = pytest.mark.hosts


def judged(run: Any, tmp_path: Path, text: str) -> dict[str, tuple[str, str]]:
    """Verdict and reason of each rule of a policy of that ``text``."""
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    found = mlflow_dvc.check(run.info.run_id, str(file))
    assert found.policy == str(file)
    return {one.rule: (one.verdict, one.reason) for one in found.rules}


RULES = [
    ("committed: true", "good", ("PASS", "commit")),
    ("committed: true", "dirty", ("FAIL", "code differed from the commit")),
    ("committed: true", "unrecorded", ("FAIL", "no git repository")),
    ("committed: true", "by_hand", ("PASS", "commit")),
    ("committed: true", "inline", ("UNVERIFIED", "no file of the repository")),
    ("pushed: [commit, data]", "good", ("PASS", "")),
    ("pushed: [commit]", "unpushed", ("FAIL", "origin")),
    ("pushed: [data]", "unpushed", ("FAIL", "on no remote")),
    ("clean: true", "good", ("PASS", "")),
    ("clean: true", "modified", ("FAIL", "modified: data/prepared.csv")),
    ("clean: true", "unrecorded", ("UNVERIFIED", "not compared")),
    ("sealed: true", "good", ("PASS", "provisional")),
    ("sealed: confirmed", "good", ("FAIL", "its seal is provisional, not confirmed")),
    ("sealed: provisional", "by_hand", ("FAIL", "DVC ran it in no stage")),
    ("verified: true", "good", ("PASS", "")),
    ("verified: true", "modified", ("FAIL", "data/prepared.csv")),
    ("verified: true", "unrecorded", ("UNVERIFIED", "no record")),
    ("lineage_reaches_raw_data: true", "good", ("PASS", "")),
    ("lineage_reaches_raw_data: true", "modified", ("UNVERIFIED", "data/prepared.csv")),
    ("metrics: {accuracy: '>= 0.8'}", "good", ("PASS", "accuracy is 0.9")),
    ("metrics: {accuracy: ['>= 0.8', '< 0.9']}", "good", ("FAIL", "accuracy is 0.9, not < 0.9")),
    ("metrics: {precision: '>= 0.8'}", "good", ("UNVERIFIED", "no metric precision")),
    ("metrics: {loss: '< 1'}", "good", ("FAIL", "loss is nan")),
]


@pytest.mark.parametrize(("text", "name", "expected"), RULES)
def test_rule(
    named: Callable[[str], Any], tmp_path: Path, text: str, name: str, expected: tuple[str, str]
):
    """Each rule is met, is broken, or is left open, with the reason in words."""
    [(rule, (verdict, reason))] = judged(named(name), tmp_path, text).items()
    assert rule == text.partition(":")[0]
    assert verdict == expected[0], reason
    assert expected[1] in reason


def test_undeclared_reads(named: Callable[[str], Any], tmp_path: Path):
    """What the stage does not declare breaks the rule; what was not observed in full is open."""
    text = "no_undeclared_reads: true"
    found = judged(named("curious"), tmp_path, text)["no_undeclared_reads"]
    assert found == ("FAIL", "read, and not declared: data/raw.csv")
    how = named("good").data.tags["dvc.reads"]
    [(verdict, reason)] = judged(named("good"), tmp_path, text).values()
    assert verdict == ("PASS" if how == "observed" else "UNVERIFIED"), (how, reason)
    [(verdict, _)] = judged(named("by_hand"), tmp_path, text).values()
    assert verdict != "FAIL"
    [(verdict, _)] = judged(named("unrecorded"), tmp_path, text).values()
    assert verdict == "UNVERIFIED"


def test_remote_gone(named: Callable[[str], Any], tmp_path: Path, policy_project: Project):
    """A git remote that does not answer leaves `pushed` open; the cache alone is no remote."""
    copy = Project(tmp_path / "copy", policy_project.env)
    shutil.copytree(policy_project.root, copy.root, symlinks=True)
    copy.git("remote", "set-url", "origin", str(tmp_path / "nowpolicy_project.git"))
    copy.dvc("remote", "modify", "store", "url", str(tmp_path / "empty"))
    (tmp_path / "policy.yaml").write_text("pushed: [commit]")
    run_id = named("good").info.run_id
    found = mlflow_dvc.check(run_id, str(tmp_path / "policy.yaml"), project=str(copy.root))
    # The record names the remote too, by an address that answers.
    assert found.verdict == "PASS", found
    (tmp_path / "policy.yaml").write_text("pushed: [data]")
    moved = mlflow_dvc.check(run_id, str(tmp_path / "policy.yaml"), project=str(copy.root))
    assert moved.verdict == "PASS", "the run's commit names the remote that has it"


@pytest.mark.parametrize(
    ("name", "code"),
    few(("good", 0), of=[("good", 0), ("dirty", 1), ("unpushed", 1), ("unrecorded", 3)]),
)
def test_command(policy_project: Project, named: Callable[[str], Any], name: str, code: int):
    """The default policy on the command line: 0 met, 1 broken, 3 no record; as JSON too."""
    run_id = named(name).info.run_id
    done = policy_project.cli("check", run_id, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert (said["policy"], said["run_id"]) == ("default", run_id)
    assert [one["rule"] for one in said["rules"]] == ["committed", "pushed", "clean", "verified"]
    text = policy_project.cli("check", run_id)
    assert text.returncode == code
    assert all(one["reason"].split(":")[0][:20] in text.stdout for one in said["rules"])


def test_open_rule(policy_project: Project, named: Callable[[str], Any], tmp_path: Path):
    """A rule that could not be judged makes the command exit with 2; a policy from the setting."""
    (tmp_path / "policy.yaml").write_text("metrics: {precision: '> 0'}")
    file = str(tmp_path / "policy.yaml")
    done = policy_project.cli("check", named("good").info.run_id, MLFLOW_DVC_POLICY=file)
    assert done.returncode == 2
    assert "it has no metric precision" in done.stdout


FAULTS = [
    ("commited: true", "no rule is called 'commited' (is it 'committed'?)"),
    ("committed: maybe", "committed is true or false, not 'maybe'"),
    ("committed: true\ncommitted: false", "committed"),
    ("committed: null", "committed is true or false, not None"),
    ("pushed: []", "pushed is [commit], [data] or [commit, data], not []"),
    ("pushed: [code]", "not ['code']"),
    ("pushed: {commit: true}", "pushed is"),
    ("sealed: maybe", "sealed is provisional or confirmed, not 'maybe'"),
    ("metrics: {accuracy: 0.8}", "the limit of the metric accuracy is like '>= 0.8', not 0.8"),
    ("metrics: {accuracy: '>= nan'}", "not '>= nan'"),
    ("metrics: {accuracy: '= 1'}", "not '= 1'"),
    ("metrics: []", "metrics has a limit for each metric"),
    ("clean: false", "it asks for nothing"),
    ("", "it has no rules"),
    ("- committed", "it has no rules"),
    ("1: true", "no rule is called 1"),
    ("committed: [", ""),
    ("a: &a [1]\nb: *a", "no rule is called 'a'"),
]


@pytest.mark.parametrize(("text", "reason"), FAULTS)
def test_faulty_policy(tmp_path: Path, text: str, reason: str):
    """What is no policy is refused with its file, what is wrong, and what it may be."""
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    with pytest.raises(PolicyFileError) as raised:
        find_policy(str(file))
    assert str(file) in raised.value.problem
    assert reason in raised.value.problem
    if "rule is called" in raised.value.problem:
        assert "committed, pushed, clean, sealed, verified" in raised.value.remedy


def test_no_policy_file(policy_project: Project):
    """A policy that is not there, or a folder, is an error of the command, exit code 2."""
    for name in ("gone.yaml", "src"):
        done = policy_project.cli("check", "0", "--policy", name)
        assert done.returncode == 2
        assert f"the policy {name} is none: it cannot be read" in done.stderr


@pytest.fixture
def registry(named: Callable[[str], Any]) -> Any:
    """A client of the registry, which has one model without versions."""

    client = MlflowClient()
    client.create_registered_model("churn")
    return client


def version_of(client: Any, source: str, run_id: str | None = None) -> str:
    return f"models:/churn/{client.create_model_version('churn', source, run_id).version}"


def test_files_decide(registry: Any, named: Callable[[str], Any]):
    """A version is of the run that has its files; one that only names a good run is refused."""
    good, dirty = named("good").info, named("dirty").info
    model = version_of(registry, f"{good.artifact_uri}/model", good.run_id)
    assert mlflow_dvc.check(model).run_id == good.run_id
    forged = version_of(registry, f"{dirty.artifact_uri}/model", good.run_id)
    with pytest.raises(UnknownOriginError, match=f"no artifact of run {good.run_id}"):
        mlflow_dvc.check(forged)
    for source in (
        f"{good.artifact_uri}/../../{dirty.run_id}/artifacts/model",
        f"{good.artifact_uri}/%2e%2e/%2e%2e/{dirty.run_id}/artifacts/model",
        f"{good.artifact_uri}/%252e%252e/model",
        f"{good.artifact_uri}-other/model",
        f"{good.artifact_uri}/model?x=../..",
        "s3://bucket/model",
    ):
        version = version_of(registry, source, good.run_id)
        with pytest.raises(UnknownOriginError):
            mlflow_dvc.check(version)
    for source in ("models:/churn@champion", "models:/churn/99", "models:/m-0123456789abcdef"):
        with pytest.raises(UnknownOriginError):
            find_run_id(RegisteredFiles(source, good.run_id))
    copy = version_of(registry, model, good.run_id)
    assert mlflow_dvc.check(copy).run_id == good.run_id
    with pytest.raises(UnknownOriginError):
        mlflow_dvc.check(version_of(registry, forged, good.run_id))
    inner = f"{good.artifact_uri}/{dirty.run_id}/artifacts/model"  # of an experiment put there
    with pytest.raises(UnknownOriginError, match="no artifact of run"):
        mlflow_dvc.check(version_of(registry, inner, good.run_id))
    with pytest.raises(UnknownOriginError, match="no run is named"):
        mlflow_dvc.check(version_of(registry, f"{good.artifact_uri}/model"))


def test_copy_of_a_name_that_moved(registry: Any, named: Callable[[str], Any]):
    """A copy is of the run whose files it has, whatever its original is called today."""
    good, dirty = named("good").info, named("dirty").info
    for name, run in (("a@b", good), ("b", dirty)):
        registry.create_registered_model(name)
        registry.create_model_version(name, f"{run.artifact_uri}/model", run.run_id)
    copy = version_of(registry, "models:/a@b/1")
    for old, new in (("a@b", "c"), ("b", "a@b")):
        registry.rename_registered_model(old, new)
    assert registry.get_model_version("churn", copy.rpartition("/")[2]).source == "models:/a@b/1"
    with pytest.raises(UnknownOriginError, match="no run is named"):
        mlflow_dvc.check(copy)
    copy = version_of(registry, "models:/c/1", good.run_id)
    registry.rename_registered_model("c", "d")
    assert mlflow_dvc.check(copy).run_id == good.run_id
    registry.delete_registered_model("d")
    assert mlflow_dvc.check(copy).run_id == good.run_id


@pytest.mark.parametrize(
    "source",
    ["models:/m-0123?/1", "models:/b\tad/1", " models:/bad/1", "models:/a%2Fb/1", "runs:/x#y/z"],
)
def test_odd_addresses(source: str, tracking_uri: str):
    """An address that MLflow would read as another one is of no run that is known."""
    with pytest.raises(UnknownOriginError):
        find_run_id(RegisteredFiles(source))


def test_prompts_have_no_run():
    """What names a run or a model is no prompt, whatever its source is called."""
    assert RegisteredFiles("dummy-source").is_prompt
    assert not RegisteredFiles("dummy-source", run_id="0" * 32).is_prompt
    assert not RegisteredFiles("dummy-source", model_id="m-0").is_prompt


def test_a_run_that_has_not_ended(named: Callable[[str], Any]):
    """No rule is met by a run that goes on, as all of it may change, nor by one that is deleted."""
    run = named("good")
    client = MlflowClient()
    client.update_run(run.info.run_id, status="RUNNING")
    found = mlflow_dvc.check(run.info.run_id, "default")
    assert {one.verdict for one in found.rules} <= {"UNVERIFIED", "FAIL"}
    client.update_run(run.info.run_id, status="FINISHED")
    client.delete_run(run.info.run_id)
    try:
        assert mlflow_dvc.check(run.info.run_id, "default").verdict == "UNVERIFIED"
    finally:
        client.restore_run(run.info.run_id)
