"""Verify that runs can be brought back; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from mlflow_dvc import tracking
from mlflow_dvc.dvc_backend.storage.availability import DataRef, find_available
from mlflow_dvc.errors import RunNotFoundError, TrackingUnavailableError, UnreadableRecordError
from mlflow_dvc.git.run import keep_answers
from mlflow_dvc.recall.locate import ProjectLocation, clone_project, locate_project
from mlflow_dvc.recall.lock_memory import LockMemory
from mlflow_dvc.recall.stored_record import StoredRecord, load_record_of
from mlflow_dvc.recall.verdict import Check, Verdict, overall
from mlflow_dvc.recall.verify.attached import check_attached, find_witness
from mlflow_dvc.recall.verify.code import (
    check_commit,
    check_patch,
    check_submodules,
)
from mlflow_dvc.recall.verify.data import (
    StoreAnswer,
    check_data,
    data_ref,
    find_in_commit_remotes,
)
from mlflow_dvc.recall.verify.hashes import check_code, unconfirmed_paths
from mlflow_dvc.recall.verify.record import check_record
from mlflow_dvc.recall.withheld import fill_withheld

_NO_DATA = "the record names no data: nothing to verify"


@dataclass(frozen=True)
class VerifyResult:
    """What was found of one run. ``verdict`` is the worst of its ``items``.

    Of a registered model whose run is gone ``run_id`` is empty, ``run_name`` the model.
    """

    run_id: str
    run_name: str
    verdict: Verdict
    items: tuple[Check, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to judge: the run carries no record, or one without data."""
        return bool(self.run_id) and not any(one.part == "data" and one.name for one in self.items)


def verify(
    *runs: str,
    all_runs: bool = False,
    registered: bool = False,
    project: str | None = None,
    tracking_uri: str | None = None,
) -> list[VerifyResult]:
    """Whether code and data of runs can be had, and whether their records agree with themselves.

    ``runs`` are named as for :func:`~mlflow_dvc.show`; ``all_runs`` are those of the server with a
    record, ``registered`` those behind all registered models. The project around the directory
    ``project`` (by default the working one) is asked for commits and data where the run is of it, a
    throw-away clone of the run's own remote otherwise. Nothing is downloaded but listings of
    folders.

    Raises whatever :func:`~mlflow_dvc.show` raises, and :class:`~mlflow_dvc.DvcUnavailableError`.

    >>> [found.run_name for found in mlflow_dvc.verify(registered=True) if found.verdict != "PASS"]
    []
    """
    found = {run.info.run_id: run for run in (tracking.get_run(run, tracking_uri) for run in runs)}
    if all_runs:
        found |= {run.info.run_id: run for run in tracking.recorded_runs(tracking_uri)}
    gone: list[VerifyResult] = []
    for model in tracking.registered_model_uris(tracking_uri) if registered else ():
        try:
            run = tracking.get_run(model, tracking_uri)
            found.setdefault(run.info.run_id, run)
        except RunNotFoundError as error:
            gone.append(_result("", model, (Check("record", model, "FAIL", error.problem),)))
    records = []
    for run in found.values():
        try:
            records.append(load_record_of(run, tracking_uri))
        except (UnreadableRecordError, TrackingUnavailableError) as error:
            # One line for this run: the server has answered, and the others can be judged.
            check = _unverified(run.info.run_id, f"what is attached cannot be had: {error.reason}")
            gone.append(_result(run.info.run_id, run.info.run_name or "", (check,)))
    with ExitStack() as stack:
        stack.enter_context(keep_answers())
        locations = [_locate(one, project, stack) for one in records]
        records = [
            fill_withheld(one, location.repository)
            for one, location in zip(records, locations, strict=True)
        ]
        stores = _ask_stores(records, locations)
        memory = LockMemory()
        return [
            _result(
                one.run_id,
                one.name,
                tuple(_checks(one, location, _stores_of(location, stores), memory)),
            )
            for one, location in zip(records, locations, strict=True)
        ] + gone


def _stores_of(location: ProjectLocation, stores: Mapping[str, StoreAnswer]) -> StoreAnswer:
    return stores.get(location.dvc_root or "", ({}, []))


def _locate(run: StoredRecord, project: str | None, stack: ExitStack) -> ProjectLocation:
    location = locate_project(run, project)
    return (
        location
        if location.repository or location.dvc_root
        else stack.enter_context(clone_project(run, location))
    )


def _ask_stores(
    runs: Sequence[StoredRecord], locations: Sequence[ProjectLocation]
) -> dict[str, StoreAnswer]:
    """One question to each project, about all data of its runs."""
    wanted: dict[str, dict[str, DataRef]] = {}
    for run, location in zip(runs, locations, strict=True):
        if location.dvc_root:
            wanted.setdefault(location.dvc_root, {}).update(_data_refs(run))
    own = {location.dvc_root: location.own_root for location in locations}
    stores = {
        root: find_available(root, mine.values(), own=own[root]) for root, mine in wanted.items()
    }
    for run, location in zip(runs, locations, strict=True):
        if location.dvc_root and not location.untrusted:
            kept, _ = stores[location.dvc_root]
            lacking = [one for key, one in _data_refs(run).items() if kept[key].count]
            kept |= find_in_commit_remotes(run, location, lacking)
    return stores


def _data_refs(run: StoredRecord) -> dict[str, DataRef]:
    return {one.key: one for entry in run.data() if (one := data_ref(run, entry))}


def _unverified(name: str, reason: str) -> Check:
    return Check("record", name, "UNVERIFIED", reason)


def _result(run_id: str, name: str, items: tuple[Check, ...]) -> VerifyResult:
    return VerifyResult(run_id, name, overall(items), items)


def _checks(
    run: StoredRecord, location: ProjectLocation, stores: StoreAnswer, memory: LockMemory
) -> Iterator[Check]:
    if not run.snapshot:
        yield Check("record", run.run_id, "UNVERIFIED", "the run carries no record")
        return
    said: set[Check] = set()
    unconfirmed: set[str] = set()
    for part in (run, *run.later):
        for check in _check_part(part, location, unconfirmed, memory):
            one = _name_by_part(part, check)
            if one not in said:
                said.add(one)
                yield one
    yield from (_unverified(path, "it could not be downloaded") for path in run.unread)
    for folder in run.unreadable:
        yield _unverified(f"{folder}/snapshot.json", "it is not readable")
    data = list(check_data(run, location, stores, unconfirmed))
    yield from data or [Check("data", "", "UNVERIFIED", _NO_DATA)]


def _check_part(
    run: StoredRecord, location: ProjectLocation, unconfirmed: set[str], memory: LockMemory
) -> Iterator[Check]:
    """``unconfirmed`` takes the paths of data of which git does not tell."""
    yield check_record(run)
    if run.snapshot.git:
        yield check_commit(run, location.repository)
        yield from check_submodules(run, location.repository)
        if run.snapshot.git.dirty is not False or run.code_files:
            yield check_patch(run, location.repository)
    with ExitStack() as stack:
        witness = find_witness(run, location, memory, stack)
        run = fill_withheld(run, witness.repository)
        witness = replace(witness, run=run)
        yield from check_attached(run, witness)
        yield from check_code(run, witness)
        unconfirmed |= unconfirmed_paths(run, witness)


def _name_by_part(part: StoredRecord, check: Check) -> Check:
    is_file = check.part in ("record", "patch", "lock", "file")
    return replace(check, name=f"{part.folder}/{check.name}") if part.folder and is_file else check
