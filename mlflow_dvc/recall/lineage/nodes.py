"""The nodes of the graph, each with a key that is the same wherever it is met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.recall.lineage.graph import Node
from mlflow_dvc.snapshot import DataEntry, GitState
from mlflow_dvc.tracking.runs import iso_time

if TYPE_CHECKING:
    from mlflow.entities import Run

    from mlflow_dvc.recall.lineage.run_evidence import RunEvidence

UNKNOWN = "its hash is not known"


class Experiments:
    """Their names, each asked for once."""

    def __init__(self, tracking_uri: str | None) -> None:
        self._uri = tracking_uri
        self._names: dict[str, str] = {}

    def name(self, key: str) -> str:
        if key not in self._names:
            self._names |= tracking.experiment_names({key}, self._uri)
        return self._names[key]


def run_key(run_id: str) -> str:
    return f"run {run_id}"


def data_key(path: str, hash_: str) -> str:
    return f"data {path}@{hash_}"


def model_key(model_id: str) -> str:
    return f"logged model {model_id}"


def of_run(run: Run, experiments: Experiments) -> Node:
    tags = run.data.tags
    facts = {
        "experiment": experiments.name(run.info.experiment_id),
        "started": iso_time(run.info.start_time),
        "status": str(run.info.status),
        "stage": tags.get(tag.STAGE) or tags.get(tag.SCRIPT_STAGE),
        "data_version": tags.get(tag.DATA_VERSION),
        "seal": tags.get(tag.SEAL),
        "reconstructed": tags.get(tag.RECONSTRUCTED),
    }
    run_id = run.info.run_id
    return Node(run_key(run_id), "run", run.info.run_name or "", run_id, _told(facts))


def of_code(git: GitState) -> Node:
    facts = {
        "branch": git.branch,
        "describe": git.describe,
        "dirty": git.dirty,
        "remote_url": git.remote_url,
    }
    key = f"code {git.sha} {git.branch} {git.changes if git.dirty else git.dirty}"
    name = str(git.describe or git.branch or "detached HEAD")
    return Node(key, "code", name, str(git.sha), _told(facts))


def of_stage(address: str, execution: str) -> Node:
    """``execution`` tells one time that the stage ran from others."""
    return Node(f"stage {address} {execution}", "stage", address)


def of_data(entry: DataEntry, evidence: RunEvidence) -> Node:
    """A node of data; if its hash is not a fact, the node belongs to this run only."""
    facts = {"size": entry.size, "nfiles": entry.nfiles}
    if entry.state in ("modified", "missing"):
        facts["state"] = entry.state  # type: ignore[assignment]
    if entry.stage and evidence.data.get(entry.path) == entry and entry.stage.endswith(".dvc"):
        facts["tracked_by"] = entry.stage  # type: ignore[assignment]
    if entry.is_fact and entry.hash:
        key = data_key(entry.path, entry.hash)
        return Node(key, "data", entry.path, entry.hash, _told(facts))
    key = f"data {entry.path} of run {evidence.run.info.run_id}"
    return Node(key, "data", entry.path, None, _told({"claimed": entry.hash}))


def of_file(path: str, md5: str) -> Node:
    """One that lies in a folder, told by the folder's listing."""
    return Node(data_key(path, md5), "data", path, md5)


def of_source(source: str) -> Node:
    return Node(f"source {source}", "source", source)


def of_logged_model(model: tracking.LoggedModel) -> Node:
    return Node(model_key(model.model_id), "logged model", model.name, model.model_id)


def of_version(version: tracking.ModelVersion) -> Node:
    name = f"models:/{version.name}/{version.version}"
    facts = {"aliases": list(version.aliases) or None}
    return Node(f"model version {name}", "model version", name, None, _told(facts))


def _told(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}
