"""The description of a run, as MLflow shows it first on the run's page: a line, and links."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow_dvc import tags as tag
from mlflow_dvc.enumeration import first_of
from mlflow_dvc.report.labels import short_hash
from mlflow_dvc.report.markdown import escape
from mlflow_dvc.report.run_links import artifact_link, runs_link
from mlflow_dvc.snapshot import DataEntry, GitState, Snapshot, inputs

_MAX_PATHS = 3
_MAX_NAME_CHARACTERS = 300


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
    seen, entries = snapshot.reads, inputs(snapshot)
    is_seen = seen is not None and seen.status == "observed"
    if seen is not None and is_seen:
        entries = tuple(entry for entry in entries if entry.path in seen.read_paths)
    names = first_of([_name(entry) for entry in entries], _MAX_PATHS)
    if is_seen:
        yield f"Read {names or 'nothing that DVC tracks'}."
    elif snapshot.has_stage:
        stage = escape(_short(snapshot.stage or snapshot.script_stage or ""))
        yield f"Stage {stage} declares {names or 'no data'}."
    else:
        yield "Which of the data that DVC tracks it read is not known."


def _name(entry: DataEntry) -> str:
    state = "" if entry.state in ("clean", "unverified") else f" ({entry.state})"
    return escape(_short(entry.path)) + state


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
        yield "Runs on the same data", runs_link(experiment_id, _is(tag.DATA_VERSION, version))
    git = snapshot.git
    if git and git.sha and git.dirty is False:
        same = f"{_is(tag.GIT_SHA, git.sha)} AND {_is(tag.GIT_DIRTY, 'false')}"
        yield "Runs of the same code", runs_link(experiment_id, same)
    elif git and git.sha:
        yield "Runs of the same commit", runs_link(experiment_id, _is(tag.GIT_SHA, git.sha))


def _is(key: str, value: str) -> str:
    return f"tags.`{key}` = '{value}'"


def _short(name: str) -> str:
    return name[:_MAX_NAME_CHARACTERS]
