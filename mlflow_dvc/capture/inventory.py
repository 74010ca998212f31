"""From what the DVC files say to what a run in this process may claim of its data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from mlflow_dvc.capture.code import is_code
from mlflow_dvc.capture.files import digest_of
from mlflow_dvc.capture.lockfile import Stage, lock_of
from mlflow_dvc.capture.pipeline import (
    below,
    likeliest,
    parents,
    running_stages,
    script_stages,
)
from mlflow_dvc.capture.project import Project
from mlflow_dvc.capture.reading import Reading
from mlflow_dvc.snapshot import (
    Certainty,
    DataEntry,
    Role,
    Snapshot,
    StageNode,
    with_data_version,
)

_NAMED = 5


def with_data(snapshot: Snapshot, project: Project, reading: Reading) -> Snapshot:
    """``snapshot`` with the outputs of the project, and the dependencies of the stage that runs.

    While templates of a dvc.yaml are not resolved, no output of any pipeline is claimed: it could
    lie below the stage that runs.
    """
    locks = reading.locks
    snapshot = replace(
        snapshot,
        root=project.relative_root,
        experiment=project.experiment,
        data_status="unverified",
        seal="none",
        locks=locks,
        lock=_the_lock(locks, None),
        workspace=workspace_of(reading.root),
        stages=tuple(
            StageNode(stage.address, stage.deps) for stage in reading.stages if stage.name
        ),
        warnings=snapshot.warnings + reading.warnings,
    )
    if reading.pending:
        singles = tuple(source for source in reading.sources if source.file.endswith(".dvc"))
        others = Reading(reading.root, replace(reading.content, sources=singles))
        return replace(snapshot, data=_entries(others, (), set()))
    own, by_script = _own_stages(project, reading)
    known = likeliest(own, project, reading.root) if own else None
    # Where it is not clear which stage runs, the outputs of each that it may be are left out.
    stale = below(reading.stages, own)
    snapshot = replace(
        snapshot,
        stage=known.address if known and not by_script else None,
        script_stage=known.address if known and by_script else None,
        data=_entries(reading, own, stale),
        deps=_dependencies(known, reading, stale, project) if known else (),
        lock=_the_lock(locks, known),
        warnings=snapshot.warnings + (() if known else _doubts(own)),
    )
    return with_data_version(snapshot) if known or not own else snapshot


def workspace_of(root: str) -> str | None:
    """One checkout of a project, told from others as DVC does: by the age of a file of its own."""
    try:
        status = os.stat(os.path.join(root, ".dvc", "tmp", "btime"))
    except OSError:  # no command of DVC has run here
        return None
    return digest_of(str(status.st_mtime_ns).encode())[:12]


def _own_stages(project: Project, reading: Reading) -> tuple[Sequence[Stage], bool]:
    """The stages of which one runs now, and whether it was the script that told."""
    if project.dvc_stage:
        own = running_stages(reading.stages, project.dvc_stage)
        if own:
            return own, False
    return script_stages(reading.stages, project, reading.root), True


def _entries(reading: Reading, own: Sequence[Stage], stale: set[str]) -> tuple[DataEntry, ...]:
    """Every output, once; those of ``stale`` stages are of an earlier run.

    Without a known stage the inputs are the cached outputs that were ever made. Where files could
    not be read, one that seems never made may well have been, and counts: its hash is unknown.
    """
    mine = {stage.address for stage in own}
    reads = {dep for stage in own for dep in stage.deps}
    doubtful = bool(reading.warnings)

    def role(out: DataEntry) -> Role | None:
        if out.stage in stale:
            return "output" if out.stage in mine else None
        is_input = _touches(out.path, reads) if own else out.cached and (out.hash or doubtful)
        return "input" if is_input else None

    entries: dict[str, DataEntry] = {}
    for stage in reading.stages:
        certainty: Certainty = "stale" if stage.address in stale else "locked"
        for out in stage.outs:
            entries.setdefault(out.path, replace(out, role=role(out), certainty=certainty))
    return tuple(sorted(entries.values(), key=lambda entry: entry.path))


def _dependencies(
    stage: Stage, reading: Reading, stale: set[str], project: Project
) -> tuple[DataEntry, ...]:
    """The declared dependencies, with the hash that the lock of whoever makes them claims."""
    made = {
        out.path: out
        for other in reading.stages
        if other.address not in stale
        for out in other.outs
    }
    folders = {folder for path in made for folder in parents(path)}
    deps = []
    for dep in stage.deps:
        if maker := made.get(dep):
            deps.append(replace(maker, stage=stage.address, role="input"))
            continue
        tracked = dep in folders or any(folder in made for folder in parents(dep))
        role: Role = "code" if not tracked and is_code(dep, reading.root, project) else "input"
        deps.append(DataEntry(dep, "md5", None, cached=False, stage=stage.address, role=role))
    return tuple(deps)


def _touches(path: str, reads: set[str]) -> bool:
    return (
        path in reads
        or any(folder in reads for folder in parents(path))
        or any(read.startswith(path + "/") for read in reads)
    )


def _the_lock(locks: dict[str, str], stage: Stage | None) -> str | None:
    """The md5 of the run's lock: its stage's, else the root's, else the only one."""
    for name in (lock_of(stage.file) if stage else "", "dvc.lock"):
        if name in locks:
            return locks[name]
    return next(iter(locks.values())) if len(locks) == 1 else None


def _doubts(own: Sequence[Stage]) -> tuple[str, ...]:
    if not own:
        return ()
    names = ", ".join(stage.address for stage in own[:_NAMED])
    more = ", ..." if len(own) > _NAMED else ""
    return (f"which of these stages runs is not clear: {names}{more}; their outputs are left out",)
