"""``report.html``: one page that needs nothing else, with the pipeline drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import escape
from itertools import islice

from mlflow_dvc.report.graph import Box, Drawing, drawing_of, width_of_box
from mlflow_dvc.report.words import code_facts, data_facts, short, size_in_words
from mlflow_dvc.snapshot import DataEntry, Snapshot

_ROWS = 300
_TEXT_AT_MOST = 60_000  # characters of the patch, and of the lock
_MARKS = {
    "modified": "\N{BLACK UP-POINTING TRIANGLE} modified",
    "missing": "\N{MULTIPLICATION SIGN} missing",
}
_LETTERS = 26  # that fit into a box
_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#5b6470;--line:#d0d7de;--box:#f6f8fa;
--run:#0b62c4;--runbg:#e8f1fc;--warn:#9a4b00;--bad:#b3261e;--add:#0a6b2e;--addbg:#e6f6ea;
--delbg:#fdecea}
@media(prefers-color-scheme:dark){:root{--bg:#0f1318;--fg:#e4e8ee;--dim:#9aa5b1;--line:#3a434e;
--box:#1a2027;--run:#7db6ff;--runbg:#14273f;--warn:#ffb266;--bad:#ff8f86;--add:#7ddc9a;
--addbg:#12301d;--delbg:#3a1715}}
*{box-sizing:border-box}body{margin:0 auto;padding:24px;max-width:1400px;background:var(--bg);
color:var(--fg);font:15px/1.5 system-ui,sans-serif}h1{font-size:22px;margin:0 0 12px}
h2{font-size:17px;margin:28px 0 8px}.wide{overflow:auto;border:1px solid var(--line);
border-radius:8px;padding:12px}.wide:focus-visible{outline:3px solid var(--run)}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:4px 12px 4px 0;
border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
th{color:var(--dim);font-weight:600}th[scope=row]{width:14em}td.n,th.n{text-align:right;white-space:nowrap}
code,pre,.hash{font:13px/1.45 ui-monospace,Menlo,Consolas,monospace}
pre{margin:0;white-space:pre}.add{color:var(--add);background:var(--addbg)}
.del{color:var(--bad);background:var(--delbg)}.at{color:var(--dim)}
.modified{color:var(--warn);font-weight:600}.missing{color:var(--bad);font-weight:600}
svg{display:block}svg text{fill:var(--fg);font:13px system-ui,sans-serif}
svg .hash{font:12px ui-monospace,Menlo,Consolas,monospace;fill:var(--dim)}
svg .title{font-weight:600}svg .box{fill:var(--box);stroke:var(--line)}
svg .data .box{stroke-dasharray:4 3}svg .running .box{fill:var(--runbg);stroke:var(--run);
stroke-width:2.5}svg .running .title{fill:var(--run)}svg .edge{fill:none;stroke:var(--dim);
stroke-width:1.3}svg .arrow{fill:var(--dim)}svg text.modified{fill:var(--warn);font-weight:400}
svg text.missing{fill:var(--bad);font-weight:400}
"""


def report_html(snapshot: Snapshot, texts: Mapping[str, str] | None = None) -> str:
    """The page. ``texts`` are files to show below, by name: the patch is coloured.

    Everything that comes from the project is escaped; there is no script and no request in it.
    """
    return "".join(_parts(snapshot, texts or {}))


def _parts(snapshot: Snapshot, texts: Mapping[str, str]) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width"><title>Code and data</title>'
    yield f"<style>{_STYLE}</style></head><body><main><h1>Code and data of this run</h1>"
    yield _facts([*code_facts(snapshot.git), *data_facts(snapshot)])
    drawing = drawing_of(snapshot)
    if drawing.boxes:
        yield '<h2 id="pipeline">Pipeline</h2>'
        yield '<div class="wide" tabindex="0" role="region" aria-labelledby="pipeline">'
        yield from _svg(drawing)
        yield "</div>"
        if drawing.left_out:
            yield f"<p>{drawing.left_out} more are not drawn.</p>"
    yield from _table("What the stage read", tuple(replace(d, stage=None) for d in snapshot.deps))
    yield from _table("Data", snapshot.data)
    if snapshot.warnings:
        yield "<h2>What could not be told</h2><ul>"
        yield from (f"<li>{_safe(warning)}</li>" for warning in snapshot.warnings)
        yield "</ul>"
    for name, text in texts.items():
        yield f"<h2>{_safe(name)}</h2>"
        yield f'<div class="wide" tabindex="0" role="region" aria-label="{_safe(name)}"><pre>'
        yield from _lines(text, as_patch=name.endswith(".patch"))
        yield "</pre></div>"
    yield "</main></body></html>\n"


def _facts(facts: list[tuple[str, str]]) -> str:
    rows = (f'<tr><th scope="row">{_safe(a)}</th><td>{_safe(b)}</td></tr>' for a, b in facts)
    return f"<table>{''.join(rows)}</table>"


