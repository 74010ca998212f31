"""All checks of one run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlflow_dvc.recall.locate import CommitCopies, ProjectLocation
from mlflow_dvc.recall.lock_memory import LockMemory
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.recall.verdict import Check
from mlflow_dvc.recall.verify.attached import check_attached, find_witness
from mlflow_dvc.recall.verify.code import check_commit, check_patch, check_pin, check_submodules
from mlflow_dvc.recall.verify.data import StoreAnswer, check_data
from mlflow_dvc.recall.verify.hashes import check_code, unconfirmed_paths
from mlflow_dvc.recall.verify.reads import check_reads
from mlflow_dvc.recall.verify.record import check_record
from mlflow_dvc.recall.withheld import fill_withheld

_NO_DATA = "the record names no data: nothing to verify"


def check_run(
    run: StoredRecord,
    location: ProjectLocation,
    stores: StoreAnswer,
    memory: LockMemory,
    copies: CommitCopies,
) -> Iterator[Check]:
    """``stores`` is what those of the project answer of the run's data."""
    if not run.snapshot:
        yield unverified(run.run_id, "the run carries no record")
        return
    said: set[Check] = set()
    unconfirmed: set[str] = set()
    for part in (run, *run.later):
        for check in _check_part(part, location, unconfirmed, memory, copies):
            one = _name_by_part(part, check)
            if one not in said:
                said.add(one)
                yield one
    yield from (unverified(path, "it could not be downloaded") for path in run.unread)
    for folder in run.unreadable:
        yield unverified(f"{folder}/snapshot.json", "it is not readable")
    data = list(check_data(run, location, stores, unconfirmed))
    yield from data or [Check("data", "", "UNVERIFIED", _NO_DATA)]


def unverified(name: str, reason: str) -> Check:
    """Of the record, or of a file of it."""
    return Check("record", name, "UNVERIFIED", reason)


def _check_part(
    run: StoredRecord,
    location: ProjectLocation,
    unconfirmed: set[str],
    memory: LockMemory,
    copies: CommitCopies,
) -> Iterator[Check]:
    """``unconfirmed`` takes the paths of data of which git does not tell."""
    yield check_record(run)
    if run.snapshot.git:
        pins = list(check_pin(run, location.repository))
        if run.snapshot.git.sha or not any(one.verdict == "PASS" for one in pins):
            yield check_commit(run, location.repository)
        yield from pins
        yield from check_submodules(run, location.repository)
        if run.snapshot.git.dirty is not False or run.code_files:
            yield check_patch(run, location.repository)
    yield from check_reads(run, location.repository)
    witness = find_witness(run, location, memory, copies)
    run = fill_withheld(run, witness.repository)
    witness = replace(witness, run=run)
    yield from check_attached(run, witness)
    yield from check_code(run, witness)
    unconfirmed |= unconfirmed_paths(run, witness)


def _name_by_part(part: StoredRecord, check: Check) -> Check:
    is_file = check.part in ("record", "patch", "lock", "file")
    return replace(check, name=f"{part.folder}/{check.name}") if part.folder and is_file else check
