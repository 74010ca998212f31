"""Carry out what was judged of a run: write into its record what its lock says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from mlflow_dvc import tracking
from mlflow_dvc.capture import evidence
from mlflow_dvc.capture.withheld_files import reasons_to_withhold
from mlflow_dvc.dvc_backend.lock_entry import LockedStage
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.recall.sync.candidate import Candidate
from mlflow_dvc.recall.sync.locks import StageLock, StageLocks
from mlflow_dvc.recall.sync.redraw import redraw_first_page, redraw_pages
from mlflow_dvc.recall.sync.result import Difference, SyncResult, SyncVerdict
from mlflow_dvc.recall.tracked_store import outputs_at
from mlflow_dvc.snapshot import DataEntry, Snapshot, find_newer
from mlflow_dvc.snapshot import Seal as SealTag
from mlflow_dvc.tracking import RunPart


class Judgement(NamedTuple):
    """``lock`` is the one that the verdict is by; None where it is not taken over."""

    verdict: SyncVerdict
    reason: str = ""
    lock: StageLock | None = None


def is_locked_early(candidate: Candidate, lock: StageLock, locks: StageLocks) -> bool:
    """Whether a lock has the run's outputs, and of what changed meanwhile what the run read.

    So does a DVC that hashes dependencies before the command, and a file of parameters of which the
    stage reads others: https://github.com/treeverse/dvc/pull/11062
    """
    made = (candidate.entry or {}).get("outs")
    if not candidate.snapshot.changed or lock.entry.get("outs") != made:
        return False
    stage = locks.stage_of(lock)
    return stage is not None and candidate.read_the_same(stage, lock.entry)


def correct_record(
    candidate: Candidate, judgement: Judgement, locks: StageLocks, reading: ProjectReading
) -> SyncResult:
    """Let the record say what was judged, unless it does already."""
    run, before = candidate.run, candidate.snapshot
    verdict, reason, lock = judgement
    name, address = run.info.run_name or "", locks.stage.address
    result = SyncResult(run.info.run_id, name, address, verdict, reason)
    if before.seal in ("confirmed", "contradicted"):
        return result
    if newer := find_newer(before):  # which would lose what is new in it
        return replace(result, verdict="left", reason=newer)
    if kept := _store_output(candidate, reading):  # whatever its lock is
        return replace(result, verdict="left", reason=kept)
    if verdict == "left":
        return result
    after = before
    files: dict[str, bytes] = {}
    if lock is not None:
        after, files = _take_over(candidate, lock, locks)
        if verdict == "contradicted" and (wrong := candidate.attached(locks.path)):
            files[f"contradicted/{locks.path}"] = wrong  # nothing is lost
    seal: SealTag = "contradicted" if verdict == "contradicted" else "confirmed"
    after = replace(after, seal=seal)
    part = replace(candidate.part, snapshot=after)
    _write(candidate, part, files)
    differences = tuple(_differences(before, after)) if lock is not None else ()
    return replace(result, changed=True, differences=differences)


def _write(candidate: Candidate, part: RunPart, files: Mapping[str, bytes]) -> None:
    run, parts, uri = candidate.run, candidate.parts, candidate.tracking_uri
    if candidate.carrier is not run:
        parts[:] = tracking.update_tags(run, part, parts, uri)
        return
    pages = redraw_pages(run, part, parts, files, uri)
    parts[:] = tracking.update_record(run, part, parts, {**files, **pages}, uri)
    if not part.is_first:
        redraw_first_page(run, parts, uri)


def _take_over(
    candidate: Candidate, lock: StageLock, locks: StageLocks
) -> tuple[Snapshot, dict[str, bytes]]:
    """What the run recorded with what the lock says, and the files that tell so."""
    stage, before = locks.stage_of(lock) or locks.stage, candidate.snapshot
    deps = tuple(
        DataEntry(path, algorithm, value, cached=False, stage=stage.address)
        for path, (algorithm, value) in stage.locked_deps.items()
    )
    raw = (dep for dep in lock.entry.get("deps") or () if "dataset" in dep)
    datasets = {dep["path"]: dep["dataset"] for dep in raw}
    sealed = LockedStage(lock.content, stage.outs, deps, datasets)
    at = before.sealed_at or time.time()
    after = evidence.apply_stage_result(before, sealed, stage.file, at)
    withheld = reasons_to_withhold({locks.path: lock.content})
    others = {path: why for path, why in (before.withheld or {}).items() if path != locks.path}
    after = replace(after, withheld={**others, **withheld} or None)
    return after, {} if withheld else {locks.path: lock.content}


def _store_output(candidate: Candidate, reading: ProjectReading) -> str:
    """Why the run must not be written to; empty if it may."""
    places = tracking.written_places(candidate.run, candidate.tracking_uri)
    out = next(outputs_at(reading, places), None)
    if out is None:
        return ""
    return f"it is kept in {out.path}, an output of {out.stage}: to write there would change it"


def _differences(before: Snapshot, after: Snapshot) -> Iterator[Difference]:
    recorded = {entry.path: entry.hash for entry in before.data if entry.is_fact}
    for out in after.data:
        if out.role == "output" and recorded.get(out.path) != out.hash:
            yield Difference(out.path, recorded.get(out.path), out.hash)
