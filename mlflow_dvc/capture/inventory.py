"""From what the DVC files say to what a run in this process may claim of its data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mlflow_dvc.capture.lockfile import Stage, lock_of
from mlflow_dvc.capture.pipeline import below, parents, running_stage, script_stages
from mlflow_dvc.capture.project import Project
from mlflow_dvc.capture.reading import Reading
from mlflow_dvc.snapshot import Certainty, DataEntry, Role, Snapshot, with_data_version


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
        lock=_the_lock(locks, ()),
        warnings=snapshot.warnings + reading.warnings,
    )
    if reading.pending:
        return replace(snapshot, data=_entries(reading, _singles(reading.stages), (), set()))
    own, by_script = _own_stages(project, reading)
    known = own[0] if len(own) == 1 else None
    stale = below(reading.stages, own)
    snapshot = replace(
        snapshot,
        stage=known.address if known and not by_script else None,
        script_stage=known.address if known and by_script else None,
        data=_entries(reading, reading.stages, own, stale),
        deps=_dependencies(known, reading.stages, stale) if known else (),
        lock=_the_lock(locks, own),
        warnings=snapshot.warnings + _doubts(own),
    )
    # Where it is not clear which stage runs, neither is what it reads.
    return with_data_version(snapshot) if len(own) < 2 else snapshot


def _own_stages(project: Project, reading: Reading) -> tuple[Sequence[Stage], bool]:
    """The stage that runs, and whether it was the script that told.

    Several where DVC_STAGE does not say which; none where a script is no stage's or several's.
    """
    if project.dvc_stage:
        own = running_stage(reading.stages, project.dvc_stage, reading.root, project.directory)
        if own:
            return own, False
    if project.script:
        own = script_stages(reading.stages, project.script, reading.root)
        if len(own) == 1:
            return own, True
    return (), False


def _entries(
    reading: Reading, stages: Iterable[Stage], own: Sequence[Stage], stale: set[str]
) -> tuple[DataEntry, ...]:
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
    for stage in stages:
        certainty: Certainty = "stale" if stage.address in stale else "locked"
        for out in stage.outs:
            entries.setdefault(out.path, replace(out, role=role(out), certainty=certainty))
    return tuple(sorted(entries.values(), key=lambda entry: entry.path))


def _dependencies(stage: Stage, stages: Iterable[Stage], stale: set[str]) -> tuple[DataEntry, ...]:
    """The declared dependencies, with the hash that the lock of whoever makes them claims."""
    made = {out.path: out for other in stages if other.address not in stale for out in other.outs}
    folders = {folder for path in made for folder in parents(path)}
    deps = []
    for dep in stage.deps:
        if maker := made.get(dep):
            deps.append(replace(maker, stage=stage.address, role="input"))
        else:
            inside = dep in folders or any(folder in made for folder in parents(dep))
            role: Role = "input" if inside or "://" in dep else "code"
            deps.append(DataEntry(dep, "md5", None, cached=False, stage=stage.address, role=role))
    return tuple(deps)


def _touches(path: str, reads: set[str]) -> bool:
    return (
        path in reads
        or any(folder in reads for folder in parents(path))
        or any(read.startswith(path + "/") for read in reads)
    )


def _singles(stages: Iterable[Stage]) -> list[Stage]:
    return [stage for stage in stages if stage.name is None]


def _the_lock(locks: dict[str, str], own: Sequence[Stage]) -> str | None:
    """The md5 of the run's lock: its stage's, else the root's, else the only one."""
    mine = lock_of(own[0].file) if len(own) == 1 else ""
    for name in (mine, "dvc.lock"):
        if name in locks:
            return locks[name]
    return next(iter(locks.values())) if len(locks) == 1 else None


def _doubts(own: Sequence[Stage]) -> tuple[str, ...]:
    if len(own) < 2:
        return ()
    names = " or ".join(stage.address for stage in own)
    return (f"DVC_STAGE may mean {names}: the outputs of all of them are left out",)
