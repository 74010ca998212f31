"""Run a run again: restore it, run its stage by DVC, compare the metrics."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.capture.claims import checkout_id
from mlflow_dvc.dvc_backend.stage_command import StageCommand, stage_command
from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.recall.locate import locate_project
from mlflow_dvc.recall.reproduce.comparison import (
    MetricPair,
    OutputPair,
    compare_metrics,
    compare_outputs,
)
from mlflow_dvc.recall.reproduce.provenance import Provenance, read_provenance
from mlflow_dvc.recall.restore import RestoreResult, restore_record
from mlflow_dvc.recall.stored_record import StoredRecord, load_record
from mlflow_dvc.recall.verdict import Check

if TYPE_CHECKING:
    from mlflow.entities import Run

_CONTEXT = "MLFLOW_RUN_CONTEXT"  # tags for every run that MLflow starts, as JSON
_STDERR = 2
_MAX_FAULTS = 20
_NOT_INHERITED = (
    "MLFLOW_RUN", "MLFLOW_EXPERIMENT", "MLFLOW_DVC_SNAPSHOT", "MLFLOW_DVC_ROOT",
    "MLFLOW_DVC_ENABLED", "DVC_", "GIT_",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A restored run, and what DVC would run there. Nothing has been executed yet."""

    run: StoredRecord
    restored: RestoreResult
    dvc_root: str
    stage: str
    command: StageCommand
    provenance: Provenance


@dataclass(frozen=True)
class ReproduceResult:
    """A run and its reproduction.

    ``new_run_id`` is the run that was logged, ``directory`` the absolute path of the tree in which
    it ran. ``metrics`` and ``outputs`` are pairs of then and now.
    """

    run_id: str
    new_run_id: str
    stage: str
    directory: str
    metrics: tuple[MetricPair, ...]
    outputs: tuple[OutputPair, ...]

    @property
    def is_equal(self) -> bool:
        """Whether every metric is; outputs may differ by a time stamp within."""
        return all(metric.is_equal for metric in self.metrics)


def reproduce(
    run: str,
    to: str | None = None,
    *,
    at: str | None = None,
    project: str | None = None,
    tracking_uri: str | None = None,
) -> ReproduceResult:
    """Restore a run and run its stage again, which executes the code of that run.

    The arguments are those of :func:`~mlflow_dvc.restore`. The new run goes to the same experiment,
    and its tag ``dvc.reproduces`` names the old one.

    Raises :class:`~mlflow_dvc.MlflowDvcError` where the run was of no stage, cannot be restored as
    it was, or fails.

    >>> [(pair.name, pair.before, pair.after) for pair in mlflow_dvc.reproduce("907167c9").metrics]
    [('accuracy', 0.96, 0.96)]
    """
    return execute(plan(run, to, at=at, project=project, tracking_uri=tracking_uri), tracking_uri)


def plan(
    run: str,
    to: str | None = None,
    *,
    at: str | None = None,
    project: str | None = None,
    tracking_uri: str | None = None,
) -> Plan:
    """All of it but the running."""
    record = load_record(run, tracking_uri)
    stage = record.stage
    if stage is None:
        raise MlflowDvcError(
            f"run {record.run_id} was of no stage of dvc.yaml, so that nothing tells how to run it",
            f"`mlflow-dvc restore {record.run_id}`, and run it there by hand",
        )
    location = locate_project(record, project, at=at)
    found = restore_record(record, location, to, at=at, outputs=False)
    faults = [item for item in found.items if _forbids(item, at)]
    if faults:
        named = [f"  {item.part} {item.name}: {item.reason}" for item in faults[:_MAX_FAULTS]]
        if (more := len(faults) - len(named)) > 0:
            named.append(f"  and {more} more")
        lines = "\n".join(named)
        raise MlflowDvcError(
            f"what was restored in {found.directory} is not what the run saw:\n{lines}\n",
            "`mlflow-dvc verify` tells what is lost for good",
        )
    dvc_root = os.path.normpath(os.path.join(found.directory, record.snapshot.root or "."))
    command = stage_command(dvc_root, stage)
    if isinstance(command, str):
        raise MlflowDvcError(f"DVC knows no stage {stage!r} in {dvc_root}: {command}")
    _refuse_outside(command, found.directory)
    provenance = read_provenance(record, location, found, tracking_uri)
    return Plan(record, found, dvc_root, stage, command, provenance)


