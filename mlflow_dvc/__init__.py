"""Every MLflow run records which code and which DVC data it saw, and can be found by either.

Installing the package is all it takes: MLflow finds it by its entry points. This module holds the
Python API; a name is imported when it is first used, so that ``import mlflow_dvc`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_dvc._version import __version__ as __version__

if TYPE_CHECKING:
    from mlflow_dvc.capture.workspace import freeze as freeze
    from mlflow_dvc.capture.workspace import status as status
    from mlflow_dvc.dvc_backend.storage.directory_diff import FileChange as FileChange
    from mlflow_dvc.dvc_backend.storage.directory_diff import FileChanges as FileChanges
    from mlflow_dvc.dvc_backend.storage.unneeded import Needed as Needed
    from mlflow_dvc.dvc_backend.storage.unneeded import StoreContent as StoreContent
    from mlflow_dvc.dvc_backend.storage.unneeded import UnneededObject as UnneededObject
    from mlflow_dvc.errors import AmbiguousRunError as AmbiguousRunError
    from mlflow_dvc.errors import CommitLostError as CommitLostError
    from mlflow_dvc.errors import DataNotFoundError as DataNotFoundError
    from mlflow_dvc.errors import DvcUnavailableError as DvcUnavailableError
    from mlflow_dvc.errors import ExperimentNotFoundError as ExperimentNotFoundError
    from mlflow_dvc.errors import MlflowDvcError as MlflowDvcError
    from mlflow_dvc.errors import NoDvcProjectError as NoDvcProjectError
    from mlflow_dvc.errors import NoProjectError as NoProjectError
    from mlflow_dvc.errors import NothingRecordedError as NothingRecordedError
    from mlflow_dvc.errors import PolicyBrokenError as PolicyBrokenError
    from mlflow_dvc.errors import PolicyFileError as PolicyFileError
    from mlflow_dvc.errors import RunNotFoundError as RunNotFoundError
    from mlflow_dvc.errors import TargetExistsError as TargetExistsError
    from mlflow_dvc.errors import TrackingUnavailableError as TrackingUnavailableError
    from mlflow_dvc.errors import UnknownOriginError as UnknownOriginError
    from mlflow_dvc.errors import UnreadableRecordError as UnreadableRecordError
    from mlflow_dvc.errors import UntrackedPathError as UntrackedPathError
    from mlflow_dvc.git.history import Commit as Commit
    from mlflow_dvc.git.history import CommitRange as CommitRange
    from mlflow_dvc.recall.backfill import BackfillResult as BackfillResult
    from mlflow_dvc.recall.backfill import BackfillVerdict as BackfillVerdict
    from mlflow_dvc.recall.backfill import backfill as backfill
    from mlflow_dvc.recall.check import PolicyResult as PolicyResult
    from mlflow_dvc.recall.check import RuleResult as RuleResult
    from mlflow_dvc.recall.check import check as check
    from mlflow_dvc.recall.diff import ChangedValue as ChangedValue
    from mlflow_dvc.recall.diff import ComparedRun as ComparedRun
    from mlflow_dvc.recall.diff import Diff as Diff
    from mlflow_dvc.recall.diff import MetricChange as MetricChange
    from mlflow_dvc.recall.diff import diff as diff
    from mlflow_dvc.recall.diff.code import CodeDiff as CodeDiff
    from mlflow_dvc.recall.diff.data import DataChange as DataChange
    from mlflow_dvc.recall.diff.data import DataDiff as DataDiff
    from mlflow_dvc.recall.doctor import Finding as Finding
    from mlflow_dvc.recall.doctor import doctor as doctor
    from mlflow_dvc.recall.gc import GcPlan as GcPlan
    from mlflow_dvc.recall.gc import GcResult as GcResult
    from mlflow_dvc.recall.gc import gc as gc
    from mlflow_dvc.recall.gc.losses import Loss as Loss
    from mlflow_dvc.recall.lineage import Edge as Edge
    from mlflow_dvc.recall.lineage import Lineage as Lineage
    from mlflow_dvc.recall.lineage import Node as Node
    from mlflow_dvc.recall.lineage import lineage as lineage
    from mlflow_dvc.recall.pin import PinResult as PinResult
    from mlflow_dvc.recall.pin import pin as pin
    from mlflow_dvc.recall.reproduce import ReproduceResult as ReproduceResult
    from mlflow_dvc.recall.reproduce import reproduce as reproduce
    from mlflow_dvc.recall.reproduce.comparison import MetricPair as MetricPair
    from mlflow_dvc.recall.reproduce.comparison import OutputPair as OutputPair
    from mlflow_dvc.recall.restore import RestoreResult as RestoreResult
    from mlflow_dvc.recall.restore import restore as restore
    from mlflow_dvc.recall.search import Match as Match
    from mlflow_dvc.recall.search import SeenData as SeenData
    from mlflow_dvc.recall.search import search as search
    from mlflow_dvc.recall.show import RunRecord as RunRecord
    from mlflow_dvc.recall.show import show as show
    from mlflow_dvc.recall.sync import Difference as Difference
    from mlflow_dvc.recall.sync import SyncResult as SyncResult
    from mlflow_dvc.recall.sync import sync as sync
    from mlflow_dvc.recall.sync.result import SyncVerdict as SyncVerdict
    from mlflow_dvc.recall.verdict import Check as Check
    from mlflow_dvc.recall.verdict import Verdict as Verdict
    from mlflow_dvc.recall.verify import VerifyResult as VerifyResult
    from mlflow_dvc.recall.verify import verify as verify
    from mlflow_dvc.settings import disabled as disabled
    from mlflow_dvc.snapshot import DataEntry as DataEntry
    from mlflow_dvc.snapshot import DataRead as DataRead
    from mlflow_dvc.snapshot import GitState as GitState
    from mlflow_dvc.snapshot import Reads as Reads
    from mlflow_dvc.snapshot import Snapshot as Snapshot
    from mlflow_dvc.snapshot import StageNode as StageNode
    from mlflow_dvc.tracking.attached_record import RunPart as RunPart

# Where each public name lives; type checkers read the block above, a test holds the two equal.
_MODULES = {
    "AmbiguousRunError": "errors",
    "BackfillResult": "recall.backfill",
    "BackfillVerdict": "recall.backfill",
    "ChangedValue": "recall.diff",
    "Check": "recall.verdict",
    "CodeDiff": "recall.diff.code",
    "Commit": "git.history",
    "CommitLostError": "errors",
    "CommitRange": "git.history",
    "ComparedRun": "recall.diff",
    "DataChange": "recall.diff.data",
    "DataDiff": "recall.diff.data",
    "DataEntry": "snapshot",
    "DataNotFoundError": "errors",
    "DataRead": "snapshot",
    "Diff": "recall.diff",
    "Difference": "recall.sync",
    "DvcUnavailableError": "errors",
    "Edge": "recall.lineage",
    "ExperimentNotFoundError": "errors",
    "FileChange": "dvc_backend.storage.directory_diff",
    "FileChanges": "dvc_backend.storage.directory_diff",
    "Finding": "recall.doctor",
    "GcPlan": "recall.gc",
    "GcResult": "recall.gc",
    "GitState": "snapshot",
    "Lineage": "recall.lineage",
    "Loss": "recall.gc.losses",
    "Match": "recall.search",
    "MetricChange": "recall.diff",
    "MetricPair": "recall.reproduce.comparison",
    "MlflowDvcError": "errors",
    "Needed": "dvc_backend.storage.unneeded",
    "NoDvcProjectError": "errors",
    "NoProjectError": "errors",
    "Node": "recall.lineage",
    "NothingRecordedError": "errors",
    "OutputPair": "recall.reproduce.comparison",
    "PinResult": "recall.pin",
    "PolicyBrokenError": "errors",
    "PolicyFileError": "errors",
    "PolicyResult": "recall.check",
    "Reads": "snapshot",
    "ReproduceResult": "recall.reproduce",
    "RestoreResult": "recall.restore",
    "RuleResult": "recall.check",
    "RunNotFoundError": "errors",
    "RunPart": "tracking.attached_record",
    "RunRecord": "recall.show",
    "SeenData": "recall.search",
    "Snapshot": "snapshot",
    "StageNode": "snapshot",
    "StoreContent": "dvc_backend.storage.unneeded",
    "SyncResult": "recall.sync",
    "SyncVerdict": "recall.sync.result",
    "TargetExistsError": "errors",
    "TrackingUnavailableError": "errors",
    "UnknownOriginError": "errors",
    "UnneededObject": "dvc_backend.storage.unneeded",
    "UnreadableRecordError": "errors",
    "UntrackedPathError": "errors",
    "Verdict": "recall.verdict",
    "VerifyResult": "recall.verify",
    "backfill": "recall.backfill",
    "check": "recall.check",
    "diff": "recall.diff",
    "disabled": "settings",
    "doctor": "recall.doctor",
    "freeze": "capture.workspace",
    "gc": "recall.gc",
    "lineage": "recall.lineage",
    "pin": "recall.pin",
    "reproduce": "recall.reproduce",
    "restore": "recall.restore",
    "search": "recall.search",
    "show": "recall.show",
    "status": "capture.workspace",
    "sync": "recall.sync",
    "verify": "recall.verify",
}

__all__ = [*_MODULES, "__version__"]  # noqa: PLE0604 - every key of _MODULES is a str


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
