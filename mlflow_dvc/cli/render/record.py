"""A record: of the workspace (``status``), of a run (``show``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mlflow_dvc import tags as tag
from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.table import Table
from mlflow_dvc.report.labels import (
    reads_facts,
    seal_in_words,
    short_hash,
    size_in_words,
    state_in_words,
)
from mlflow_dvc.snapshot import DataEntry, GitState, Snapshot

if TYPE_CHECKING:
    from rich.console import Console

    from mlflow_dvc.project import Project
    from mlflow_dvc.recall.show import RunRecord

_STATUS_FIELDS = (
    "path", "algorithm", "hash", "size", "nfiles", "cached", "stage", "source", "state",
)  # fmt: skip
_GIT_FIELDS = ("sha", "branch", "describe", "dirty", "remote_url")


def status_json(project: Project, snapshot: Snapshot) -> dict[str, Any]:
    git = snapshot.git
    return {
        "schema": terminal.JSON_SCHEMA,
        "root": project.dvc_root,
        "git": {name: getattr(git, name) for name in _GIT_FIELDS} if git else None,
        "stage": snapshot.stage or snapshot.script_stage,
        "experiment": snapshot.experiment,
        "data_version": snapshot.data_version,
        "data": [
            {name: getattr(entry, name) for name in _STATUS_FIELDS} for entry in snapshot.data
        ],
        "tags": tag.to_tags(snapshot),
        "warnings": list(snapshot.remarks),
    }


def show_json(record: RunRecord) -> dict[str, Any]:
    raw = {**vars(record), "snapshot": record.snapshot.to_dict() if record.snapshot else None}
    later = [{"folder": part.folder, "snapshot": part.snapshot.to_dict()} for part in record.later]
    artifacts = list(record.artifacts)
    return {"schema": terminal.JSON_SCHEMA, **raw, "artifacts": artifacts, "later": later}


def print_status(project: Project, snapshot: Snapshot) -> None:
    console = terminal.console_of()
    terminal.facts(console, [*_code(snapshot.git, project), *_data(snapshot)])
    _print_data(console, snapshot)
    terminal.warn(snapshot.remarks)


def print_record(record: RunRecord) -> None:
    console = terminal.console_of()
    snapshot = record.snapshot
    if not snapshot:
        terminal.say(f"run {record.run_id} carries no record: mlflow-dvc was not there, or was off")
        terminal.say("`mlflow-dvc backfill` can add one that is read from the run's commit")
        return
    facts = [
        ("run", f"{record.run_id}  {record.run_name}"),
        ("in", f"{record.experiment}, {record.started}, {record.status.lower()}"),
        *_code(snapshot.git),
        *_data(snapshot),
        *_tracked(snapshot),
        ("attached", ", ".join(record.artifacts) or "nothing"),
    ]
    terminal.facts(console, facts)
    _print_data(console, snapshot)
    terminal.warn(snapshot.remarks)
    for part in record.later:
        console.print()
        then = f"{part.name}: from here the run went on with other code or data"
        told = part.snapshot
        facts = [("then", then), *_code(told.git), *_data(told), *_tracked(told)]
        terminal.facts(console, facts)
        _print_data(console, part.snapshot)
        terminal.warn(part.snapshot.remarks)


def _print_data(console: Console, snapshot: Snapshot) -> None:
    """The outputs of the project, and what else the run reads: datasets, data at addresses."""
    paths = {entry.path for entry in snapshot.data}
    read = [dep for dep in snapshot.deps if dep.role == "input" and dep.path not in paths]
    rows = [(out, _remark(out)) for out in snapshot.data]
    rows += [(dep, _remark_of_dep(dep)) for dep in read]
    if rows:
        _table(console, rows)


def _code(git: GitState | None, project: Project | None = None) -> Iterator[tuple[str, str]]:
    if git is None:
        yield "code", "no git repository"
        return
    words = [git.branch or "detached HEAD", git.sha or "no commit yet"]
    words += [f"({git.describe})"] if git.describe else []
    words += ["with uncommitted changes"] if git.dirty else []
    yield "code", "  ".join(words)
    if git.source not in ("script", "working directory"):
        yield "", f"as {git.source} says"
    if git.remote_url:
        yield "", git.remote_url
    if project and project.script and project.code_source != "script":
        yield "", f"of the working directory: {project.script} lies in no repository"


def _data(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    if snapshot.root is None:
        yield "data", "no DVC project"
        return
    count = len(snapshot.data)
    version = snapshot.data_version or "unknown"
    status = f", {snapshot.data_status}" if snapshot.data_status else ""
    status += ", as frozen before" if snapshot.frozen else ""
    yield "data", f"version {version}  ({count} output{'' if count == 1 else 's'}{status})"
    if snapshot.data_status not in (None, "clean"):
        yield "", state_in_words(snapshot)
    if snapshot.reconstructed:
        yield "reconstructed", f"from commit {snapshot.reconstructed}, after the run"
        yield "", f"the commit has data version {snapshot.committed_version or 'unknown'}"
    if stage := snapshot.stage or snapshot.script_stage:
        yield "stage", stage + ("" if snapshot.stage else "  (the script is its dependency)")
    if snapshot.seal not in (None, "none"):
        yield "made", seal_in_words(snapshot)
    if snapshot.changed:
        yield "changed", ", ".join(snapshot.changed)
        yield "", "while the stage ran: it read what lay there before"
    for line in snapshot.uncovered:
        yield "not known", line
    if snapshot.experiment:
        yield "experiment", snapshot.experiment
    yield from reads_facts(snapshot)


def _tracked(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    if snapshot.data and not (snapshot.has_stage or snapshot.knows_reads):
        yield "", "of no stage: the data is what DVC tracked, not what the run read"


def _table(console: Console, rows: Sequence[tuple[DataEntry, str]]) -> None:
    table = Table(
        "path", "hash", "size", "files", "from", "", right=(2, 3), prose=5, drop=(4, 3, 2)
    )
    for entry, remark in terminal.first_rows(console, rows):
        table.add_row(
            terminal.plain(entry.path),
            short_hash(entry.hash),
            size_in_words(entry.size),
            "" if entry.nfiles is None else str(entry.nfiles),
            terminal.plain(entry.source or entry.stage or ""),
            terminal.plain(remark),
        )
    console.print()
    table.print_to(console)


def _remark_of_dep(dep: DataEntry) -> str:
    if dep.is_observed:
        return dep.state if dep.state == "modified" else ""
    return dep.state if dep.state == "missing" else "no tag: not known"


def _remark(entry: DataEntry) -> str:
    if entry.state in ("modified", "missing"):
        return entry.state
    if entry.certainty == "stale":
        return "no tag: of an earlier run"
    if entry.hash is None:
        return "no tag: never locked"
    return "" if entry.cached else "no tag: not cached"
