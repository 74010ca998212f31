"""``report.html``: one self-contained page of a record, with the pipeline drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from mlflow_dvc.report.html import FOOT, facts_table, head, safe, warnings_list
from mlflow_dvc.report.labels import (
    MARKS,
    code_facts,
    data_facts,
    data_title,
    deps_title,
    size_in_words,
)
from mlflow_dvc.report.makers import maker_in_words, maker_names
from mlflow_dvc.report.pipeline import drawing_of
from mlflow_dvc.report.svg import svg
from mlflow_dvc.snapshot import DataEntry, Snapshot

_MAX_ROWS = 300
_MAX_TEXT_CHARACTERS = 60_000  # characters of the patch, and of the lock


def report_html(snapshot: Snapshot, texts: Mapping[str, str] | None = None) -> str:
    """The page. ``texts`` are files to show below, by name: the patch is coloured.

    Everything that comes from the project is escaped; there is no script and no request in it.
    """
    return "".join(_parts(snapshot, texts or {}))


def _parts(snapshot: Snapshot, texts: Mapping[str, str]) -> Iterator[str]:
    yield from head("Code and data")
    yield "<h1>Code and data of this run</h1>"
    yield facts_table([*code_facts(snapshot.git), *data_facts(snapshot)])
    yield from _pipeline(snapshot)
    makers = maker_names(snapshot)
    yield from _table(deps_title(snapshot), snapshot.deps, makers)
    yield from _table(data_title(snapshot), snapshot.data, makers)
    yield from warnings_list(snapshot.remarks)
    for name, text in texts.items():
        yield f"<h2>{safe(name)}</h2>"
        yield f'<div class="wide" tabindex="0" role="region" aria-label="{safe(name)}"><pre>'
        yield from _lines(text, as_patch=name.endswith(".patch"))
        yield "</pre></div>"
    yield FOOT


def _pipeline(snapshot: Snapshot) -> Iterator[str]:
    try:
        drawing = drawing_of(snapshot)
    except ModuleNotFoundError as error:  # in an image without it the tables say the same
        yield f"<p>The pipeline is not drawn: {safe(str(error.name))} was not installed.</p>"
        return
    if drawing.boxes:
        yield '<h2 id="pipeline">Pipeline</h2>'
        yield '<div class="wide" tabindex="0" role="region" aria-labelledby="pipeline">'
        count = sum(box.kind == "stage" for box, _, _ in drawing.boxes)
        yield from svg(drawing, f"{count} stages from left to right; the tables say the same")
        yield "</div>"
        if drawing.left_out:
            yield f"<p>{drawing.left_out} more are not drawn.</p>"


def _table(title: str, entries: tuple[DataEntry, ...], makers: Mapping[str, str]) -> Iterator[str]:
    if not entries:
        return
    yield f"<h2>{title}</h2><table><thead><tr>"
    yield '<th scope="col">path<th scope="col">hash<th scope="col" class="n">size'
    yield '<th scope="col" class="n">files<th scope="col">from<th scope="col">state</tr></thead>'
    for entry in entries[:_MAX_ROWS]:
        known = entry.hash if entry.is_fact else None
        yield f"<tr><td>{safe(entry.path)}<td class=hash>{safe(known or '-')}"
        yield f'<td class="n">{size_in_words(entry.size) if known else ""}'
        yield f'<td class="n">{entry.nfiles if known and entry.nfiles is not None else ""}'
        yield f"<td>{safe(maker_in_words(entry, makers))}"
        yield f'<td class="{entry.state}">{MARKS.get(entry.state, _remark(entry))}</tr>'
    yield "</table>"
    if len(entries) > _MAX_ROWS:
        yield f"<p>and {len(entries) - _MAX_ROWS} more, in <code>snapshot.json</code></p>"


def _remark(entry: DataEntry) -> str:
    if entry.certainty == "stale":
        return "of an earlier run"
    return entry.state if entry.hash else "no hash"


def _lines(text: str, *, as_patch: bool) -> Iterator[str]:
    shown = text[:_MAX_TEXT_CHARACTERS]
    for line in islice(shown.split("\n"), 5000):
        kind = _kind(line) if as_patch else ""
        yield f'<span class="{kind}">{safe(line)}</span>\n' if kind else f"{safe(line)}\n"
    if len(text) > len(shown):
        yield f"... and {len(text) - len(shown)} more characters, in the attached file\n"


def _kind(line: str) -> str:
    if line.startswith(("+++", "---", "@@", "diff ", "index ")):
        return "at"
    return {"+": "add", "-": "del"}.get(line[:1], "")
