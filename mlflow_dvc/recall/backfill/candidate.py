"""Which runs may get a record, as far as their tags and MLflow's own words tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc.capture.committed_project import RunOrigin
from mlflow_dvc.git.head import is_sha
from mlflow_dvc.recall.backfill.result import BackfillResult, BackfillVerdict
from mlflow_dvc.secrets.urls import public_url

if TYPE_CHECKING:
    from mlflow.entities import Run

_ENDED = frozenset({"FINISHED", "FAILED", "KILLED"})


def judge_tags(run: Run) -> BackfillResult | None:
    """The result for a run that gets no record; None for one that may."""
    tags = run.data.tags
    if tag.has_record(tags):
        return result_of(run, "recorded")
    if reason := _why_not(run):
        return result_of(run, "left", reason)
    return None


def _why_not(run: Run) -> str:
    said = run.data.tags.get(tag.MLFLOW_GIT_COMMIT, "")
    if run.info.lifecycle_stage != "active":
        return "it is deleted"
    if run.info.status not in _ENDED:
        return f"it has not ended, MLflow says that it is {run.info.status}"
    if not said:
        return f"MLflow noted no commit ({tag.MLFLOW_GIT_COMMIT})"
    if not is_sha(said):
        return f"{tag.MLFLOW_GIT_COMMIT} is no commit"
    return ""


def commit_of(run: Run) -> str:
    return str(run.data.tags[tag.MLFLOW_GIT_COMMIT])


def origin_of(run: Run, remote_url: str | None) -> RunOrigin:
    """``remote_url`` is that of the repository, for a run that names none."""
    tags = run.data.tags
    return RunOrigin(
        commit_of(run),
        script=tags.get(tag.MLFLOW_SOURCE) or None,
        branch=tags.get(tag.MLFLOW_GIT_BRANCH) or None,
        remote_url=public_url(tags.get(tag.MLFLOW_GIT_URL) or "") or remote_url,
    )


def result_of(run: Run, verdict: BackfillVerdict, reason: str = "") -> BackfillResult:
    info = run.info
    commit = run.data.tags.get(tag.MLFLOW_GIT_COMMIT)
    name, experiment = info.run_name or "", info.experiment_id
    return BackfillResult(info.run_id, name, experiment, verdict, reason, commit)