def _refuse_outside(command: StageCommand, tree: str) -> None:
    """DVC removes the outputs of a stage before it runs, wherever they are."""
    location = os.path.join(os.path.realpath(tree), "")
    for path in (command.directory, *command.outs):
        if not os.path.join(os.path.realpath(path), "").startswith(location):
            raise MlflowDvcError(
                f"the stage works outside of {tree}: {path}",
                "Nothing was run; see its dvc.yaml there",
            )


def _forbids(item: Check, at: str | None) -> bool:
    """A lock is written anew; another commit was asked for."""
    if item.verdict == "TAMPERED":
        return True
    return item.verdict == "FAIL" and item.part != "lock" and not (item.part == "commit" and at)


def execute(plan: Plan, tracking_uri: str | None = None) -> ReproduceResult:
    """Run the stage. What it prints goes to stderr."""
    begun = time.time()
    words = ("repro", "--single-item", "--force", "--", plan.stage)
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        cwd=plan.dvc_root,
        env=_environment(plan, tracking.uri(tracking_uri)),
        stdin=subprocess.DEVNULL,
        stdout=_STDERR,
        check=False,
    )
    if done.returncode:
        raise MlflowDvcError(
            f"`dvc {' '.join(words)}` failed in {plan.dvc_root} (exit code {done.returncode})",
            "What it printed says why",
        )
    new = _new_run(plan, begun, tracking_uri)
    return ReproduceResult(
        plan.run.run_id,
        new.info.run_id,
        plan.stage,
        plan.restored.directory,
        tuple(compare_metrics(plan.run.run, new)),
        tuple(compare_outputs(plan.run, new, tracking_uri)),
    )


def _environment(plan: Plan, tracking_uri: str) -> Mapping[str, str]:
    """This process's, less what is of another run, and where to log to."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)
    }
    if shutil.which("dvc", path=kept.get("PATH")) is None:  # not where stages are run by hand
        kept["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), kept.get("PATH", "")])
    context = json.loads(os.environ.get(_CONTEXT) or "{}") | {tag.REPRODUCES: plan.run.run_id}
    return kept | {
        _CONTEXT: json.dumps(context),
        "MLFLOW_TRACKING_URI": tracking.absolute_uri(tracking_uri),
        "MLFLOW_EXPERIMENT_ID": plan.run.run.info.experiment_id,
    }


def _new_run(plan: Plan, begun: float, tracking_uri: str | None) -> Run:
    """Of several, the one that is most like the old one."""
    mine = plan.run.run_id
    since = f"attributes.start_time >= {int(begun * 1000)} AND"
    runs = list(tracking.find_runs(f"{since} tags.`{tag.REPRODUCES}` = '{mine}'", tracking_uri))
    if not runs and "'" not in plan.stage:
        # A client that makes runs by itself, as Lightning's logger does, is not asked for tags.
        query = f"{since} tags.`{tag.STAGE}` = '{plan.stage}'"
        here = checkout_id(plan.dvc_root)
        found = tracking.find_runs(query, tracking_uri)
        runs = [r for r in found if tracking.load_snapshot(r, tracking_uri).workspace == here]
        for run in runs:
            said = {tag.REPRODUCES: mine}
            tracking.set_run_tags(tracking.uri(tracking_uri), run.info.run_id, said)
    if not runs:
        raise MlflowDvcError(
            f"the stage {plan.stage} has run in {plan.dvc_root}, but logged no run to "
            f"{tracking.uri(tracking_uri)}",
            "Does its code choose a tracking server of its own",
        )
    return min(runs, key=_unlikeness(plan.run.run))


def _unlikeness(old: Run) -> Callable[[Run], tuple[bool, int, int, int]]:
    """A stage may start several runs: the one with the same parameters is meant."""

    def of(new: Run) -> tuple[bool, int, int, int]:
        nested = (tag.MLFLOW_PARENT in new.data.tags) != (tag.MLFLOW_PARENT in old.data.tags)
        params = len(new.data.params.items() ^ old.data.params.items())
        metrics = len(new.data.metrics.keys() ^ old.data.metrics.keys())
        return nested, params, metrics, new.info.start_time

    return of
