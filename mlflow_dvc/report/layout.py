"""Lay a small graph out as boxes from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Arrow = tuple[str, str]  # by the keys of boxes

WIDTH = 248
HEAD = 26
ROW = 18
_MAX_BOXES = 300
_GAP = (70, 18)  # between columns, and between boxes of one


@dataclass(frozen=True)
class BoxLine:
    """A line of a box: a name, if any, and a hash. ``title`` is the whole, in words.

    ``mark`` is what is wrong with it, a class of the style; ``sign`` says so without colour.
    """

    text: str
    value: str
    title: str
    mark: str = ""
    sign: str = ""


@dataclass(frozen=True)
class Box:
    """A thing. ``kind`` is a class of the style, ``label`` what it is in words. In pixels.

    ``more`` rows are not shown; one that ``stands_out`` is what the drawing is about.
    """

    key: str
    kind: str
    title: str
    rows: tuple[BoxLine, ...] = ()
    label: str = ""
    stands_out: bool = False
    more: int = 0

    @property
    def height(self) -> int:
        return HEAD + ROW * (len(self.rows) + (1 if self.more else 0)) + 8


@dataclass(frozen=True)
class Drawing:
    """Boxes with their upper left corners, edges and which are in doubt, and the size of it all."""

    boxes: tuple[tuple[Box, float, float], ...]
    edges: tuple[Arrow, ...]
    width: float
    height: float
    left_out: int = 0
    doubtful: frozenset[Arrow] = frozenset()


def lay_out(
    boxes: Sequence[Box], edges: Sequence[Arrow], doubtful: frozenset[Arrow] = frozenset()
) -> Drawing:
    """The first 300 of ``boxes``, each to the right of those that an edge leads from."""
    left_out = max(len(boxes) - _MAX_BOXES, 0)
    boxes = boxes[:_MAX_BOXES]
    kept = {box.key for box in boxes}
    edges = [(a, b) for a, b in edges if a in kept and b in kept]
    places = _lay_out_boxes(boxes, edges)
    width = max((x + WIDTH for x, _ in places.values()), default=0)
    height = max((places[box.key][1] + box.height for box in boxes), default=0)
    placed = tuple((box, *places[box.key]) for box in boxes)
    return Drawing(placed, tuple(edges), width, height, left_out, doubtful)


def _lay_out_boxes(boxes: Sequence[Box], edges: Sequence[Arrow]) -> dict[str, tuple[float, float]]:
    """By Sugiyama's method, which draws from top to bottom: height and width change places."""
    from grandalf.graphs import Edge, Graph, Vertex
    from grandalf.layouts import SugiyamaLayout

    vertices = {}
    for box in boxes:
        vertices[box.key] = Vertex(box.key)
        vertices[box.key].view = _View(box.height, WIDTH)
    graph = Graph(list(vertices.values()), [Edge(vertices[a], vertices[b]) for a, b in edges])
    places: dict[str, tuple[float, float]] = {}
    top = 0.0
    for component in sorted(graph.C, key=lambda part: -len(part.sV)):
        if len(component.sV) > 1:
            layout = SugiyamaLayout(component)
            layout.yspace, layout.xspace = _GAP
            layout.init_all(optimize=len(component.sV) < 100)
            layout.draw()
        found = {
            vertex.data: (vertex.view.xy[1] - WIDTH / 2, vertex.view.xy[0] - vertex.view.w / 2)
            for vertex in component.sV
        }
        left = min(x for x, _ in found.values())
        upper = min(y for _, y in found.values())
        for key, (x, y) in found.items():
            places[key] = (x - left, y - upper + top)
        top = max(places[vertex.data][1] + vertex.view.w for vertex in component.sV) + _GAP[1]
    return _pushed_apart(boxes, places)


def _pushed_apart(
    boxes: Sequence[Box], places: dict[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Of boxes of one column none lies on another: the layout sees to that only roughly."""
    below: dict[float, float] = {}
    for box in sorted(boxes, key=lambda box: places[box.key]):
        x, y = places[box.key]
        y = max(y, below.get(x, 0.0))
        places[box.key] = (x, y)
        below[x] = y + box.height + _GAP[1]
    return places


@dataclass
class _View:
    """What the layout asks of a box, before width and height change places."""

    w: float
    h: float
    xy: tuple[float, float] = (0.0, 0.0)
