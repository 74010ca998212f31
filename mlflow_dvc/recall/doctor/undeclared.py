"""What real runs read and their stages do not declare, and the change of dvc.yaml that mends it."""

from __future__ import annotations

import difflib
import posixpath
from collections.abc import Iterator, Sequence
from itertools import groupby

import yaml

from mlflow_dvc import tags as tag
from mlflow_dvc.capture.undeclared import remembered_undeclared
from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.paths import lies_in
from mlflow_dvc.recall.doctor.context import DoctorContext, Pipeline
from mlflow_dvc.recall.doctor.finding import Violation

_RUN_DIGITS = 8


def undeclared_read(context: DoctorContext) -> Iterator[Violation]:
    """Of the newest run of each stage; of its last run on this machine, if no server tells."""
    for stage, path, run in _undeclared(context):
        what = f"{run} read {path}, which is not among its deps"
        fix = f"Under its deps in {stage.file}: - {_seen_from(stage, path)}"
        yield Violation(stage.address, what, fix)


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
    """Stage, path, and in words which run read it."""
    stages = {stage.address: stage for stage, _ in context.stages}
    told = {} if context.is_local else dict(_told_by_runs(context))
    here = remembered_undeclared(context.reading.root)
    for address, stage in stages.items():
        run, paths = told.get(address) or ("its last run on this machine", here.get(address, ()))
        for path in paths:
            if not lies_in(path, frozenset(stage.deps)):
                yield stage, path, run


def _told_by_runs(context: DoctorContext) -> Iterator[tuple[str, tuple[str, Sequence[str]]]]:
    """By the address of a stage its newest run, and what that read and was not declared."""
    for run in reversed(context.finished.runs):
        tags = run.data.tags
        if tag.READS in tags:
            name = f"run {run.info.run_id[:_RUN_DIGITS]}"
            yield tags[tag.STAGE], (name, tag.undeclared_in(tags))


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