def _table(title: str, entries: tuple[DataEntry, ...]) -> Iterator[str]:
    if not entries:
        return
    yield f"<h2>{title}</h2><table><thead><tr>"
    yield '<th scope="col">path<th scope="col">hash<th scope="col" class="n">size'
    yield '<th scope="col" class="n">files<th scope="col">from<th scope="col">state</tr></thead>'
    for entry in entries[:_ROWS]:
        known = entry.hash if entry.known else None
        yield f"<tr><td>{_safe(entry.path)}<td class=hash>{_safe(known or '-')}"
        yield f'<td class="n">{size_in_words(entry.size) if known else ""}'
        yield f'<td class="n">{entry.nfiles if known and entry.nfiles is not None else ""}'
        yield f"<td>{_safe(entry.source or entry.stage or '')}"
        yield f'<td class="{entry.state}">{_MARKS.get(entry.state, _remark(entry))}</tr>'
    yield "</table>"
    if len(entries) > _ROWS:
        yield f"<p>and {len(entries) - _ROWS} more, in <code>snapshot.json</code></p>"


def _remark(entry: DataEntry) -> str:
    if entry.certainty == "stale":
        return "of an earlier run"
    return entry.state if entry.hash else "no hash"


def _svg(drawing: Drawing) -> Iterator[str]:
    wide, high = drawing.width + 12, drawing.height + 12
    yield f'<svg role="img" width="{wide:.0f}" height="{high:.0f}" aria-labelledby="drawn">'
    count = sum(box.is_stage for box, _, _ in drawing.boxes)
    yield f'<title id="drawn">{count} stages from left to right; the tables say the same</title>'
    yield '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
    yield 'markerHeight="8" orient="auto"><path class="arrow" d="M0 0L8 4L0 8z"/></marker></defs>'
    at = {box.key: (x + 6, y + 6, box) for box, x, y in drawing.boxes}
    for start, end in drawing.edges:
        (ax, ay, a), (bx, by, b) = at[start], at[end]
        x1, y1 = ax + width_of_box(), ay + a.height / 2
        x2, y2 = bx, by + b.height / 2
        bend = max((x2 - x1) / 2, 30)
        path = f"M{x1:.0f} {y1:.0f}C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f}"
        yield f'<path class="edge" marker-end="url(#tip)" d="{path} {x2:.0f} {y2:.0f}"/>'
    for box, x, y in drawing.boxes:
        yield from _box(box, x + 6, y + 6)
    yield "</svg>"


def _box(box: Box, x: float, y: float) -> Iterator[str]:
    kind = ("stage" if box.is_stage else "data") + (" running" if box.is_running else "")
    yield f'<g class="{kind}" transform="translate({x:.0f} {y:.0f})">'
    yield f"<title>{_safe(box.key)}{' (this run)' if box.is_running else ''}</title>"
    yield f'<rect class="box" width="{width_of_box()}" height="{box.height}" rx="6"/>'
    mark = "\N{BLACK RIGHT-POINTING TRIANGLE} " if box.is_running else ""
    yield f'<text class="title" x="10" y="19">{mark}{_safe(_fitted(box.title))}</text>'
    for number, entry in enumerate(box.rows):
        yield from _box_row(box, entry, 26 + 18 * number + 14)
    if box.more:
        yield f'<text x="10" y="{26 + 18 * len(box.rows) + 14}">and {box.more} more</text>'
    yield "</g>"


def _box_row(box: Box, entry: DataEntry, y: int) -> Iterator[str]:
    known = entry.hash if entry.known else None
    state = entry.state if entry.state in _MARKS else ""
    said = _MARKS.get(entry.state, "")
    full = f"{entry.path}\n{known or 'no hash yet'}\n{said}".strip()
    yield f"<g><title>{_safe(full)}</title>"
    if box.is_stage:
        name = entry.path.rsplit("/", 1)[-1]
        yield f'<text class="{state}" x="10" y="{y}">{_safe(_fitted(name, 16))}</text>'
        yield f'<text class="hash" x="138" y="{y}">{_safe(short(known))}</text>'
    else:
        yield f'<text class="hash" x="10" y="{y}">{_safe(short(known))}</text>'
    if state:
        yield f'<text class="{state}" x="{width_of_box() - 14}" y="{y}">{said[0]}</text>'
    yield "</g>"


def _lines(text: str, *, as_patch: bool) -> Iterator[str]:
    shown = text[:_TEXT_AT_MOST]
    for line in islice(shown.split("\n"), 5000):
        kind = _kind(line) if as_patch else ""
        yield f'<span class="{kind}">{_safe(line)}</span>\n' if kind else f"{_safe(line)}\n"
    if len(text) > len(shown):
        yield f"... and {len(text) - len(shown)} more characters, in the attached file\n"


def _kind(line: str) -> str:
    if line.startswith(("+++", "---", "@@", "diff ", "index ")):
        return "at"
    return {"+": "add", "-": "del"}.get(line[:1], "")


def _fitted(text: str, letters: int = _LETTERS) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _safe(text: str) -> str:
    shown = "".join(
        char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )
    return escape(shown)
