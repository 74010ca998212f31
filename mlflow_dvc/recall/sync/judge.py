"""Judge the runs of one stage by its locks: confirmed, completed, contradicted or left.

A lock belongs to an execution of the stage, not to what that read: training is not deterministic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlflow_dvc.capture.claims import checkout_id
from mlflow_dvc.dvc_backend import hashing
from mlflow_dvc.dvc_backend.hash_query import ALGORITHMS, HashQuery
from mlflow_dvc.dvc_backend.run_cache import Outcome, saved_outcomes
from mlflow_dvc.dvcfiles.lock_file import entry_digest
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.recall.sync.candidate import Candidate
from mlflow_dvc.recall.sync.correction import Judgement, correct_record, is_locked_early
from mlflow_dvc.recall.sync.locks import StageLock, StageLocks
from mlflow_dvc.recall.sync.result import SyncResult

# Of the time that a process of the stage took: no other execution is done so soon after it.
_SAME_EXECUTION_SHARE = 0.5
_MAX_LOCK_SECONDS = 60.0  # to hash what the stage made, and to ask for what lies elsewhere
_OTHER_OUTPUTS = "has other outputs for the same inputs: it may be of another execution"


@dataclass
class StageJudge:
    """One stage, its locks, and its runs, newest first."""

    reading: ProjectReading
    locks: StageLocks
    candidates: Sequence[Candidate]
    _known_outcomes: dict[str, list[Outcome] | None] = field(default_factory=dict)

    def sync(self, wanted: set[str] | None) -> Iterator[SyncResult]:
        judged = [(candidate, self._judge(candidate)) for candidate in self.candidates]
        for candidate, judgement in judged:
            if wanted is None or candidate.run.info.run_id in wanted:
                yield correct_record(candidate, judgement, self.locks, self.reading)

    def _judge(self, candidate: Candidate) -> Judgement:
        seal = candidate.snapshot.seal
        if seal in ("confirmed", "contradicted"):
            return Judgement(seal, _why_changed(candidate) if seal == "contradicted" else "")
        if candidate.entry is None:
            return self._judge_unsealed(candidate)
        locks = list(self._locks_for(candidate))
        for lock in locks:
            if is_locked_early(candidate, lock, self.locks):
                return Judgement("confirmed", _words(lock), lock)
        equal = next((lock for lock in locks if lock.entry == candidate.entry), None)
        if equal is not None:
            if why := _why_changed(candidate):
                return Judgement("contradicted", why)
            doubt = _why_unknown(candidate)
            return Judgement("left", doubt) if doubt else Judgement("confirmed", _words(equal))
        return self._judge_unlike(candidate, candidate.entry)

    def _locks_for(self, candidate: Candidate) -> Iterator[StageLock]:
        if self.locks.on_disk is not None:
            yield self.locks.on_disk
        snapshot = candidate.snapshot
        if snapshot.experiment and snapshot.git and snapshot.git.sha:
            yield from self.locks.of_experiment(snapshot.experiment, snapshot.git.sha)
        yield from self.locks.committed

    def _judge_unlike(self, candidate: Candidate, sealed: Mapping[str, Any]) -> Judgement:
        """Of one whose outputs no lock has: those of the lock may be of another execution."""
        if certain := self._lock_of_its_execution(candidate):
            return Judgement("contradicted", _why_changed(candidate), certain)
        on_disk = self.locks.on_disk
        if on_disk is None or not self._is_first(candidate, on_disk):
            return Judgement("left", self._why_left(candidate))
        if doubt := self._doubt(candidate, on_disk):
            return Judgement("left", doubt)
        outcomes = self._outcomes(on_disk) or []
        if any(one.entry.get("outs") == sealed.get("outs") for one in outcomes):
            return Judgement("left", "DVC locked it, and then another execution that read the same")
        ended = candidate.ended
        latest = ended + _SAME_EXECUTION_SHARE * (ended - candidate.started)
        if len(outcomes) == 1 and ended <= outcomes[0].saved <= latest:
            return Judgement("contradicted", "", on_disk)
        return Judgement("left", f"the lock {_OTHER_OUTPUTS}")

    def _judge_unsealed(self, candidate: Candidate) -> Judgement:
        """Nobody hashed what it made: only a lock that is of no other execution completes it."""
        if certain := self._lock_of_its_execution(candidate):
            return Judgement("completed", _words(certain), certain)
        lock = self.locks.on_disk
        reasons = []
        if lock is not None and self._is_first(candidate, lock):
            doubt = self._doubt(candidate, lock) or self._outcome_doubt(candidate, lock)
            if not doubt:
                return Judgement("completed", "", lock)
            reasons.append(doubt)
        if not candidate.may_be_locked:
            return Judgement("left", "its stage failed, or has not ended")
        git, name = candidate.snapshot.git, candidate.snapshot.experiment
        sha = git.sha if git and git.sha else ""
        experiments = list(self.locks.of_experiment(name, sha)) if name else []
        if found := self._only_fitting(candidate, experiments):
            return Judgement("completed", _words(found), found)
        if not experiments and (found := self._only_fitting(candidate, self._taken_in(sha))):
            doubt = self._outcome_doubt(candidate, found)
            if not doubt:
                return Judgement("completed", _words(found), found)
            reasons.append(doubt)
        return Judgement("left", reasons[0] if reasons else self._why_left(candidate))

    def _taken_in(self, sha: str) -> list[StageLock]:
        return list(self.locks.taken_in_after(sha))

    def _lock_of_its_execution(self, candidate: Candidate) -> StageLock | None:
        """The lock that has what another run of the same execution recorded."""
        entries = [
            other.entry
            for other in self.candidates
            if other is not candidate and other.entry and other.is_of_execution_of(candidate)
        ]
        locks = self._locks_for(candidate) if entries else ()
        return next((lock for lock in locks if lock.entry in entries), None)

    def _outcome_doubt(self, candidate: Candidate, lock: StageLock) -> str:
        """Why a lock may be of another execution, by what DVC kept of each; empty if it is not."""
        outcomes = self._outcomes(lock)
        if outcomes is None:
            return self._late_lock_doubt(candidate, lock)
        if not any(one.entry.get("outs") == lock.entry.get("outs") for one in outcomes):
            return "DVC's run cache tells nothing of its execution: the lock may be of another"
        since = [one for one in outcomes if one.saved >= candidate.started]
        if len(since or outcomes) > 1:
            return "the stage ran several times with the same inputs"
        if since and since[0].entry.get("outs") != lock.entry.get("outs"):
            return "the lock has what the stage made before the run"
        return ""

    def _only_fitting(self, candidate: Candidate, found: Sequence[StageLock]) -> StageLock | None:
        """The lock among ``found`` that says what the run read, where there is one such."""
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
            and any(lock.entry == one.entry for one in self._taken_in(mine or ""))
            and self._fits(other, lock)
        )

    def _fits(self, candidate: Candidate, lock: StageLock) -> bool:
        """Whether a lock may be of the run: of what lay there when it began, or at its end."""
        if candidate.ended_like(lock.entry):
            return True
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
        if candidate.snapshot.workspace != checkout_id(self.reading.root):
            return "it ran in another checkout: run `mlflow-dvc sync` there"
        if any(candidate.ended_like(one.entry) for one in self.locks.committed):
            return f"a committed lock {_OTHER_OUTPUTS}"
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

    def _late_lock_doubt(self, candidate: Candidate, lock: StageLock) -> str:
        """Why a lock may be of another run, of a stage of which DVC keeps no outcome."""
        latest = candidate.ended + max(candidate.ended - candidate.started, _MAX_LOCK_SECONDS)
        if lock is self.locks.on_disk and self.locks.written <= latest:
            return ""
        return (
            "DVC keeps no outcome of such a stage, and its lock was not written when the run ended"
        )

    def _outcomes(self, lock: StageLock) -> list[Outcome] | None:
        """What DVC has saved of executions with a lock's inputs; None where it never does."""
        key = entry_digest(lock.entry)
        if key not in self._known_outcomes:
            stage = self.locks.stage
            self._known_outcomes[key] = saved_outcomes(
                self.reading.root, stage.file, stage.name or "", lock.entry
            )
        return self._known_outcomes[key]


def _words(lock: StageLock) -> str:
    """Which lock it is; empty for the one on disk."""
    return f"by the lock of {lock.where}" if lock.where else ""


def _why_changed(candidate: Candidate) -> str:
    """Why a lock that was made after the command is not of what the run read."""
    unknown = _written_unseen(candidate)
    named = ", ".join(path for path in candidate.snapshot.changed if path not in unknown)
    if not named:
        return ""
    return f"{named} changed while the stage ran: the run read what lay there before"


def _why_unknown(candidate: Candidate) -> str:
    """Why a lock need not be of what the run read; empty where it must be."""
    named = ", ".join(sorted(_written_unseen(candidate)))
    if not named:
        return ""
    return f"{named} was written while the stage ran, and what the run read of it is not known"


def _written_unseen(candidate: Candidate) -> set[str]:
    """The dependencies that were written before anybody had hashed what lay there."""
    snapshot = candidate.snapshot
    return {dep.path for dep in snapshot.deps if dep.path in snapshot.changed and not dep.hash}
