"""``record.md``: the record in lists, with links to the runs that saw the same data.

MLflow's viewer gives each column of a table the same width, which cuts hashes into four pieces, and
shows no more than ten rows at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlflow_dvc.report.labels import (
    code_facts,
    data_facts,
    data_title,
    deps_title,
    size_in_words,
)
from mlflow_dvc.report.makers import maker_in_words, maker_names
from mlflow_dvc.report.markdown import escape
from mlflow_dvc.report.run_links import RunLinks
from mlflow_dvc.snapshot import DataEntry, Snapshot
from mlflow_dvc.tracking import RunPart

_MAX_ENTRIES = 500
_LINKS_NOTE = (
    "A hash leads to the runs of this experiment that saw it, whatever they did with it: the tag"
    " `dvc.hashes` tells. Runs with many outputs, and those that were resumed on other data, have"
    " more hashes in `dvc.hashes.2` and so on, which a filter of MLflow's cannot ask at once."
    " `mlflow-dvc search HASH` asks all of them, in every experiment."
)


def record_md(
    snapshot: Snapshot,
    experiment_id: str | None = None,
    later: Sequence[RunPart] = (),
) -> str:
    """The page; links lead to the runs of ``experiment_id`` as MLflow's own page has them.

    ``later`` are the parts in which the run went on with other code or data.
    """
    lines = list(_lines("Code and data of this run", snapshot, experiment_id))
    for part in later:
        title = f"Then the run went on ({part.name})"
        lines += ["", *_lines(title, part.snapshot, experiment_id)]
    return "\n".join(lines) + "\n"


def _lines(title: str, snapshot: Snapshot, experiment_id: str | None) -> Iterator[str]:
    links = RunLinks(snapshot, experiment_id)
    yield f"# {title}"
    yield ""
    for name, value in (*code_facts(snapshot.git), *data_facts(snapshot)):
        yield f"- **{name}**: {escape(value)}"
    facts = tuple(entry for entry in snapshot.data if entry.is_fact)
    if snapshot.deps:
        yield from _list(deps_title(snapshot), snapshot.deps, snapshot, links)
    if facts:
        yield from _list(data_title(snapshot), facts, snapshot, links)
    if links.are_there:
        yield ""
        yield _LINKS_NOTE
    if snapshot.remarks:
        yield ""
        yield "## What could not be told"
        yield ""
        yield from (f"- {escape(warning)}" for warning in snapshot.remarks)


def _list(
    title: str, entries: Sequence[DataEntry], snapshot: Snapshot, links: RunLinks
) -> Iterator[str]:
    makers = maker_names(snapshot)
    yield ""
    yield f"## {title}"
    yield ""
    for entry in entries[:_MAX_ENTRIES]:
        yield from _item(entry, maker_in_words(entry, makers), links)
    if len(entries) > _MAX_ENTRIES:
        yield ""
        yield f"and {len(entries) - _MAX_ENTRIES} more, in `snapshot.json`"


def _item(entry: DataEntry, maker: str, links: RunLinks) -> Iterator[str]:
    """The path and what is known of it; on a line of its own the hash, which is so never cut."""
    files = "" if entry.nfiles is None else f"{entry.nfiles} file{'' if entry.nfiles == 1 else 's'}"
    state = "" if entry.state in ("clean", "unverified") else f"**{entry.state}**"
    origin = f"from {escape(maker)}" if maker else ""
    known = (f"**{escape(entry.path)}**", size_in_words(entry.size), files, origin, state)
    hashed = _hash(entry, links)
    yield "- " + " · ".join(filter(None, known)) + ("  " if hashed else "")
    if hashed:
        yield f"  {hashed}"


def _hash(entry: DataEntry, links: RunLinks) -> str:
    if entry.hash is None:
        return ""
    shown = f"`{entry.hash}`"
    linked = links.to_runs_with(entry)
    texts = [shown, *(name for name, _ in linked[1:])]
    return (
        " ".join(f"[{text}]({link})" for text, (_, link) in zip(texts, linked, strict=False))
        or shown
    )
