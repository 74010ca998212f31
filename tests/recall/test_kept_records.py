"""Records of other versions: those of earlier ones are read, those of later ones not believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import Project

import mlflow_dvc
from mlflow_dvc.snapshot import SNAPSHOT_SCHEMA

RECORDS = Path(__file__).parents[1] / "records"
LATER = SNAPSHOT_SCHEMA + 1
SAID = f"a newer mlflow-dvc wrote it, by schema {LATER}; this one knows {SNAPSHOT_SCHEMA}"


def log(project: Project, folder: Path, change: Callable[[Any], None] = lambda raw: None) -> str:
    """A run with a kept record, of which ``change`` gets the content of snapshot.json."""
    client = mlflow.MlflowClient()
    tags = json.loads((folder / "tags.json").read_text())
    experiment = mlflow.get_experiment_by_name("tests")
    with mlflow_dvc.disabled():
        run = client.create_run(experiment.experiment_id, tags=tags)
        copied = project.root.parent / "copied"
        for path in (folder / "dvc").rglob("*"):
            target = copied / path.relative_to(folder / "dvc")
            if path.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        raw = json.loads((copied / "snapshot.json").read_text())
        change(raw)
        (copied / "snapshot.json").write_text(json.dumps(raw))
        client.log_artifacts(run.info.run_id, str(copied), "dvc")
        client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def record_check(run_id: str, project: Project) -> tuple[str, str]:
    """The verdict on the record itself, and the reason."""
    [result] = mlflow_dvc.verify(run_id, project=str(project.root))
    [check] = [one for one in result.items if one.part == "record"]
    assert result.verdict != "PASS" or check.verdict == "PASS"
    return check.verdict, check.reason


def test_every_schema_is_kept():
    """Of each schema that was ever written a record is kept."""
    assert {path.name for path in RECORDS.glob("schema-*")} == {
        f"schema-{number}" for number in range(1, SNAPSHOT_SCHEMA + 1)
    }


@pytest.mark.parametrize("folder", sorted(RECORDS.glob("schema-*")), ids=lambda path: path.name)
def test_kept_record(folder: Path, pipeline: Project):
    """A record of an earlier version is read with all that stands in it, and agrees with itself."""
    run_id = log(pipeline, folder)
    record = mlflow_dvc.show(run_id)
    tags = json.loads((folder / "tags.json").read_text())
    snapshot = record.snapshot
    assert snapshot.git is not None
    assert snapshot.git.sha == tags["git_sha"]
    assert snapshot.stage == tags["dvc.stage"] == "train"
    assert snapshot.data_version == tags["dvc.data_version"]
    hashes = {
        f"dvc.out.{one.path}": one.hash for one in snapshot.data if one.cached and one.is_fact
    }
    assert hashes
    assert hashes.items() <= tags.items()
    assert {one.path for one in snapshot.deps} >= {"data/prepared.csv"}
    assert not snapshot.warnings
    assert record_check(run_id, pipeline) == ("PASS", "")
    found = mlflow_dvc.search(tags["dvc.dep.data/prepared.csv"])
    assert run_id in {one.run_id for one in found}


def with_new_fields(raw: Any) -> None:
    raw["schema"] = LATER
    raw["weather"] = {"sky": "blue"}
    raw["data"][0]["colour"] = "green"


def with_a_changed_part(raw: Any) -> None:
    raw["schema"] = LATER
    raw["data"] = {one["path"]: one for one in raw["data"]}


@pytest.mark.parametrize("change", [with_new_fields, with_a_changed_part])
def test_later_schema(change: Callable[[Any], None], pipeline: Project):
    """A record of a later schema is told as far as it is known, by the tags where it is not read at
    all; that a newer version wrote it is said, nothing is called verified, and nothing written."""
    run_id = log(pipeline, RECORDS / f"schema-{SNAPSHOT_SCHEMA}", change)
    snapshot = mlflow_dvc.show(run_id).snapshot
    tags = json.loads((RECORDS / f"schema-{SNAPSHOT_SCHEMA}/tags.json").read_text())
    assert snapshot.git is not None
    assert snapshot.git.sha == tags["git_sha"]
    assert {one.path: one.hash for one in snapshot.data}["models/model.txt"] == tags[
        "dvc.out.models/model.txt"
    ]
    assert any(SAID in line for line in snapshot.warnings)
    assert SAID in pipeline.cli("show", run_id).stderr
    verdict, reason = record_check(run_id, pipeline)
    assert verdict == "UNVERIFIED"
    assert SAID in reason
    before = mlflow.artifacts.load_text(f"runs:/{run_id}/dvc/snapshot.json")
    pipeline.cli("sync", run_id)
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/dvc/snapshot.json") == before
