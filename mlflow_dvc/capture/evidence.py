"""Apply what became known later to a Snapshot: the disk check, and what the stage made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace

from mlflow_dvc.dvc_backend.hash_query import ALGORITHMS, Answer, HashQuery, HashResult
from mlflow_dvc.dvc_backend.lock_entry import LockedStage
from mlflow_dvc.dvcfiles.lock_file import lock_path
from mlflow_dvc.dvcfiles.locked_dataset import dataset_name, locked_dataset
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.fingerprint import md5_of
from mlflow_dvc.paths import is_address, parents
from mlflow_dvc.snapshot import (
    DataEntry,
    Snapshot,
    State,
    data_version,
    inputs,
    uncovered_reads,
    with_data_version,
)

# What was applied last: the runs of a sweep find the same.
_applied: tuple[Snapshot, Answer, Set[str], Snapshot] | None = None
# Worst first; `unverified` may turn out to be any of the others.
_WORST_FIRST: tuple[State, ...] = ("modified", "missing", "unverified", "clean")


def with_status(snapshot: Snapshot) -> Snapshot:
    """``snapshot`` with the status of its inputs as they are now, and their version."""
    return with_data_version(replace(snapshot, data_status=_status(snapshot)))


def stage_of(snapshot: Snapshot, reading: ProjectReading) -> Stage | None:
    """The stage that the run is of, by DVC or by its script."""
    address = snapshot.stage or snapshot.script_stage
    return next((stage for stage in reading.stages if stage.address == address), None)


def hash_queries(snapshot: Snapshot, reading: ProjectReading) -> dict[tuple[str, str], HashQuery]:
    """What to look for on disk, by part (``data`` or ``deps``) and path; the run's inputs first."""
    stage = stage_of(snapshot, reading)
    locked = stage.locked_deps if stage else {}
    asked = {}
    for dep in snapshot.deps:
        # DVC writes a new hash of the same kind as before, whatever the kind is elsewhere.
        algorithm, value = locked.get(dep.path, ("md5", None))
        asked["deps", dep.path] = HashQuery(dep.path, algorithm, value)
    for entry in sorted(snapshot.data, key=lambda entry: entry.role != "input"):
        if entry.is_fact:
            asked["data", entry.path] = HashQuery(entry.path, entry.algorithm, entry.hash)
    return {
        key: question
        for key, question in asked.items()
        if question.algorithm in ALGORITHMS and "://" not in question.path
    }


def apply_disk_check(
    snapshot: Snapshot,
    asked: Mapping[tuple[str, str], HashQuery],
    answer: Answer,
    started: int | None,
    missing: Set[str] = frozenset(),
) -> Snapshot:
    """``snapshot`` with what lay on disk when the run started, ``started`` ns after 1970.

    What was touched since then may have been different: of that nothing new is said. None for the
    present moment. ``missing`` are the paths at which nothing lay when the run had just started.

    Of an equal answer for the same ``snapshot`` it is the same object.
    """
    global _applied
    is_settled = started is not None and all(row.changed <= started for row in answer.values())
    known = _applied
    if is_settled and known and known[0] is snapshot and known[1:3] == (answer, missing):
        return known[3]
    checked = _apply(snapshot, asked, answer, started, missing)
    if is_settled:
        _applied = snapshot, answer, missing, checked
    return checked


def _apply(
    snapshot: Snapshot,
    asked: Mapping[tuple[str, str], HashQuery],
    answer: Answer,
    started: int | None,
    missing: Set[str],
) -> Snapshot:
    def found(part: str, path: str) -> HashResult | None:
        question = asked.get((part, path))
        row = answer.get(question.key) if question else None
        return replace(row, changed=0) if row and row.missing and path in missing else row

    data = tuple(_compare(entry, found("data", entry.path), started) for entry in snapshot.data)
    by_path = {entry.path: entry for entry in data}
    deps = tuple(
        _copy_output_state(_compare(dep, found("deps", dep.path), started), by_path.get(dep.path))
        for dep in snapshot.deps
    )
    checked = replace(snapshot, data=data, deps=deps)
    checked = replace(checked, data_status=_status(checked))
    was_known = snapshot.data_version or snapshot.stage or snapshot.script_stage
    return with_data_version(checked) if was_known else checked


def _compare(entry: DataEntry, found: HashResult | None, started: int | None) -> DataEntry:
    if found is None:
        return entry
    if started is not None and found.changed > started:
        return entry
    if found.missing:
        return replace(entry, state="missing")
    if found.hash is None:  # there, and nobody can tell what it is
        return replace(entry, hash=None)
    same_kind = found.algorithm == entry.algorithm
    differs = entry.hash is not None and same_kind and found.hash != entry.hash
    is_clean = not differs and (same_kind or not entry.hash)
    return replace(
        entry.with_hash_of(found), certainty="disk", state="clean" if is_clean else "modified"
    )


def _copy_output_state(dep: DataEntry, out: DataEntry | None) -> DataEntry:
    """A dependency takes the state of the output at its path."""
    if out is None or out.certainty == "stale" or not dep.is_observed:
        return dep
    return replace(dep, state=out.state)


