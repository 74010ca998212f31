"""Which hashes a run in this process may claim, from what the DVC files say."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import replace

from mlflow_dvc.dvcfiles.lock_file import lock_path
from mlflow_dvc.dvcfiles.locked_dataset import dataset_name, find_dataset
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.dvcfiles.stage_graph import downstream, guess_stage, running_stages, script_stages
from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.fingerprint import md5_of
from mlflow_dvc.git.code_files import is_program
from mlflow_dvc.paths import DATASET_SCHEME, is_address, parents
from mlflow_dvc.project import Project
from mlflow_dvc.snapshot import (
    Certainty,
    DataEntry,
    Role,
    Snapshot,
    StageNode,
    with_data_version,
)

_MAX_NAMED_STAGES = 5


def claim_data(
    snapshot: Snapshot, project: Project, reading: ProjectReading, unhashed: Set[str]
) -> Snapshot:
    """``snapshot`` with the outputs of the project, and the dependencies of the stage that runs.

    ``unhashed`` is the tracked data without a hash that lies there.

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
        lock=_lock_digest(locks, None),
        workspace=checkout_id(reading.root),
        stages=tuple(
            StageNode(stage.address, stage.deps) for stage in reading.stages if stage.name
        ),
        warnings=snapshot.warnings + reading.warnings,
        uncovered=reading.warnings,
    )
    if reading.pending:
        singles = tuple(source for source in reading.dvc_files if source.file.endswith(".dvc"))
        others = ProjectReading(reading.root, replace(reading.content, dvc_files=singles))
        return replace(snapshot, data=_entries(others, (), set(), unhashed))
    own, by_script = _own_stages(project, reading)
    known = guess_stage(own, project, reading.root) if own else None
    # Where it is not clear which stage runs, the outputs of each that it may be are left out.
    stale = downstream(reading.stages, own)
    snapshot = replace(
        snapshot,
        stage=known.address if known and not by_script else None,
        script_stage=known.address if known and by_script else None,
        data=_entries(reading, own, stale, unhashed),
        uncovered=(
            *reading.warnings,
            *_unhashed_lines(reading, stale, unhashed),
            *(_dataset_lines(known, reading) if known else ()),
        ),
        deps=_dependencies(known, reading, stale, project) if known else _datasets(own, reading),
        lock=_lock_digest(locks, known),
        warnings=snapshot.warnings + (() if known else _ambiguous_stage_warning(own)),
    )
    return with_data_version(snapshot) if known or not own else snapshot


def checkout_id(root: str) -> str | None:
    """One checkout of a project, told from others as DVC does: by the age of a file of its own."""
    try:
        status = os.stat(os.path.join(root, ".dvc", "tmp", "btime"))
    except OSError:  # no command of DVC has run here
        return None
    return md5_of(str(status.st_mtime_ns).encode())[:12]


def _own_stages(project: Project, reading: ProjectReading) -> tuple[Sequence[Stage], bool]:
    """The stages of which one runs now, and whether it was the script that told."""
    if project.dvc_stage:
        own = running_stages(reading.stages, project.dvc_stage)
        if own:
            return own, False
    return script_stages(reading.stages, project, reading.root), True


def _entries(
    reading: ProjectReading, own: Sequence[Stage], stale: set[str], unhashed: Set[str]
) -> tuple[DataEntry, ...]:
    """Every output, once; those of ``stale`` stages are of an earlier run.

    Without a known stage the inputs are the cached outputs that were ever made: those that have a
    hash, or lie there; less what a stage makes and no stage reads, such as the final model. Where
    files could not be read, all others are kept as inputs that are not known.
    """
    mine = {stage.address for stage in own}
    readers = own or reading.stages
    is_read = _touching(dep for stage in readers for dep in stage.deps)
    pipeline = {stage.address for stage in reading.stages if stage.name}
    doubtful = bool(reading.warnings)

    def role(out: DataEntry) -> Role | None:
        if out.stage in stale:
            return "output" if out.stage in mine else None
        if own:
            return "input" if is_read(out.path) else None
        if out.stage in pipeline and not is_read(out.path):
            return None
        was_made = out.hash or doubtful or out.path in unhashed
        return "input" if out.cached and was_made else None

    entries: dict[str, DataEntry] = {}
    for stage in reading.stages:
        certainty: Certainty = "stale" if stage.address in stale else "locked"
        for out in stage.outs:
            entries.setdefault(out.path, replace(out, role=role(out), certainty=certainty))
    return tuple(sorted(entries.values(), key=lambda entry: entry.path))


