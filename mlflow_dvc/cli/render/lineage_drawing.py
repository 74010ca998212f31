"""Lineage as one page with a picture."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlflow_dvc.cli.render.lineage import remarks
from mlflow_dvc.report.labels import MARKS, short_hash
from mlflow_dvc.report.layout import Box, BoxLine, lay_out
from mlflow_dvc.report.lineage_html import Line, lineage_html

if TYPE_CHECKING:
    from mlflow_dvc.recall.lineage.graph import Lineage, Node

_CLASSES = {"logged model": "model", "model version": "model"}


def draw_page(lineage: Lineage) -> str:
    nodes = {node.key: node for node in lineage.nodes}
    boxes = [_box(nodes[key], key in lineage.subjects) for key in _nearest_first(lineage)]
    edges = [(edge.start, edge.end) for edge in lineage.edges]
    doubtful = frozenset((edge.start, edge.end) for edge in lineage.edges if edge.doubt)
    drawing = lay_out(boxes, edges, doubtful)
    return lineage_html(lineage.what, drawing, list(_lines(lineage)), lineage.warnings)


def _nearest_first(lineage: Lineage) -> list[str]:
    """A drawing has room for so many: those nearest to what was asked for."""
    around: dict[str, list[str]] = {}
    for edge in lineage.edges:
        around.setdefault(edge.start, []).append(edge.end)
        around.setdefault(edge.end, []).append(edge.start)
    found = dict.fromkeys(lineage.subjects)
    pending = deque(found)
    while pending:
        for key in around.get(pending.popleft(), ()):
            if key not in found:
                found[key] = None
                pending.append(key)
    return list(found)


def _box(node: Node, is_subject: bool) -> Box:
    full = "\n".join([f"{node.kind} {node.name}", node.id or "", *filter(None, remarks(node))])
    state = str(node.facts.get("state", ""))
    sign = MARKS.get(state, "")[:1]
    value = short_hash(node.id) if node.id else ""
    rows = [BoxLine(node.kind, value, full, state if sign else "", sign)]
    more = ", ".join(said for said in remarks(node) if said)
    rows += [BoxLine("", more, full)] if more else []
    asked = " (asked for)" if is_subject else ""
    kind = _CLASSES.get(node.kind, node.kind)
    return Box(node.key, kind, _title(node), tuple(rows), full + asked, is_subject)


def _title(node: Node) -> str:
    if node.kind == "data":
        return node.name.rpartition("/")[2] or node.name
    if node.kind == "source":
        where, at, rev = node.name.rpartition("@")
        return f"{where.rpartition('/')[2]}@{rev[:8]}" if at else node.name
    return node.name.removeprefix("models:/") or node.id or ""


def _lines(lineage: Lineage) -> Iterator[Line]:
    above = lineage.above
    doubts: dict[str, list[str]] = {}
    for edge in lineage.edges:
        if edge.doubt:
            nearer = edge.start if edge.start in above else edge.end
            doubts.setdefault(nearer, []).append(edge.doubt)
    order = {"came from": 0, "asked for": 1, "came of it": 2}
    found = []
    for node in lineage.nodes:
        part = "came from" if node.key in above else "came of it"
        part = "asked for" if node.key in lineage.subjects else part
        said = [*remarks(node), *dict.fromkeys(doubts.get(node.key, ()))]
        remark = ", ".join(word for word in said if word)
        found.append(Line(part, node.kind, node.name, node.id or "", remark))
    yield from sorted(found, key=lambda line: order[line.part])
