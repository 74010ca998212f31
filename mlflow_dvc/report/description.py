"""The description of a run, as MLflow shows it first on the run's page: a line, and links."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlflow_dvc import tags as tag
from mlflow_dvc.enumeration import first_of
from mlflow_dvc.report.labels import short_hash
from mlflow_dvc.report.markdown import escape
from mlflow_dvc.report.run_links import artifact_link, runs_link, tag_is
from mlflow_dvc.snapshot import GitState, Snapshot, inputs

_MAX_PATHS = 3
_MAX_NAME_CHARACTERS = 300
_UNUSUAL = ("modified", "missing")


def describe_run(snapshot: Snapshot, experiment_id: str, run_id: str) -> str:
    """Which data the run read, with which code, as Markdown; what only later becomes known is not
    in it. The links lead to its record, and to the runs on the same data and of the same code.
    """
    sentences = " ".join((*_data(snapshot), *_code(snapshot.git)))
    links = " · ".join(
        f"[{name}]({link})" for name, link in _links(snapshot, experiment_id, run_id)
    )
    return f"{sentences}\n\n{links}"


def _data(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.root is None:
        return
    if (seen := snapshot.reads) and seen.status == "observed":
        read = [one.path for one in seen.data if one.by != "another"]
        yield f"Read {_names(snapshot, read) or 'nothing that DVC tracks'}."
    elif snapshot.has_stage:
        stage = escape(_short(snapshot.stage or snapshot.script_stage or ""))
        declared = [entry.path for entry in inputs(snapshot)]
        yield f"Stage {stage} declares {_names(snapshot, declared) or 'no data'}."
    else:
        yield "Which of the data that DVC tracks it read is not known."


def _names(snapshot: Snapshot, paths: Sequence[str]) -> str:
    """The first ones, each with its state where it was not as DVC's files say."""
    states = {entry.path: entry.state for entry in (*snapshot.data, *snapshot.deps)}
    unusual = {path: f" ({state})" for path, state in states.items() if state in _UNUSUAL}
    return first_of([escape(_short(path)) + unusual.get(path, "") for path in paths], _MAX_PATHS)


def _code(git: GitState | None) -> Iterator[str]:
    if git is None or git.sha is None:
        return
    commit = short_hash(git.sha)
    name = f"{escape(_short(git.describe))} ({commit})" if git.describe else commit
    changes = {
        True: ", with uncommitted changes",
        False: ", nothing uncommitted",
        None: "; whether all of it was committed is not known",
    }
    yield f"Code: {name}{changes[git.dirty]}."


def _links(snapshot: Snapshot, experiment_id: str, run_id: str) -> Iterator[tuple[str, str]]:
    yield "Record", artifact_link(experiment_id, run_id, "dvc/record.md")
    yield "Report", artifact_link(experiment_id, run_id, "dvc/report.html")
    if version := snapshot.data_version:
        yield "Runs on the same data", runs_link(experiment_id, tag_is(tag.DATA_VERSION, version))
    git = snapshot.git
    if git and git.sha and git.dirty is False:
        same = f"{tag_is(tag.GIT_SHA, git.sha)} AND {tag_is(tag.GIT_DIRTY, 'false')}"
        yield "Runs of the same code", runs_link(experiment_id, same)
    elif git and git.sha:
        yield "Runs of the same commit", runs_link(experiment_id, tag_is(tag.GIT_SHA, git.sha))


def _short(name: str) -> str:
    return name[:_MAX_NAME_CHARACTERS]
