"""The gate of the client: what the policy refuses never reaches the server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import PYTHON, Project
from mlflow.tracking._model_registry.client import ModelRegistryClient

from mlflow_dvc.errors import PolicyBrokenError
from mlflow_dvc.gate import client as gate

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.filterwarnings("ignore:.*stage:FutureWarning"),  # stages are old, and still there
]

POLICY = "committed: true\nclean: true\nmetrics: {accuracy: '>= 0.8'}\n"


@pytest.fixture
def gated(
    policy_project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[mlflow.MlflowClient]:
    """The gate is up in this process, with a quick policy."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    mlflow.set_tracking_uri(policy_project.env["MLFLOW_TRACKING_URI"])
    monkeypatch.setenv("MLFLOW_DVC_POLICY", str(tmp_path / "policy.yaml"))
    gate.install()
    yield mlflow.MlflowClient()
    gate.uninstall()
    mlflow.set_tracking_uri(None)


def ungated(monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> Any:
    """What was done before the policy was set."""
    with monkeypatch.context() as patch:
        patch.delenv("MLFLOW_DVC_POLICY")
        return work()


@pytest.mark.hosts
def test_good_run(gated: mlflow.MlflowClient, named: Callable[[str], Any]):
    """A run that meets the policy is registered, copied, and gets aliases and stages."""
    run = named("good").info
    made = mlflow.register_model(f"runs:/{run.run_id}/model", "churn")
    assert made.run_id == run.run_id
    gated.set_registered_model_alias("churn", "champion", made.version)
    copied = gated.copy_model_version("models:/churn/1", "other")
    assert copied.run_id == run.run_id
    gated.transition_model_version_stage("churn", made.version, "Production")
    assert gated.get_model_version_by_alias("churn", "champion").version == made.version


@pytest.mark.hosts
def test_broken_rule(gated: mlflow.MlflowClient, named: Callable[[str], Any]):
    """A run that breaks a rule leaves nothing in the registry; the error names rule and remedy."""
    run = named("dirty").info
    with pytest.raises(PolicyBrokenError) as raised:
        mlflow.register_model(f"runs:/{run.run_id}/model", "churn")
    assert raised.value.rules == ("committed",)
    assert "committed is not met (code differed from the commit" in str(raised.value)
    assert "committed: commit the code, and run it again" in raised.value.remedy
    assert gated.search_registered_models() == []


def test_forged_run(gated: mlflow.MlflowClient, named: Callable[[str], Any]):
    """Files of one run are not registered in the name of another."""
    gated.create_registered_model("churn")
    source = f"{named('dirty').info.artifact_uri}/model"
    with pytest.raises(PolicyBrokenError, match="no artifact of run"):
        gated.create_model_version("churn", source, named("good").info.run_id)
    with pytest.raises(PolicyBrokenError, match="no run is named"):
        gated.create_model_version("churn", source)
    assert gated.search_model_versions("name = 'churn'") == []


def test_version_from_before(
    gated: mlflow.MlflowClient, named: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
):
    """A version of before is judged anew: no alias, no copy and no stage, but it may leave one."""
    run = named("dirty").info
    made = ungated(monkeypatch, lambda: mlflow.register_model(f"runs:/{run.run_id}/model", "churn"))
    refused: list[Callable[[], Any]] = [
        lambda: gated.set_registered_model_alias("churn", "champion", made.version),
        lambda: gated.copy_model_version("models:/churn/1", "other"),
        lambda: gated.transition_model_version_stage("churn", made.version, " production "),
    ]
    for work in refused:
        with pytest.raises(PolicyBrokenError, match="committed"):
            work()
    gated.transition_model_version_stage("churn", made.version, "Archived")
    version = gated.get_model_version("churn", made.version)
    assert (version.current_stage, list(version.aliases)) == ("Archived", [])
    assert [one.name for one in gated.search_registered_models()] == ["churn"]


def test_run_goes_on(gated: mlflow.MlflowClient, tmp_path: Path):
    """A run that has not ended is refused, and the error says when to come back."""
    with mlflow.start_run() as run:
        mlflow.log_text("a model", "model/MLmodel")
        with pytest.raises(PolicyBrokenError, match="The run has not ended"):
            mlflow.register_model(f"runs:/{run.info.run_id}/model", "churn")


@pytest.mark.parametrize("text", ["commited: true", None])
def test_policy_that_cannot_be_judged(
    gated: mlflow.MlflowClient, named: Callable[[str], Any], tmp_path: Path, text: str | None
):
    """An unknown rule, or a file that is not there, refuses even the best run, and says why."""
    (tmp_path / "policy.yaml").unlink()
    if text:
        (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(PolicyBrokenError, match=r"policy\.yaml is none") as raised:
        mlflow.register_model(f"runs:/{named('good').info.run_id}/model", "churn")
    assert "commited" in str(raised.value) if text else "No such file" in str(raised.value)


def test_prompts_pass(gated: mlflow.MlflowClient):
    """A prompt, which has no files and no run, is none of the policy's business."""
    if not hasattr(mlflow, "genai") or not hasattr(mlflow.genai, "register_prompt"):
        pytest.skip("this MLflow has no prompts")
    made = mlflow.genai.register_prompt("greeting", "Hello {{name}}")
    mlflow.genai.set_prompt_alias("greeting", alias="live", version=made.version)
    assert mlflow.genai.load_prompt("prompts:/greeting@live").version == made.version


def test_taken_down(gated: mlflow.MlflowClient):
    """MLflow's own methods are back when the gate is down."""
    names = ["create_model_version", "set_registered_model_alias", "copy_model_version"]
    assert all(hasattr(getattr(ModelRegistryClient, name), "__wrapped__") for name in names)
    gate.uninstall()
    ours = [vars(ModelRegistryClient)[name].__name__ for name in names]
    assert "mlflow_dvc_wrapper" not in ours
    assert not gate._methods


PROGRAM = """\
import sys
import mlflow
from mlflow.tracking._model_registry.client import ModelRegistryClient

if sys.argv[1:]:
    mlflow.register_model(sys.argv[1], "churn")
print("recall" in "".join(name for name in sys.modules if "mlflow_dvc" in name))
print(type(ModelRegistryClient.copy_model_version).__name__,
      ModelRegistryClient.copy_model_version.__code__.co_filename)
"""


@pytest.mark.fresh
def test_program(policy_project: Project, named: Callable[[str], Any], tmp_path: Path):
    """In a program the setting alone puts the gate up; without it nothing is wrapped or loaded."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)

    def call(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PYTHON, str(script), *words], env=os.environ | env, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    free = call()
    assert free.stdout.splitlines()[0] == "False", free.stderr
    assert "mlflow_dvc" not in free.stdout
    model = f"runs:/{named('dirty').info.run_id}/model"
    done = call(model, MLFLOW_DVC_POLICY="default")
    assert done.returncode == 1
    assert "PolicyBrokenError: registering runs:/" in done.stderr
    gone = call(model, MLFLOW_DVC_POLICY="default", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert "PolicyBrokenError" in gone.stderr
    assert "could not be asked" in gone.stderr
