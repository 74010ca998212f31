"""Judge the runs of one stage by its locks: confirmed, completed, contradicted or left.

A lock belongs to an execution of the stage, not to what that read: training is not deterministic.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from mlflow_dvc import tracking
from mlflow_dvc.capture import evidence
from mlflow_dvc.capture.claims import checkout_id
from mlflow_dvc.dvc_backend import hashing
from mlflow_dvc.dvc_backend.hash_query import ALGORITHMS, HashQuery
from mlflow_dvc.dvc_backend.lock_entry import LockedStage
from mlflow_dvc.dvc_backend.run_cache import Outcome, saved_outcomes
from mlflow_dvc.dvcfiles.lock_file import entry_digest
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.recall.sync.candidate import Candidate
from mlflow_dvc.recall.sync.locks import StageLock, StageLocks
from mlflow_dvc.recall.sync.redraw import redraw_first_page, redraw_pages
from mlflow_dvc.recall.sync.result import Difference, SyncResult, SyncVerdict
from mlflow_dvc.recall.tracked_store import outputs_at
from mlflow_dvc.snapshot import DataEntry, Snapshot
from mlflow_dvc.snapshot import Seal as SealTag

# Of the time that a process of the stage took: no other execution is done so soon after it.
_SAME_EXECUTION_SHARE = 0.5


class Judgement(NamedTuple):
    """``lock`` is the one that the verdict is by; None where it is not taken over."""

    verdict: SyncVerdict
    reason: str = ""
    lock: StageLock | None = None


@dataclass
class StageJudge:
    """One stage, its locks, and its runs, newest first."""

    reading: ProjectReading
    locks: StageLocks
    candidates: Sequence[Candidate]
    tracking_uri: str | None

    def sync(self, wanted: set[str] | None) -> Iterator[SyncResult]:
        judged = [(candidate, self._judge(candidate)) for candidate in self.candidates]
        for candidate, judgement in judged:
            if wanted is None or candidate.run.info.run_id in wanted:
                yield self._carry_out(candidate, judgement)

    # --- judging ---

    def _judge(self, candidate: Candidate) -> Judgement:
        seal = candidate.snapshot.seal
        if seal in ("confirmed", "contradicted"):
            return Judgement(seal)
        if candidate.entry is None:
            return self._judge_unsealed(candidate)
        if (where := self._where_locked(candidate)) is not None:
            return self._judge_locked(candidate, where)
        return self._judge_unlike(candidate, candidate.entry)

    def _where_locked(self, candidate: Candidate) -> str | None:
        """Which lock has what the run recorded, in words; None where none has."""
        for lock in self._locks_for(candidate):
            if lock.entry == candidate.entry or self._is_locked_early(candidate, lock):
                is_here = lock is self.locks.on_disk
                return "" if is_here else f"by the lock of {lock.where}"
        return None

    def _locks_for(self, candidate: Candidate) -> Iterator[StageLock]:
        if self.locks.on_disk is not None:
            yield self.locks.on_disk
        snapshot = candidate.snapshot
        if snapshot.experiment and snapshot.git and snapshot.git.sha:
            yield from self.locks.of_experiment(snapshot.experiment, snapshot.git.sha)
        yield from self.locks.committed

    def _is_locked_early(self, candidate: Candidate, lock: StageLock) -> bool:
        """Whether a DVC that hashes dependencies before the command has locked the run's outputs.

        https://github.com/treeverse/dvc/pull/11062
        """
        made = (candidate.entry or {}).get("outs")
        if not candidate.snapshot.changed or lock.entry.get("outs") != made:
            return False
        stage = self.locks.stage_of(lock)
        return stage is not None and candidate.read_the_same(stage, lock.entry)

    def _judge_locked(self, candidate: Candidate, where: str) -> Judgement:
        changed = candidate.snapshot.changed
        locked_as_read = any(
            self._is_locked_early(candidate, lock) for lock in self._locks_for(candidate)
        )
        if changed and not locked_as_read:
            named = ", ".join(changed)
            why = f"{named} changed while the stage ran: the run read what lay there before"
            return Judgement("contradicted", why)
        return Judgement("confirmed", where)

    def _judge_unlike(self, candidate: Candidate, sealed: Mapping[str, Any]) -> Judgement:
        """Of one whose outputs no lock has: those of the lock may be of another execution."""
        lock = self.locks.on_disk
        if lock is None or not self._is_first(candidate, lock):
            return Judgement("left", self._why_left(candidate))
        if doubt := self._doubt(candidate, lock):
            return Judgement("left", doubt)
        outcomes = self._outcomes
        if any(one.entry.get("outs") == sealed.get("outs") for one in outcomes):
            return Judgement("left", "DVC locked it, and then another execution that read the same")
        (started, ended) = (candidate.run.info.start_time or 0) / 1000, candidate.ended
        latest = ended + _SAME_EXECUTION_SHARE * (ended - started)
        if len(outcomes) == 1 and ended <= outcomes[0].saved <= latest:
            return Judgement("contradicted", "", lock)
        why = "the lock has other outputs for the same inputs: it may be of another execution"
        return Judgement("left", why)

    def _judge_unsealed(self, candidate: Candidate) -> Judgement:
        """Nobody hashed what it made: only a lock that is of no other execution completes it."""
        lock = self.locks.on_disk
        reasons = []
        if lock is not None and self._is_first(candidate, lock):
            doubt = self._doubt(candidate, lock)
            if not doubt and len(self._outcomes) <= 1:
                return Judgement("completed", "", lock)
            reasons.append(doubt or "the stage ran several times with the same inputs")
        if not candidate.may_be_locked:
            return Judgement("left", "its stage failed, or has not ended")
        if found := self._only_lock_elsewhere(candidate):
            return Judgement("completed", f"by the lock of {found.where}", found)
        return Judgement("left", reasons[0] if reasons else self._why_left(candidate))

    def _only_lock_elsewhere(self, candidate: Candidate) -> StageLock | None:
        """That of its experiment; else the only one that commits on the run's own have taken in."""
        git, name = candidate.snapshot.git, candidate.snapshot.experiment
        if git is None or git.sha is None:
            return None
        found = list(self.locks.of_experiment(name, git.sha)) if name else []
        found = found or list(self.locks.taken_in_after(git.sha))
        fitting = [lock for lock in found if self._fits(candidate, lock)]
        entries = {entry_digest(lock.entry) for lock in fitting}
        others = [c for c in self.candidates if not c.is_of_execution_of(candidate)]
        if len(entries) != 1 or any(self._claims(other, fitting[0]) for other in others):
            return None
        return fitting[0]

    def _claims(self, other: Candidate, lock: StageLock) -> bool:
        """Whether a lock may as well be that of another run."""
        if other.entry is not None:
            return other.entry == lock.entry
        mine = other.snapshot.git.sha if other.snapshot.git else None
        return (
            other.snapshot.seal == "none"
            and any(lock.entry == one.entry for one in self.locks.taken_in_after(mine or ""))
            and self._fits(other, lock)
        )

    def _fits(self, candidate: Candidate, lock: StageLock) -> bool:
        stage = self.locks.stage_of(lock)
        return stage is not None and candidate.read_the_same(stage, lock.entry)

    def _is_first(self, candidate: Candidate, lock: StageLock) -> bool:
        """Whether it is of the newest execution that read what the lock on disk says."""
        first = next((c for c in self.candidates if self._fits(c, lock)), None)
        return first is not None and candidate.is_of_execution_of(first)

    def _doubt(self, candidate: Candidate, lock: StageLock) -> str:
        """Why the lock on disk may belong to another run; empty if it belongs to this one."""
        if not candidate.may_be_locked:
            return "its stage failed, or has not ended"
        if candidate.snapshot.workspace != checkout_id(self.reading.root):
            return "it ran in another checkout: run `mlflow-dvc sync` there"
        if self.locks.written < candidate.ended or candidate.before == entry_digest(lock.entry):
            return "DVC has not written the stage's lock since"
        others = (c for c in self.candidates if not c.is_of_execution_of(candidate))
        if any(c.entry == lock.entry and c.snapshot.seal != "contradicted" for c in others):
            return "the lock on disk is that of another run"
        if not self._is_on_disk():
            return "what lies on disk is not what the lock says"
        return ""

    def _why_left(self, candidate: Candidate) -> str:
        lock = self.locks.on_disk
        if lock is None:
            return f"{self.locks.path} has no entry of the stage"
        if candidate.entry is None and not candidate.snapshot.deps:
            return "what it read is not known"
        if self._fits(candidate, lock):
            return "a later run read the same, and the lock may be that one's"
        return "no available dvc.lock matches its inputs and parameters"

    def _is_on_disk(self) -> bool:
        asked = [
            HashQuery(out.path, out.algorithm, out.hash)
            for out in self.locks.stage.outs
            if out.algorithm in ALGORITHMS and "://" not in out.path
        ]
        answer = hashing.hash_now(self.reading.root, asked)
        found = [(answer.get(question.key), question) for question in asked]
        return all(there is not None and there.hash == question.hash for there, question in found)

    @cached_property
    def _outcomes(self) -> list[Outcome]:
        """What DVC has saved of executions with the inputs of the lock on disk."""
        lock = self.locks.on_disk
        return saved_outcomes(self.reading.root, [lock.entry])[0] if lock else []

    # --- carrying out ---

    def _carry_out(self, candidate: Candidate, judgement: Judgement) -> SyncResult:
        run, before = candidate.run, candidate.snapshot
        verdict, reason, lock = judgement
        name, address = run.info.run_name or "", self.locks.stage.address
        result = SyncResult(run.info.run_id, name, address, verdict, reason)
        if verdict == "left" or before.seal in ("confirmed", "contradicted"):
            return result
        if kept := self._store_output(candidate):
            return replace(result, verdict="left", reason=kept)
        after = before
        files: dict[str, bytes] = {}
        if lock is not None:
            after, files = self._mend(candidate, lock)
        seal: SealTag = "contradicted" if verdict == "contradicted" else "confirmed"
        after = replace(after, seal=seal)
        uri, part = self.tracking_uri, candidate.part
        pages = redraw_pages(run, replace(part, snapshot=after), files, uri)
        tracking.update_record(run, part, after, {**files, **pages}, uri)
        if not part.is_first:
            redraw_first_page(run, uri)
        differences = tuple(_differences(before, after)) if files else ()
        return replace(result, changed=True, differences=differences)

    def _mend(self, candidate: Candidate, lock: StageLock) -> tuple[Snapshot, dict[str, bytes]]:
        """What the run recorded with what the lock says, and the files that tell so."""
        stage, before = self.locks.stage_of(lock) or self.locks.stage, candidate.snapshot
        deps = tuple(
            DataEntry(path, algorithm, value, cached=False, stage=stage.address)
            for path, (algorithm, value) in stage.locked_deps.items()
        )
        raw = (dep for dep in lock.entry.get("deps") or () if "dataset" in dep)
        datasets = {dep["path"]: dep["dataset"] for dep in raw}
        sealed = LockedStage(lock.content, stage.outs, deps, datasets)
        at = before.sealed_at or time.time()
        files = {self.locks.path: lock.content}
        if candidate.entry is not None and (wrong := candidate.attached(self.locks.path)):
            files[f"contradicted/{self.locks.path}"] = wrong  # nothing is lost
        return evidence.apply_stage_result(before, sealed, stage.file, at), files

    def _store_output(self, candidate: Candidate) -> str:
        """Why the run must not be written to; empty if it may."""
        places = tracking.written_places(candidate.run, self.tracking_uri)
        out = next(outputs_at(self.reading, places), None)
        if out is None:
            return ""
        return f"it is kept in {out.path}, an output of {out.stage}: to write there would change it"


def _differences(before: Snapshot, after: Snapshot) -> Iterator[Difference]:
    recorded = {entry.path: entry.hash for entry in before.data if entry.is_fact}
    for out in after.data:
        if out.role == "output" and recorded.get(out.path) != out.hash:
            yield Difference(out.path, recorded.get(out.path), out.hash)
