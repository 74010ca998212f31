"""Every MLflow run records which code and which DVC data it saw, and can be found by either.

Installing the package is all it takes: MLflow finds it by its entry points. This module holds the
Python API; a name is imported when it is first used, so that ``import mlflow_dvc`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mlflow_dvc.capture.workspace import freeze as freeze
    from mlflow_dvc.capture.workspace import status as status
    from mlflow_dvc.errors import MlflowDvcError as MlflowDvcError
    from mlflow_dvc.recall.diff import Diff as Diff
    from mlflow_dvc.recall.diff import diff as diff
    from mlflow_dvc.recall.doctor import Finding as Finding
    from mlflow_dvc.recall.doctor import doctor as doctor
    from mlflow_dvc.recall.lineage import Edge as Edge
    from mlflow_dvc.recall.lineage import Lineage as Lineage
    from mlflow_dvc.recall.lineage import Node as Node
    from mlflow_dvc.recall.lineage import lineage as lineage
    from mlflow_dvc.recall.reproduce import Reproduced as Reproduced
    from mlflow_dvc.recall.reproduce import reproduce as reproduce
    from mlflow_dvc.recall.restore import Restored as Restored
    from mlflow_dvc.recall.restore import restore as restore
    from mlflow_dvc.recall.search import Match as Match
    from mlflow_dvc.recall.search import search as search
    from mlflow_dvc.recall.show import RunRecord as RunRecord
    from mlflow_dvc.recall.show import show as show
    from mlflow_dvc.recall.sync import Difference as Difference
    from mlflow_dvc.recall.sync import Synced as Synced
    from mlflow_dvc.recall.sync import sync as sync
    from mlflow_dvc.recall.verify import Verified as Verified
    from mlflow_dvc.recall.verify import verify as verify
    from mlflow_dvc.settings import disabled as disabled
    from mlflow_dvc.snapshot import DataEntry as DataEntry
    from mlflow_dvc.snapshot import GitState as GitState
    from mlflow_dvc.snapshot import Snapshot as Snapshot

_HOME = {
    "DataEntry": "snapshot",
    "Diff": "recall.diff",
    "Difference": "recall.sync",
    "Edge": "recall.lineage",
    "Finding": "recall.doctor",
    "GitState": "snapshot",
    "Lineage": "recall.lineage",
    "Match": "recall.search",
    "MlflowDvcError": "errors",
    "Node": "recall.lineage",
    "Reproduced": "recall.reproduce",
    "Restored": "recall.restore",
    "RunRecord": "recall.show",
    "Snapshot": "snapshot",
    "Synced": "recall.sync",
    "Verified": "recall.verify",
    "diff": "recall.diff",
    "disabled": "settings",
    "doctor": "recall.doctor",
    "freeze": "capture.workspace",
    "lineage": "recall.lineage",
    "reproduce": "recall.reproduce",
    "restore": "recall.restore",
    "search": "recall.search",
    "show": "recall.show",
    "status": "capture.workspace",
    "sync": "recall.sync",
    "verify": "recall.verify",
}

__all__ = [*_HOME, "__version__"]  # noqa: PLE0604 - every key of _HOME is a str


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
