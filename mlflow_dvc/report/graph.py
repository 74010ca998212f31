"""The pipeline of a Snapshot as boxes from left to right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlflow_dvc.snapshot import DataEntry, Snapshot

_ROWS = 6  # of one box; the rest is counted
_STAGES = 300
_WIDTH = 248
_HEAD = 26
_ROW = 18
_GAP = (70, 18)  # between columns, and between boxes of one


@dataclass(frozen=True)
class Box:
    """A stage with what it makes, or data that no stage makes. Sizes are in pixels."""

    key: str
    title: str
    rows: tuple[DataEntry, ...]
    is_stage: bool
    is_running: bool = False
    more: int = 0

    @property
    def height(self) -> int:
        return _HEAD + _ROW * (len(self.rows) + (1 if self.more else 0)) + 8


@dataclass(frozen=True)
class Drawing:
    """Boxes with their upper left corners, edges by the keys of boxes, and the size of it all."""

    boxes: tuple[tuple[Box, float, float], ...]
    edges: tuple[tuple[str, str], ...]
    width: float
    height: float
    left_out: int = 0


def drawing_of(snapshot: Snapshot) -> Drawing:
    """Of every stage, up to 300, and of the data that stages read or that is tracked by itself."""
    boxes, edges = _graph(snapshot)
    left_out = max(len(boxes) - _STAGES, 0)
    kept = {box.key for box in boxes[:_STAGES]}
    boxes = [box for box in boxes if box.key in kept]
    edges = [(a, b) for a, b in edges if a in kept and b in kept]
    places = _laid_out(boxes, edges)
    width = max((x + _WIDTH for x, _ in places.values()), default=0)
    height = max((places[box.key][1] + box.height for box in boxes), default=0)
    placed = tuple((box, *places[box.key]) for box in boxes)
    return Drawing(placed, tuple(edges), width, height, left_out)


def width_of_box() -> int:
    return _WIDTH


def _graph(snapshot: Snapshot) -> tuple[list[Box], list[tuple[str, str]]]:
    running = snapshot.stage or snapshot.script_stage
    stages = {stage.address: stage for stage in snapshot.stages}
    made: dict[str, list[DataEntry]] = {address: [] for address in stages}
    makers: dict[str, str] = {}
    boxes: dict[str, Box] = {}
    for entry in snapshot.data:
        if entry.stage in made:
            made[entry.stage].append(entry)
            makers[entry.path] = entry.stage
        else:
            makers[entry.path] = f"data {entry.path}"
            boxes[makers[entry.path]] = _data_box(entry)
    for address, outs in made.items():
        shown = tuple(outs[:_ROWS])
        boxes[address] = Box(
            address, address, shown, True, address == running, len(outs) - len(shown)
        )
    read = {dep.path: dep for dep in snapshot.deps if dep.role != "code"}
    edges: dict[tuple[str, str], None] = {}
    for stage in snapshot.stages:
        for dep in stage.deps:
            found = list(_makers_of(dep, makers))
            if not found and dep in read:
                boxes.setdefault(f"data {dep}", _data_box(read[dep]))
                found = [f"data {dep}"]
            edges.update({(maker, stage.address): None for maker in found if maker in boxes})
    used = {key for edge in edges for key in edge}
    ordered = sorted(boxes.values(), key=lambda box: (box.key not in used, not box.is_running))
    return ordered, [edge for edge in edges if edge[0] != edge[1]]


def _data_box(entry: DataEntry) -> Box:
    title = entry.path.rsplit("/", 1)[-1]
    return Box(f"data {entry.path}", title, (entry,), is_stage=False)


def _makers_of(dep: str, makers: dict[str, str]) -> Iterator[str]:
    """Who makes the path, a folder that it lies in, or something in it."""
    path = dep
    while path:
        if path in makers:
            yield makers[path]
            return
        path = path.rpartition("/")[0]
    yield from dict.fromkeys(
        maker for made, maker in makers.items() if made.startswith(dep.rstrip("/") + "/")
    )


def _laid_out(
    boxes: Sequence[Box], edges: Sequence[tuple[str, str]]
) -> dict[str, tuple[float, float]]:
    """By Sugiyama's method, which draws from top to bottom: height and width change places."""
    from grandalf.graphs import Edge, Graph, Vertex
    from grandalf.layouts import SugiyamaLayout

    vertices = {}
    for box in boxes:
        vertices[box.key] = Vertex(box.key)
        vertices[box.key].view = _View(box.height, _WIDTH)
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
            vertex.data: (vertex.view.xy[1] - _WIDTH / 2, vertex.view.xy[0] - vertex.view.w / 2)
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