def _status(snapshot: Snapshot) -> State:
    """Of what the run reads: all of it is clean, or the worst that is known of a part."""
    entries = [entry for entry in (*snapshot.deps, *snapshot.data) if entry.role == "input"]
    states: set[State] = {entry.state for entry in entries}
    if _is_uncovered(snapshot, entries):
        states.add("unverified")
    return next((state for state in _WORST_FIRST if state in states), "clean")


def _is_uncovered(snapshot: Snapshot, entries: Iterable[DataEntry]) -> bool:
    """Whether something that the run may have read is not known; of a stage, what it declares."""
    if not snapshot.has_stage:
        return bool(uncovered_reads(snapshot))
    files = {line.partition(": ")[0] for line in snapshot.uncovered}
    return any(
        f"{path}.dvc" in files or path in files
        for entry in entries
        for path in (entry.path, *parents(entry.path))
    )


def apply_stage_result(
    snapshot: Snapshot,
    seal: LockedStage,
    file: str,
    at: float,
    *,
    touched: Set[str] = frozenset(),
) -> Snapshot:
    """``snapshot`` after its stage, of the dvc.yaml ``file``, has run.

    ``at`` is when that was found out, in seconds since 1970. What the stage read is what lay there
    when it began, whatever the lock says: https://github.com/treeverse/dvc/issues/11058. Of
    ``touched`` dependencies, written since then, the hash at the end says nothing.
    """
    ends = {dep.path: dep for dep in seal.deps}
    ends |= {path: locked_dataset(info).entry(path) for path, info in seal.datasets.items()}
    unlike = [dep.path for dep in snapshot.deps if _is_another(dep, ends.get(dep.path))]
    unknown = [dep.path for dep in snapshot.deps if dep.path in touched and not dep.is_observed]
    known = {path: dep for path, dep in ends.items() if path not in {*unlike, *unknown}}
    # What a lock said of them before is no fact either.
    before = (replace(dep, hash=None) if dep.path in unknown else dep for dep in snapshot.deps)
    lock = md5_of(seal.lock)
    sealed = replace(
        snapshot,
        data=tuple(sorted(_with_outs(snapshot, seal), key=lambda entry: entry.path)),
        deps=tuple(_take_hash(dep, known.get(dep.path)) for dep in before),
        lock=lock,
        locks={**(snapshot.locks or {}), lock_path(file): lock},
        attached=snapshot.attached and {**snapshot.attached, lock_path(file): lock},
        seal="provisional",
        sealed_at=at,
        changed=tuple(dict.fromkeys((*snapshot.changed, *unlike, *unknown))),
    )
    sealed = _with_addresses(snapshot, sealed)
    if not any(dep.path in unknown for dep in inputs(snapshot)):
        return sealed
    return with_data_version(replace(sealed, data_status="unverified"))


def _is_another(dep: DataEntry, end: DataEntry | None) -> bool:
    """Whether what the stage read is known, and was another at its end."""
    if end is None or not dep.is_observed:
        return False
    if dataset_name(dep.path) is not None:
        return (dep.algorithm, dep.hash) != (end.algorithm, end.hash)
    return dep.algorithm == end.algorithm and dep.hash != end.hash


def _with_addresses(before: Snapshot, sealed: Snapshot) -> Snapshot:
    """With the status and the version of inputs at addresses, which DVC looks at to lock them.

    All other inputs count in the version as they were when the run started.
    """
    late = [dep for dep in before.deps if dep.role == "input" and _is_late(dep)]
    if not late:
        return sealed
    if before.data_status == "unverified":
        sealed = replace(sealed, data_status=_status(sealed))
    now = {dep.path: dep for dep in sealed.deps}
    read = [now.get(entry.path, entry) if _is_late(entry) else entry for entry in inputs(before)]
    return replace(sealed, data_version=data_version(read))


def has_late_inputs(snapshot: Snapshot) -> bool:
    """Whether an input became known when its stage was sealed."""
    return any(_is_late(entry) and entry.is_observed for entry in inputs(snapshot))


def _is_late(dep: DataEntry) -> bool:
    """Whether it lies where nobody looks when a run starts. A dataset has its version then."""
    return is_address(dep.path) and dataset_name(dep.path) is None


def _with_outs(snapshot: Snapshot, seal: LockedStage) -> Iterator[DataEntry]:
    made = {out.path: out for out in seal.outs}
    for entry in snapshot.data:
        out = made.pop(entry.path, None)
        yield _take_hash(replace(entry, role="output") if out else entry, out)
    yield from (replace(out, certainty="sealed", state="clean") for out in made.values())


def _take_hash(entry: DataEntry, now: DataEntry | None) -> DataEntry:
    if now is None:
        return entry
    is_looked_at = entry.role == "output" or (entry.state == "unverified" and _is_late(entry))
    state: State = "clean" if is_looked_at else entry.state
    source = now.source or entry.source
    if now.size is None and (entry.algorithm, entry.hash) == (now.algorithm, now.hash):
        now = entry  # a lock's dependency, say, of which the size is known
    return replace(entry.with_hash_of(now), source=source, certainty="sealed", state=state)
