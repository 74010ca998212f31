"""A drawing as SVG."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow_dvc.report.html import safe
from mlflow_dvc.report.layout import HEAD, ROW, WIDTH, Box, BoxLine, Drawing

_SHRINKS = 0.65  # smaller letters cannot be read
_MAX_LETTERS = 26  # that fit into a box


def svg(drawing: Drawing, said: str) -> Iterator[str]:
    """``said`` is what there is to see, for those who do not.

    It is as wide as the page has room, as long as it can be read.
    """
    wide, high = drawing.width + 12, drawing.height + 12
    least = f"min-width:{wide * _SHRINKS:.0f}px"
    fits = f' viewBox="0 0 {wide:.0f} {high:.0f}" style="max-width:100%;{least};height:auto"'
    yield f'<svg role="img" width="{wide:.0f}" height="{high:.0f}"{fits} aria-labelledby="drawn">'
    yield f'<title id="drawn">{safe(said)}</title>'
    yield '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
    yield 'markerHeight="8" orient="auto"><path class="arrow" d="M0 0L8 4L0 8z"/></marker></defs>'
    at = {box.key: (x + 6, y + 6, box) for box, x, y in drawing.boxes}
    for start, end in drawing.edges:
        (ax, ay, a), (bx, by, b) = at[start], at[end]
        x1, y1 = ax + WIDTH, ay + a.height / 2
        x2, y2 = bx, by + b.height / 2
        bend = max((x2 - x1) / 2, 30)
        path = f"M{x1:.0f} {y1:.0f}C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f}"
        doubt = " doubt" if (start, end) in drawing.doubtful else ""
        yield f'<path class="edge{doubt}" marker-end="url(#tip)" d="{path} {x2:.0f} {y2:.0f}"/>'
    for box, x, y in drawing.boxes:
        yield from _box(box, x + 6, y + 6)
    yield "</svg>"


def _box(box: Box, x: float, y: float) -> Iterator[str]:
    kind = box.kind + (" running" if box.stands_out else "")
    yield f'<g class="{kind}" transform="translate({x:.0f} {y:.0f})">'
    yield f"<title>{safe(box.label)}</title>"
    yield f'<rect class="box" width="{WIDTH}" height="{box.height}" rx="6"/>'
    mark = "\N{BLACK RIGHT-POINTING TRIANGLE} " if box.stands_out else ""
    yield f'<text class="title" x="10" y="19">{mark}{safe(_fitted(box.title))}</text>'
    for number, row in enumerate(box.rows):
        yield from _row(row, HEAD + ROW * number + 14)
    if box.more:
        yield f'<text x="10" y="{HEAD + ROW * len(box.rows) + 14}">and {box.more} more</text>'
    yield "</g>"


def _row(row: BoxLine, y: int) -> Iterator[str]:
    yield f"<g><title>{safe(row.title)}</title>"
    if row.text:
        yield f'<text class="{row.mark}" x="10" y="{y}">{safe(_fitted(row.text, 16))}</text>'
        yield f'<text class="hash" x="138" y="{y}">{safe(row.value)}</text>'
    else:
        yield f'<text class="hash" x="10" y="{y}">{safe(row.value)}</text>'
    if row.mark:
        yield f'<text class="{row.mark}" x="{WIDTH - 14}" y="{y}">{row.sign}</text>'
    yield "</g>"


def _fitted(text: str, letters: int = _MAX_LETTERS) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "\N{HORIZONTAL ELLIPSIS}"