def _unhashed_lines(reading: ProjectReading, stale: set[str], unhashed: Set[str]) -> list[str]:
    """A line for each of ``unhashed``; what stages downstream make is not the run's."""
    later = {out.path for stage in reading.stages if stage.address in stale for out in stage.outs}
    return [f"{path}: DVC's files have no hash of it" for path in sorted(unhashed - later)]


def _dependencies(
    stage: Stage, reading: ProjectReading, stale: set[str], project: Project
) -> tuple[DataEntry, ...]:
    """The declared dependencies, with the hash that the producing stage's lock records."""
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
        if dataset_name(dep):
            deps.append(
                replace(find_dataset(dep, reading.datasets).entry(dep), stage=stage.address)
            )
            continue
        tracked = (
            is_address(dep) or dep in folders or any(folder in made for folder in parents(dep))
        )
        role: Role = "code" if not tracked and is_code(dep, reading.root, project) else "input"
        deps.append(DataEntry(dep, "md5", None, cached=False, stage=stage.address, role=role))
    return tuple(deps)


def _dataset_lines(stage: Stage, reading: ProjectReading) -> list[str]:
    """A line for each dataset that the stage reads in a version that is not known."""
    named = [(dep, find_dataset(dep, reading.datasets)) for dep in stage.deps if dataset_name(dep)]
    return [f"{dep}: {dataset.fault}" for dep, dataset in named if dataset.fault]


def _datasets(own: Sequence[Stage], reading: ProjectReading) -> tuple[DataEntry, ...]:
    """What a script without a stage can read besides files; nothing can read one without version.

    Where it is not clear which of the stages ``own`` runs, nothing is told of what it reads.
    """
    paths = dict.fromkeys(f"{DATASET_SCHEME}{one.name}" for one in reading.datasets)
    found = ((path, find_dataset(path, reading.datasets)) for path in sorted(paths))
    return () if own else tuple(one.entry(path) for path, one in found if one.hash)


def _touching(paths: Iterable[str]) -> Callable[[str], bool]:
    """Whether a path is one of ``paths``, lies in one of them, or holds one."""
    named = set(paths)
    above = {folder for path in named for folder in parents(path)}
    return lambda path: (
        path in named or path in above or any(folder in named for folder in parents(path))
    )


def _lock_digest(locks: dict[str, str], stage: Stage | None) -> str | None:
    """The md5 of the run's lock: its stage's, else the root's, else the only one."""
    for name in (lock_path(stage.file) if stage else "", "dvc.lock"):
        if name in locks:
            return locks[name]
    return next(iter(locks.values())) if len(locks) == 1 else None


def _ambiguous_stage_warning(own: Sequence[Stage]) -> tuple[str, ...]:
    if not own:
        return ()
    names = ", ".join(stage.address for stage in own[:_MAX_NAMED_STAGES])
    more = ", ..." if len(own) > _MAX_NAMED_STAGES else ""
    return (f"which of these stages runs is not clear: {names}{more}; their outputs are left out",)


def is_code(path: str, root: str, project: Project) -> bool:
    """Whether the dependency ``path`` of a stage, which DVC does not track, is code.

    A folder is if the running script lies in it, or a program stands in it.
    """
    where = os.path.join(root, path)
    if project.script and (project.script + os.sep).startswith(where.rstrip(os.sep) + os.sep):
        return True
    try:
        with os.scandir(where) as entries:
            return any(is_program(entry.name) for entry in entries)
    except OSError:  # a file, or not there
        return is_program(path)
