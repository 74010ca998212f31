"""Large stores of runs, as rows: MLflow itself would take hours to make them.

The runs of one project over the years: a few stages, data that changes now and then, and in each
run the tags, and the inputs, that a recorded run has.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

PATHS = (
    "data/raw.csv",
    "data/clean",
    "models/model.pkl",
    "reports/metrics.json",
    "data/labels.csv",
)
_BATCH = 5000
_START = 1_600_000_000_000


@dataclass(frozen=True)
class History:
    """So many runs; each ``shared``-th has seen ``common``, one has seen ``rare``."""

    runs: int
    shared: int = 100

    @property
    def common(self) -> str:
        return md5("common")

    @property
    def rare(self) -> str:
        return hash_of(self, self.runs // 2, 0)


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def hash_of(history: History, number: int, place: int) -> str:
    """Of what run ``number`` saw at the path in that ``place``."""
    if place == 0 and number % history.shared == 1:
        return history.common
    return md5(f"{number} {place}")


def fill(uri: str, history: History) -> str:
    """Add the runs to the store at ``uri``; the id of their experiment."""
    import mlflow
    from mlflow.store.tracking.dbmodels import models
    from sqlalchemy import create_engine, insert

    client = mlflow.MlflowClient(uri)
    experiment = client.create_experiment(f"history of {history.runs} runs")
    engine = create_engine(uri)
    for start in range(0, history.runs, _BATCH):
        numbers = range(start, min(start + _BATCH, history.runs))
        rows = [rows_of(history, number, experiment) for number in numbers]
        with engine.begin() as connection:
            for kind in (models.SqlRun, models.SqlTag, models.SqlDataset, models.SqlInput):
                connection.execute(
                    insert(kind), [row for one in rows for row in one[kind.__name__]]
                )
    return experiment


def rows_of(history: History, number: int, experiment: str) -> dict[str, list[dict[str, Any]]]:
    run_id = md5(f"run {history.runs} {number}")
    hashes = [hash_of(history, number, place) for place in range(len(PATHS))]
    datasets = list(datasets_of(run_id, hashes[:2], experiment))
    return {
        "SqlRun": [{
            "run_uuid": run_id, "name": f"run-{number}", "source_type": "LOCAL",
            "source_name": "train.py", "entry_point_name": "", "user_id": "ada",
            "status": "FINISHED", "start_time": _START + number * 1000,
            "end_time": _START + number * 1000 + 500, "deleted_time": None, "source_version": "",
            "lifecycle_stage": "active", "artifact_uri": f"/nowhere/{run_id}/artifacts",
            "experiment_id": int(experiment),
        }],
        "SqlTag": [
            {"key": key, "value": value, "run_uuid": run_id}
            for key, value in tags_of(number, hashes).items()
        ],
        "SqlDataset": datasets,
        "SqlInput": [
            {
                "input_uuid": str(uuid.uuid4()), "source_type": "DATASET",
                "source_id": one["dataset_uuid"], "destination_type": "RUN",
                "destination_id": run_id, "step": 0,
            }
            for one in datasets
        ],
    }  # fmt: skip


def tags_of(number: int, hashes: list[str]) -> dict[str, str]:
    return {
        "mlflow.user": "ada",
        "mlflow.source.name": "train.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.runName": f"run-{number}",
        "mlflow.source.git.commit": md5(f"commit {number // 10}") + "00000000",
        "git_sha": md5(f"commit {number // 10}") + "00000000",
        "git_branch": "main",
        "git_dirty": "false",
        "dvc.stage": "train",
        "dvc.seal": "confirmed",
        "dvc.lock": md5(f"lock {number}"),
        "dvc.data_status": "clean",
        "dvc.data_version": md5(f"version {number // 3}")[:12],
        "dvc.hashes": "".join(f" {value}" for value in hashes),
        **{f"dvc.out.{path}": value for path, value in zip(PATHS, hashes, strict=True)},
        f"dvc.dep.{PATHS[0]}": hashes[0],
    }


def datasets_of(run_id: str, hashes: list[str], experiment: str) -> Iterator[dict[str, Any]]:
    for path, value in zip(PATHS, hashes, strict=False):
        yield {
            "dataset_uuid": str(uuid.uuid4()), "experiment_id": int(experiment),
            # MLflow holds a dataset once; here each run has its own.
            "name": f"{path} {run_id}", "digest": value, "dataset_source_type": "dvc",
            "dataset_source": json.dumps({"path": path, "hash": value}),
            "dataset_schema": None, "dataset_profile": None,
        }  # fmt: skip
