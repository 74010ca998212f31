"""The graph of stages: which one is running, and what is downstream of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.paths import parents
from mlflow_dvc.project import Project, relative


def running_stages(stages: Sequence[Stage], address: str) -> list[Stage]:
    """The stages that ``DVC_STAGE`` may mean; none when it names a stage of another project.

    The address is seen from where ``dvc repro`` was called, which the command cannot know: in a
    project with several pipelines, ``train`` may be a stage of any of them.
    """
    file, colon, name = address.rpartition(":")
    if not colon and not address.endswith(".dvc"):
        file = "dvc.yaml"  # of the directory where DVC was called
    elif not colon:
        file, name = address, ""
    tail = "/" + "/".join(part for part in file.split("/") if part not in ("", ".", ".."))
    return [
        stage for stage in stages if (stage.name or "") == name and f"/{stage.file}".endswith(tail)
    ]


def guess_stage(stages: Sequence[Stage], project: Project, root: str) -> Stage | None:
    """The one of ``stages`` that runs, as far as the working directory and the script tell.

    Both must: a command may change the directory, and stages may share a script.
    """
    if len(stages) == 1:
        return stages[0]
    script = _inside(project.script, root)
    here = [
        stage
        for stage in stages
        if script in stage.deps
        and os.path.realpath(os.path.join(root, stage.wdir)) == project.directory
    ]
    return here[0] if len(here) == 1 else None


def script_stages(stages: Iterable[Stage], project: Project, root: str) -> list[Stage]:
    """The stages of dvc.yaml files that declare the running script, or a folder that it lies in."""
    script = _inside(project.script, root)
    if script is None:
        return []
    named = [stage for stage in stages if stage.name is not None]
    exactly = [stage for stage in named if script in stage.deps]
    folders = set(parents(script))
    return exactly or [stage for stage in named if folders.intersection(stage.deps)]


def downstream(stages: Sequence[Stage], starts: Iterable[Stage]) -> set[str]:
    """The addresses of ``starts``, and of all stages that read what these write, and so on."""
    readers = _index_consumers(stages)
    reached = {stage.address: stage for stage in starts}
    pending = list(reached.values())
    while pending:
        for out in pending.pop().outs:
            for stage in _consumers(out.path, readers):
                if stage.address not in reached:
                    reached[stage.address] = stage
                    pending.append(stage)
    return set(reached)


def overlapping_outputs(stages: Iterable[Stage]) -> Iterator[str]:
    """Outputs that two stages claim, or that lie inside one another: DVC refuses such a project."""
    owners: dict[str, str] = {}
    for stage in stages:
        for out in stage.outs:
            other = owners.setdefault(out.path, stage.address)
            if other != stage.address:
                yield f"{out.path}: DVC refuses an output of {other} and of {stage.address}"
    for path, owner in owners.items():
        for parent in parents(path):
            if parent in owners:
                owner_above = owners[parent]
                yield f"{path}: DVC refuses an output of {owner} inside {parent} of {owner_above}"


def _inside(path: str | None, root: str) -> str | None:
    """``path`` seen from ``root``; None where it lies elsewhere."""
    seen = relative(path, root) if path else ".."
    return None if seen == ".." or seen.startswith("../") else seen


def _index_consumers(
    stages: Sequence[Stage],
) -> tuple[dict[str, list[Stage]], dict[str, list[Stage]]]:
    """Stages by each path they depend on, and by each folder above such a path."""
    by_path: dict[str, list[Stage]] = {}
    by_folder: dict[str, list[Stage]] = {}
    for stage in stages:
        for dep in chain(stage.deps, stage.params):
            by_path.setdefault(dep, []).append(stage)
            for folder in parents(dep):
                by_folder.setdefault(folder, []).append(stage)
    return by_path, by_folder


def _consumers(
    path: str, readers: tuple[dict[str, list[Stage]], dict[str, list[Stage]]]
) -> Iterator[Stage]:
    """Readers of ``path``, of something inside it, or of a folder it lies in."""
    by_path, by_folder = readers
    yield from by_path.get(path, ())
    yield from by_folder.get(path, ())
    for folder in parents(path):
        yield from by_path.get(folder, ())
