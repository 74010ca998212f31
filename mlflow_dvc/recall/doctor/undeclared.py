"""What real runs read and their stages do not declare, and the change of dvc.yaml that mends it."""

from __future__ import annotations

import difflib
import posixpath
from collections.abc import Iterator, Sequence
from itertools import groupby

import yaml

from mlflow_dvc import tags as tag
from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.paths import lies_in
from mlflow_dvc.recall.doctor.context import DoctorContext, Pipeline
from mlflow_dvc.recall.doctor.finding import Violation

_RUN_DIGITS = 8


def undeclared_read(context: DoctorContext) -> Iterator[Violation]:
    """Of the newest run of each stage."""
    for stage, path, run_id in _undeclared(context):
        seen = _seen_from(stage, path)
        what = f"run {run_id[:_RUN_DIGITS]} read {path}, which is not among its deps"
        yield Violation(stage.address, what, f"Under its deps in {stage.file}: - {seen}")


def declaring_patch(context: DoctorContext) -> str:
    """The change of every dvc.yaml that declares it, as ``git apply`` takes it in the DVC root.

    Stages of which the text does not tell where, as those of templates, are left out.
    """
    found = sorted(_undeclared(context), key=lambda one: one[0].file)
    texts = {pipeline.file: _text(pipeline) for pipeline in context.pipelines}
    patches: list[str] = []
    for file, group in groupby(found, key=lambda one: one[0].file):
        after = before = texts[file]
        for stage, path, _ in group:
            after = _with_dep(after, stage.name or "", _seen_from(stage, path)) or after
        old, new = (text.splitlines(keepends=True) for text in (before, after))
        patches += difflib.unified_diff(old, new, f"a/{file}", f"b/{file}")
    return "".join(patches)


def _undeclared(context: DoctorContext) -> Iterator[tuple[Stage, str, str]]:
    stages = {stage.address: stage for stage, _ in context.stages}
    told = set()
    for run in context.finished.runs:
        address = run.data.tags[tag.STAGE]
        if address in told or tag.READS not in run.data.tags:
            continue
        told.add(address)
        stage = stages[address]
        for path in tag.undeclared_in(run.data.tags):
            if not lies_in(path, frozenset(stage.deps)):
                yield stage, path, str(run.info.run_id)


def _seen_from(stage: Stage, path: str) -> str:
    return posixpath.relpath(path, stage.wdir)


def _text(pipeline: Pipeline) -> str:
    return pipeline.dvc_file.content.decode("utf-8", "replace")


def _with_dep(text: str, stage: str, path: str) -> str | None:
    """The text of a dvc.yaml with one dependency more; None where it does not tell where."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    node = _child(_child(root, "stages"), stage)
    if not isinstance(node, yaml.MappingNode) or node.flow_style or not node.value:
        return None
    if _child(node, "foreach") or _child(node, "matrix"):
        return None
    word = yaml.safe_dump(path, default_flow_style=True).splitlines()[0]
    deps = _child(node, "deps")
    lines = text.splitlines(keepends=True)
    if deps is None:
        first = node.value[0][0].start_mark
        indent = " " * first.column
        lines.insert(first.line, f"{indent}deps:\n{indent}  - {word}\n")
    elif isinstance(deps, yaml.SequenceNode) and deps.value and deps.flow_style:
        at = deps.value[-1].end_mark
        line = lines[at.line]
        lines[at.line] = f"{line[: at.column]}, {word}{line[at.column :]}"
    elif isinstance(deps, yaml.SequenceNode) and deps.value:
        first, last = deps.value[0].start_mark, deps.value[-1].end_mark
        line = last.line if last.column else last.line - 1
        if not lines[line].endswith("\n"):
            lines[line] += "\n"
        lines.insert(line + 1, f"{' ' * deps.start_mark.column}- {word}\n")
    else:
        return None
    return "".join(lines)


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs: Sequence[tuple[yaml.Node, yaml.Node]] = (
        node.value if isinstance(node, yaml.MappingNode) else ()
    )
    return next((value for name, value in pairs if name.value == key), None)
