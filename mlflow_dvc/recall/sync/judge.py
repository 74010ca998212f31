"""Judge the runs of one stage by its lock: confirmed, completed, contradicted or left."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.capture import evidence
from mlflow_dvc.capture.claims import checkout_id
from mlflow_dvc.dvc_backend import hashing, params
from mlflow_dvc.dvc_backend.hash_query import ALGORITHMS, HashQuery
from mlflow_dvc.dvc_backend.lock_entry import LockedStage
from mlflow_dvc.dvcfiles.dvc_file import DvcFile
from mlflow_dvc.dvcfiles.lock_file import entry_digest, lock_path, locked_entry
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.project import Project
from mlflow_dvc.recall.sync.lock_history import committed_locks, has_commit
from mlflow_dvc.recall.sync.redraw import redraw_pages
from mlflow_dvc.recall.sync.result import Difference, SyncResult, SyncVerdict
from mlflow_dvc.recall.tracked_store import outputs_at
from mlflow_dvc.snapshot import DataEntry, Snapshot
from mlflow_dvc.snapshot import Seal as SealTag

if TYPE_CHECKING:
    from mlflow.entities import Run

_MAX_RUNS = 200  # of one stage, newest first


@dataclass
class _Candidate:
    """A run of the stage, with what it carries."""

    run: Run
    snapshot: Snapshot
    entry: Mapping[str, Any] | None  # the stage's part of the sealed lock
    before: str | None  # the name of what the lock said of the stage when the run started

    @property
    def has_finished(self) -> bool:
        return bool(self.run.info.status == "FINISHED")

    def agrees(self, entry: Mapping[str, Any]) -> bool:
        mine = self.entry or {}
        return all(mine.get(part) == entry.get(part) for part in ("cmd", "deps", "params"))


@dataclass
class StageJudge:
    """One stage, its entry in the lock, and its runs."""

    project: Project
    reading: ProjectReading
    dvc_file: DvcFile
    stage: Stage
    tracking_uri: str | None

    def sync(self, wanted: set[str] | None) -> Iterator[SyncResult]:
        candidates = list(self._candidates())
        verdicts = dict(self._verdicts(candidates))
        for candidate in candidates:
            run_id = candidate.run.info.run_id
            if wanted is None or run_id in wanted:
                verdict, reason = verdicts[run_id]
                yield self._carry_out(candidate, verdict, reason)

    # --- judging ---

    def _verdicts(
        self, candidates: Sequence[_Candidate]
    ) -> Iterator[tuple[str, tuple[SyncVerdict, str]]]:
        """A verdict for each run; the lock is compared only with the newest run that matches it."""
        subject = next((c for c in candidates if self._may_be_of(c)), None)
        for candidate in candidates:
            yield candidate.run.info.run_id, self._verdict(candidate, subject, candidates)

    def _verdict(
        self,
        candidate: _Candidate,
        subject: _Candidate | None,
        candidates: Sequence[_Candidate],
    ) -> tuple[SyncVerdict, str]:
        seal = candidate.snapshot.seal
        if seal in ("confirmed", "contradicted"):
            return seal, ""
        if candidate.entry is not None:
            if candidate.entry == self._entry:
                return "confirmed", ""
            if candidate.entry in self._history:
                return "confirmed", "by an earlier lock in git"
        if subject is None or not _same_execution(candidate, subject):
            return "left", self._why_left(candidate)
        doubt = self._doubt(candidate, candidates)
        if doubt:
            return "left", doubt
        return ("completed" if candidate.entry is None else "contradicted"), ""

    def _may_be_of(self, candidate: _Candidate) -> bool:
        """Whether the lock's entry is of a stage that read what the run did."""
        if self._entry is None:
            return False
        if candidate.entry is not None:
            return candidate.agrees(self._entry)
        return self._read_the_same(candidate)

    def _read_the_same(self, candidate: _Candidate) -> bool:
        """By the hashes of what lay on disk, and the attached parameters."""
        then = {
            dep.path: (dep.algorithm, dep.hash)
            for dep in candidate.snapshot.deps
            if dep.is_observed
        }
        locked = self.stage.locked_deps
        if not locked or any(then.get(path) != pair for path, pair in locked.items()):
            return False
        return self._params_agree(candidate)

    def _params_agree(self, candidate: _Candidate) -> bool:
        locked = (self._entry or {}).get("params") or {}
        files = {}
        for path, values in locked.items():
            shown = os.path.normpath(os.path.join(self.stage.wdir, path)).replace(os.sep, "/")
            content = tracking.read_attached(candidate.run, shown, self.tracking_uri)
            if content is None:
                return False
            files[path] = (content.decode("utf-8", "replace"), list(values))
        return not files or params.read_params(files) == locked

    def _doubt(self, candidate: _Candidate, candidates: Sequence[_Candidate]) -> str:
        """Why the lock on disk may belong to another run; empty if it belongs to this one."""
        snapshot = candidate.snapshot
        ended = snapshot.sealed_at or (candidate.run.info.end_time or 0) / 1000
        if snapshot.stage_failed or (candidate.entry is None and not candidate.has_finished):
            return "its stage failed, or has not ended"
        if snapshot.workspace != checkout_id(self.reading.root):
            return "it ran in another checkout: run `mlflow-dvc sync` there"
        if self._written < ended or candidate.before == entry_digest(self._entry):
            return "DVC has not written the stage's lock since"
        if any(c.entry == self._entry and c.snapshot.seal != "contradicted" for c in candidates):
            return "the lock on disk is that of another run"
        if not self._is_on_disk():
            return "what lies on disk is not what the lock says"
        return ""

    def _why_left(self, candidate: _Candidate) -> str:
        if self._entry is None:
            return f"{lock_path(self.stage.file)} has no entry of the stage"
        if candidate.entry is None and not candidate.snapshot.deps:
            return "what it read is not known"
        return "no available dvc.lock matches its inputs and parameters"

    def _is_on_disk(self) -> bool:
        asked = [
            HashQuery(out.path, out.algorithm, out.hash)
            for out in self.stage.outs
            if out.algorithm in ALGORITHMS and "://" not in out.path
        ]
        answer = hashing.hash_now(self.reading.root, asked)
        found = [(answer.get(question.key), question) for question in asked]
        return all(there is not None and there.hash == question.hash for there, question in found)

    # --- what is known ---

    @cached_property
    def _entry(self) -> Mapping[str, Any] | None:
        return locked_entry(self.dvc_file.lock_content, self.stage.name)

    @cached_property
    def _written(self) -> float:
        return os.stat(os.path.join(self.reading.root, lock_path(self.stage.file))).st_mtime

    @cached_property
    def _history(self) -> list[Mapping[str, Any]]:
        locks = committed_locks(self.reading.root, lock_path(self.stage.file))
        entries = (locked_entry(content, self.stage.name) for content in locks)
        return [entry for entry in entries if entry is not None]

    def _candidates(self) -> Iterator[_Candidate]:
        """The runs of this stage that did not fail, newest first."""
        address = self.stage.address
        if "'" in address:
            return
        query = f"tags.`{tag.STAGE}` = '{address}'"
        runs = self._of_this_project(tracking.find_runs(query, self.tracking_uri))
        for run in islice(runs, _MAX_RUNS):
            snapshot = tracking.load_snapshot(run, self.tracking_uri)
            entry = locked_entry(self._attached(run), self.stage.name)
            if snapshot.seal == "none":  # what is attached is of the start
                yield _Candidate(run, snapshot, None, entry_digest(entry))
            else:
                yield _Candidate(run, snapshot, entry, snapshot.stage_before)

    def _of_this_project(self, runs: Iterable[Run]) -> Iterator[Run]:
        """A server may have runs of other projects with a stage of this name."""
        root = self.project.relative_root
        for run in runs:
            tags = run.data.tags
            if tags.get(tag.ROOT, ".") != root or run.info.status in ("FAILED", "KILLED"):
                continue
            sha = tags.get(tag.GIT_SHA)
            if sha is None or self.project.git_root is None or has_commit(self.reading.root, sha):
                yield run

    # --- carrying out ---

    def _carry_out(self, candidate: _Candidate, verdict: SyncVerdict, reason: str) -> SyncResult:
        run, before = candidate.run, candidate.snapshot
        result = SyncResult(
            run.info.run_id, run.info.run_name or "", self.stage.address, verdict, reason
        )
        if verdict == "left" or before.seal in ("confirmed", "contradicted"):
            return result
        if kept := self._store_output(run):
            return replace(result, verdict="left", reason=kept)
        after = before
        files: dict[str, bytes] = {}
        if verdict in ("completed", "contradicted"):
            lock = self.dvc_file.lock_content or b""
            at = before.sealed_at or time.time()
            after = evidence.apply_stage_result(before, self._as_locked(lock), self.stage.file, at)
            files = {lock_path(self.stage.file): lock}
            if verdict == "contradicted" and (wrong := self._attached(run)):
                files[f"contradicted/{lock_path(self.stage.file)}"] = wrong  # nothing is lost
        seal: SealTag = "contradicted" if verdict == "contradicted" else "confirmed"
        after = replace(after, seal=seal)
        pages = redraw_pages(run, after, files, self.tracking_uri)
        tracking.update_record(run, before, after, {**files, **pages}, self.tracking_uri)
        differences = tuple(self._differences(before)) if files else ()
        return replace(result, changed=True, differences=differences)

    def _store_output(self, run: Run) -> str:
        """Why the run must not be written to; empty if it may."""
        places = tracking.written_places(run, self.tracking_uri)
        out = next(outputs_at(self.reading, places), None)
        if out is None:
            return ""
        return f"it is kept in {out.path}, an output of {out.stage}: to write there would change it"

    def _attached(self, run: Run) -> bytes | None:
        return tracking.read_attached(run, lock_path(self.stage.file), self.tracking_uri)

    def _as_locked(self, lock: bytes) -> LockedStage:
        deps = tuple(
            DataEntry(path, algorithm, value, cached=False, stage=self.stage.address)
            for path, (algorithm, value) in self.stage.locked_deps.items()
        )
        return LockedStage(lock, self.stage.outs, deps)

    def _differences(self, before: Snapshot) -> Iterator[Difference]:
        recorded = {entry.path: entry.hash for entry in before.data if entry.is_fact}
        for out in self.stage.outs:
            if recorded.get(out.path) != out.hash:
                yield Difference(out.path, recorded.get(out.path), out.hash)


def _same_execution(one: _Candidate, other: _Candidate) -> bool:
    """Whether two runs are of one process of the stage, which may start several."""
    sealed_at = one.snapshot.sealed_at
    return one is other or (sealed_at is not None and sealed_at == other.snapshot.sealed_at)
