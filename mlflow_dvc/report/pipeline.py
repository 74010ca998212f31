"""Draw the pipeline of a Snapshot: stages, what they make, what they read."""

from __future__ import annotations

from mlflow_dvc.report.labels import MARKS, short_hash
from mlflow_dvc.report.layout import Box, BoxLine, Drawing, lay_out
from mlflow_dvc.report.makers import makers_of
from mlflow_dvc.snapshot import DataEntry, Snapshot

_MAX_ROWS = 6  # of one box; the rest is counted


def drawing_of(snapshot: Snapshot) -> Drawing:
    """Of every stage, up to 300, and of the data that stages read or that is tracked by itself."""
    return lay_out(*_graph(snapshot))


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
        shown = tuple(_row(entry, entry.path.rsplit("/", 1)[-1]) for entry in outs[:_MAX_ROWS])
        is_running = address == running
        label = f"{address} (this run)" if is_running else address
        more = len(outs) - len(shown)
        boxes[address] = Box(address, "stage", address, shown, label, is_running, more)
    read = {dep.path: dep for dep in snapshot.deps if dep.role != "code"}
    edges: dict[tuple[str, str], None] = {}
    for stage in snapshot.stages:
        for dep in stage.deps:
            found = list(makers_of(dep, makers))
            if not found and dep in read:
                boxes.setdefault(f"data {dep}", _data_box(read[dep]))
                found = [f"data {dep}"]
            edges.update({(maker, stage.address): None for maker in found if maker in boxes})
    used = {key for edge in edges for key in edge}
    ordered = sorted(boxes.values(), key=lambda box: (box.key not in used, not box.stands_out))
    return ordered, [edge for edge in edges if edge[0] != edge[1]]


def _data_box(entry: DataEntry) -> Box:
    title = entry.path.rsplit("/", 1)[-1]
    key = f"data {entry.path}"
    return Box(key, "data", title, (_row(entry),), key)


def _row(entry: DataEntry, text: str = "") -> BoxLine:
    known = entry.hash if entry.is_fact else None
    said = MARKS.get(entry.state, "")
    full = f"{entry.path}\n{known or 'no hash yet'}\n{said}".strip()
    return BoxLine(text, short_hash(known), full, entry.state if said else "", said[:1])
