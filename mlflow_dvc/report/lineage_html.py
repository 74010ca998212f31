"""The page of a lineage: the graph drawn, and the same as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mlflow_dvc.report.html import FOOT, head, safe, warnings_list
from mlflow_dvc.report.layout import Drawing
from mlflow_dvc.report.svg import svg

_MAX_LINES = 2000
_STYLE = """
body{max-width:2200px}svg .run .box,svg .model .box{stroke:var(--run);stroke-width:1.5}
svg .model .box{rx:16px}
svg .source .box,svg .code .box{stroke-dasharray:1 4;stroke-linecap:round;stroke-width:2;
stroke:var(--dim)}svg .edge.doubt{stroke-dasharray:6 4}td:first-child{white-space:nowrap}
"""


@dataclass(frozen=True)
class Line:
    """A row of the table: which part of the story, what kind of thing, its name, its hash or id.

    ``remark`` is whatever else is known, in words.
    """

    part: str
    kind: str
    name: str
    id: str
    remark: str


def lineage_html(
    what: str, drawing: Drawing, lines: Sequence[Line], warnings: Iterable[str]
) -> str:
    """The page. Everything is escaped; there is no script and no request in it."""
    return "".join(_parts(what, drawing, lines, warnings))


def _parts(
    what: str, drawing: Drawing, lines: Sequence[Line], warnings: Iterable[str]
) -> Iterator[str]:
    yield from head(f"Lineage of {what}", _STYLE)
    yield f'<h1 id="picture">Lineage of {safe(what)}</h1>'
    if drawing.boxes:
        yield '<div class="wide" tabindex="0" role="region" aria-labelledby="picture">'
        said = (
            f"{len(drawing.boxes)} boxes, what was there first on the left; the table says the same"
        )
        yield from svg(drawing, said)
        yield "</div>"
        if drawing.doubtful:
            yield "<p>A dashed line is no fact: the table says why.</p>"
    else:
        yield "<p>No run saw it.</p>"
    if drawing.left_out:
        yield f"<p>{drawing.left_out} more are not drawn.</p>"
    yield from _table(lines)
    yield from warnings_list(warnings)
    yield FOOT


def _table(lines: Sequence[Line]) -> Iterator[str]:
    if not lines:
        return
    yield '<h2>All of it</h2><table><thead><tr><th scope="col">part<th scope="col">what'
    yield '<th scope="col">name<th scope="col">hash or id<th scope="col"></tr></thead>'
    for line in lines[:_MAX_LINES]:
        yield f"<tr><td>{safe(line.part)}<td>{safe(line.kind)}<td>{safe(line.name)}"
        yield f"<td class=hash>{safe(line.id)}<td>{safe(line.remark)}</tr>"
    yield "</table>"
    if len(lines) > _MAX_LINES:
        yield f"<p>and {len(lines) - _MAX_LINES} more, which --json has</p>"
