"""The locks that may tell what became of a stage: on disk, in every commit, of experiments."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mlflow_dvc.dvcfiles.dvc_file import DvcFile, with_lock
from mlflow_dvc.dvcfiles.lock_file import lock_path, locked_entry
from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.git.file_history import FileHistory, experiment_commits
from mlflow_dvc.git.head import is_sha
from mlflow_dvc.project import relative
from mlflow_dvc.recall.lock_memory import LockMemory


@dataclass(frozen=True)
class StageLock:
    """A lock that has an entry of the stage; ``where`` it is from, in words."""

    content: bytes
    entry: Mapping[str, Any]
    where: str = ""


@dataclass
class StageLocks:
    """Those of one stage. ``git_root`` is None where there is no repository."""

    root: str
    git_root: str | None
    dvc_file: DvcFile
    stage: Stage
    memory: LockMemory
    _taken_in: dict[str, list[StageLock]] = field(default_factory=dict, init=False, repr=False)

    @property
    def path(self) -> str:
        return lock_path(self.stage.file)

    @cached_property
    def on_disk(self) -> StageLock | None:
        return self._lock(self.dvc_file.lock_content)

    @cached_property
    def written(self) -> float:
        """When the one on disk was written, in seconds since 1970."""
        return os.stat(os.path.join(self.root, self.path)).st_mtime

    @cached_property
    def committed(self) -> list[StageLock]:
        """Those in all commits that git has, newest first."""
        if self._history is None:
            return []
        found = (
            self._lock(content, f"git commit {commit[:8]}")
            for commit, content in self._history.versions()
        )
        return [lock for lock in found if lock is not None]

    def of_experiment(self, name: str, baseline: str) -> Iterator[StageLock]:
        """Those of an experiment of DVC's, newest first."""
        if self._history is None or self.git_root is None:
            return
        for commit in experiment_commits(self.git_root, name, baseline):
            if lock := self._lock(self._history.at(commit), f"experiment {name}"):
                yield lock

    def taken_in_after(self, sha: str) -> list[StageLock]:
        """Those which a commit took in, in place of what the commit ``sha`` says of the stage."""
        if sha not in self._taken_in:
            self._taken_in[sha] = list(self._find_taken_in(sha))
        return self._taken_in[sha]

    def _find_taken_in(self, sha: str) -> Iterator[StageLock]:
        if self._history is None or not is_sha(sha):
            return
        known = locked_entry(self.memory.at(self._history, sha), self.stage.name)
        for one in self.memory.contents(self._history, sha):
            if locked_entry(one.before, self.stage.name) != known:
                continue
            lock = self._lock(one.after, f"git commit {one.commit[:8]}")
            if lock is not None and lock.entry != known:
                yield lock

    def stage_of(self, lock: StageLock) -> Stage | None:
        """The stage as a lock says; None where it has other outputs there."""
        if lock is self.on_disk:
            return self.stage
        stages = with_lock(self.root, self.dvc_file, lock.content).stages
        found = next((one for one in stages if one.address == self.stage.address), None)
        if found is None or any(out.hash is None for out in found.outs):
            return None
        return found

    def _lock(self, content: bytes | None, where: str = "") -> StageLock | None:
        entry = locked_entry(content, self.stage.name)
        return StageLock(content, entry, where) if content and entry is not None else None

    @cached_property
    def _history(self) -> FileHistory | None:
        if self.git_root is None:
            return None
        inside = relative(os.path.join(self.root, self.path), self.git_root)
        return FileHistory(self.git_root, inside)
