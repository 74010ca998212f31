"""The runs of one stage, or the parts of runs, each with what it carries."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.dvc_backend import params
from mlflow_dvc.dvcfiles.lock_file import entry_digest, lock_path, locked_entry
from mlflow_dvc.dvcfiles.locked_dataset import dataset_name
from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.git.file_history import has_commit
from mlflow_dvc.guard import warn_once
from mlflow_dvc.project import Project
from mlflow_dvc.recall.stored_record import run_holding_record
from mlflow_dvc.snapshot import Snapshot
from mlflow_dvc.tracking import RunPart

if TYPE_CHECKING:
    from mlflow.entities import Run

_INPUTS = ("cmd", "deps", "params")  # of a lock's entry of a stage
_MAX_RUNS = 900  # of one stage, newest first: those of other projects are on the same page


@dataclass
class Candidate:
    """A run of the stage, or the part of one that was.

    ``entry`` is the stage's part of the sealed lock, ``before`` the digest of what the lock said of
    the stage when the run started. ``parts`` are all of the run, as they are by now. ``carrier``
    has the files: the run itself, or a parent whose record is the same.
    """

    run: Run
    part: RunPart
    stage: Stage
    tracking_uri: str | None
    entry: Mapping[str, Any] | None
    before: str | None
    parts: list[RunPart]
    carrier: Run

    @property
    def snapshot(self) -> Snapshot:
        return self.part.snapshot

    @property
    def started(self) -> float:
        """In seconds since 1970."""
        return (self.run.info.start_time or 0) / 1000

    @property
    def ended(self) -> float:
        """In seconds since 1970."""
        return self.snapshot.sealed_at or (self.run.info.end_time or 0) / 1000

    @property
    def may_be_locked(self) -> bool:
        """Whether its stage may have ended well, as far as the run tells."""
        if self.snapshot.stage_failed:
            return False
        return self.entry is not None or self.run.info.status == "FINISHED"

    def is_of_execution_of(self, other: Candidate) -> bool:
        """Whether both are of one execution of the stage, which may start several runs."""
        mine, theirs = self.snapshot, other.snapshot
        return (
            self is other
            or (mine.execution is not None and mine.execution == theirs.execution)
            or (mine.sealed_at is not None and mine.sealed_at == theirs.sealed_at)
        )

    def read_the_same(self, stage: Stage, entry: Mapping[str, Any]) -> bool:
        """Whether a lock, whose part is ``entry``, says that the stage read what the run did.

        ``stage`` is as that lock says. By the hashes of what lay on disk, and attached parameters.
        """
        if self.entry is not None and not self.snapshot.changed:
            return self.ended_like(entry)
        then = {
            dep.path: (dep.algorithm, dep.hash)
            for dep in self.snapshot.deps
            if dep.is_observed or dataset_name(dep.path)
        }
        locked = stage.locked_deps
        if not locked or any(then.get(path) != pair for path, pair in locked.items()):
            return False
        return self._params_agree(entry)

    def ended_like(self, entry: Mapping[str, Any]) -> bool:
        """Whether the run was sealed with what ``entry`` says that the stage read."""
        mine = self.entry
        return mine is not None and all(mine.get(part) == entry.get(part) for part in _INPUTS)

    def attached(self, path: str) -> bytes | None:
        return tracking.read_attached(self.carrier, path, self.tracking_uri, self.part.folder)

    def _params_agree(self, entry: Mapping[str, Any]) -> bool:
        locked = entry.get("params") or {}
        files = {}
        for path, values in locked.items():
            shown = os.path.normpath(os.path.join(self.stage.wdir, path)).replace(os.sep, "/")
            content = self.attached(shown)
            if content is None:
                return False
            files[path] = (content.decode("utf-8", "replace"), list(values))
        return not files or params.read_params(files) == locked


def find_candidates(
    project: Project, stage: Stage, tracking_uri: str | None, asked: Collection[Run]
) -> Iterator[Candidate]:
    """The runs of the stage that did not fail, newest first, and at least down to the ``asked``.

    Which lock is that of a run, is known by those that came after it.
    """
    oldest = min((run.info.start_time or 0 for run in asked), default=None)
    runs = tracking.find_runs_of_stage(stage.address, tracking_uri)
    for number, run in enumerate(_of_project(project, runs)):
        if number >= _MAX_RUNS and (oldest is None or (run.info.start_time or 0) < oldest):
            if oldest is None:
                warn_once(
                    f"only the newest {_MAX_RUNS} runs of the stage {stage.address} are looked at;"
                    " `mlflow-dvc sync RUN` looks at an older one"
                )
            return
        carrier = run_holding_record(run, tracking_uri)
        parts = _load_parts(run, carrier, tracking_uri)
        for part in reversed(parts):
            if part.snapshot.stage == stage.address and not _has_failed(run, part):
                path = lock_path(stage.file)
                lock = tracking.read_attached(carrier, path, tracking_uri, part.folder)
                entry, before = _entries(part.snapshot, locked_entry(lock, stage.name))
                yield Candidate(run, part, stage, tracking_uri, entry, before, parts, carrier)


def _load_parts(run: Run, carrier: Run, tracking_uri: str | None) -> list[RunPart]:
    """Of a child run its parent's record, with what the child's own tags say of it by now."""
    if carrier is run:
        return tracking.load_parts(run, tracking_uri)
    content = tracking.read_attached(carrier, "snapshot.json", tracking_uri)
    return [RunPart(tracking.FOLDER, tracking.read_snapshot(run, content))]


def _has_failed(run: Run, part: RunPart) -> bool:
    """A run may fail in a later stage, when what this one made was recorded already."""
    if part.snapshot.stage_failed:
        return True
    return run.info.status in ("FAILED", "KILLED") and part.snapshot.seal == "none"


def _entries(
    snapshot: Snapshot, attached: Mapping[str, Any] | None
) -> tuple[Mapping[str, Any] | None, str | None]:
    """What the stage was sealed with, and the digest of what its lock said before."""
    if snapshot.seal == "none":  # what is attached is of the start
        return None, entry_digest(attached)
    return attached, snapshot.stage_before


def _of_project(project: Project, runs: Iterable[Run]) -> Iterator[Run]:
    """A server may have runs of other projects with a stage of this name."""
    for run in runs:
        tags = run.data.tags
        if tags.get(tag.ROOT, ".") != project.relative_root:
            continue
        sha, git_root = tags.get(tag.GIT_SHA), project.git_root
        if sha is None or git_root is None or has_commit(git_root, sha):
            yield run
