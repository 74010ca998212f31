"""The directory that a run is restored into, and how far that has come."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
from collections.abc import Callable, Iterator, Set
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mlflow_dvc.errors import CommitLostError, MlflowDvcError, TargetExistsError
from mlflow_dvc.git.head import common_dir, find_git_dir
from mlflow_dvc.git.repository import (
    RESTORED,
    Repository,
    full_sha_or_none,
    object_in_patch,
)
from mlflow_dvc.paths import lies_in, safe_join
from mlflow_dvc.recall.locate import ProjectLocation
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.recall.verdict import Check

_BEGUN = "begun"  # from then on what lies there is ours
_SHORT_SHA_DIGITS = 8


@dataclass
class RestoreTarget:
    """``sha`` is the commit that is laid out, the run's own unless another was asked for.

    It is empty where the run was before the first commit.
    """

    run: StoredRecord
    location: ProjectLocation
    directory: str
    sha: str
    steps: dict[str, list[Check]] = field(default_factory=dict)

    @property
    def has_own_commit(self) -> bool:
        """Whether what is laid out is the code that the run names."""
        git = self.run.snapshot.git
        return git is not None and (git.sha or "") == self.sha

    @property
    def half_done(self) -> str:
        """What is said when it is interrupted."""
        return f"{self.directory} is half done, and the same command goes on"

    @cached_property
    def repository(self) -> Repository:
        return Repository(self.directory, self.location.own)

    @property
    def dvc_root(self) -> str | None:
        """The DVC project in the tree; None where the run had none, or names one elsewhere."""
        root = self.run.snapshot.root
        if root is None:
            return None
        where = self.inside(".")
        if where is None:
            return None
        # DVC would write through such a link.
        ours = (os.path.join(where, ".dvc"), os.path.join(where, ".dvc", "config.local"))
        return None if any(map(os.path.islink, ours)) else where

    def inside(self, path: str) -> str | None:
        """Where ``path``, seen from the DVC root, lies in the tree; None where it leads out."""
        seen = posixpath.normpath(posixpath.join(self.run.snapshot.root or ".", path))
        if lies_in(seen, self._links_out):
            return None
        return self.directory if seen == "." else safe_join(self.directory, seen)

    @cached_property
    def _links_out(self) -> Set[str]:
        """The links of the code that were not written."""
        return self.repository.code_tree(self.sha, self.run.patch()).links_out.keys()

    def run_step(self, step: str, work: Callable[[], Iterator[Check]]) -> list[Check]:
        """What ``work`` has found, now or in an attempt before."""
        if step not in self.steps:
            self.steps[step] = list(work())
            self.save_progress()
        return self.steps[step]

    def save_progress(self) -> None:
        steps = {step: [asdict(item) for item in items] for step, items in self.steps.items()}
        raw = {"run": self.run.run_id, "sha": self.sha, "steps": steps}
        path = Path(find_git_dir(self.directory), RESTORED)
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps(raw), encoding="utf-8")
        unfinished.replace(path)


def plan_target(
    run: StoredRecord, location: ProjectLocation, to: str | None, at: str | None
) -> RestoreTarget:
    """Where ``run`` is to be restored. Raises TargetExistsError, or CommitLostError."""
    directory = os.path.abspath(to) if to else _default(run, location)
    sha = _chosen_commit(run, location, at)
    target = RestoreTarget(run, location, directory, sha)
    mark = _mark(directory)
    if mark is not None and (mark.get("run"), mark.get("sha")) == (run.run_id, sha):
        target.steps = {
            step: [Check(**item) for item in items] for step, items in mark["steps"].items()
        }
    if not target.steps and not _is_free(directory, location, mark):
        raise TargetExistsError(directory)
    return target


def _chosen_commit(run: StoredRecord, location: ProjectLocation, at: str | None) -> str:
    own = run.snapshot.git.sha if run.snapshot.git else None
    if at is None and (own is None or location.repository is None):
        return own or ""
    if location.repository is not None:
        sha = find_commit(run, location.repository, at)
        remedy = "Give a revision of the repository"
    else:
        sha = full_sha_or_none(at)
        remedy = "Call it inside the project, or give the commit in full"
    if sha is None:
        raise MlflowDvcError(f"{at!r} is no commit", remedy)
    return sha


def prepare_target(target: RestoreTarget) -> None:
    """Let ``directory`` be a work tree with the commit, in which nothing is checked out yet."""
    if target.steps:
        with suppress(FileNotFoundError):  # of a git that was killed
            os.unlink(os.path.join(find_git_dir(target.directory), "index.lock"))
        return
    if target.location.repository is None or not target.sha:
        known = target.sha or object_in_patch(target.run.patch())
        Repository.create(target.directory, known, target.location.own)
        if target.sha:
            _fetch_clone(target)
    elif not os.path.lexists(os.path.join(target.directory, ".git")):
        target.location.repository.add_work_tree(target.directory, target.sha)
    target.steps[_BEGUN] = []
    target.save_progress()


def _fetch_clone(target: RestoreTarget) -> None:
    git = target.run.snapshot.git
    url = git.remote_url if git else None
    if url is None:
        raise MlflowDvcError(
            f"run {target.run.run_id} names no repository to clone",
            "Call it inside the project whose run it is",
        )
    repository = target.repository
    if "origin" not in repository.remotes():
        repository.git("remote", "add", "--", "origin", url)
    if not repository.has(target.sha) and (reason := repository.fetch(target.sha, "origin")):
        if os.listdir(target.directory) == [".git"]:
            shutil.rmtree(target.directory)
        raise CommitLostError(target.sha, [f"{url}: {reason}"])


def find_commit(run: StoredRecord, repository: Repository, at: str | None = None) -> str | None:
    """The commit, in the repository: fetched where it was not there.

    Raises CommitLostError where nobody has the run's own.
    """
    if at is not None:
        return repository.resolve(at)
    git = run.snapshot.git
    sha = (git.sha if git else None) or ""
    if repository.has(sha):
        return sha
    tried = [f"{repository.root} does not have it"]
    url = git.remote_url if git else None
    sources = repository.remotes()
    for source in (*sources, *([url] if url and url not in sources else ())):
        reason = repository.fetch(sha, source)
        if reason is None:
            return sha
        tried.append(f"{source}: {reason}")
    started = (run.run.info.start_time or 0) / 1000
    nearest = repository.latest_before(started, git.branch if git else None)
    raise CommitLostError(sha, tried, nearest)


def _default(run: StoredRecord, location: ProjectLocation) -> str:
    name = f"{run.stage or 'run'}-{run.run_id[:_SHORT_SHA_DIGITS]}"
    safe = "".join(char if char.isalnum() or char in "-_." else "_" for char in name)
    if location.repository is None:
        return os.path.abspath(safe)
    folder, project = os.path.split(os.path.abspath(location.repository.root))
    return os.path.join(folder, f"{project}-{safe}")


def _mark(directory: str) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        raw = json.loads(Path(find_git_dir(directory), RESTORED).read_bytes())
        return raw if isinstance(raw, dict) else None
    return None


def _is_free(directory: str, location: ProjectLocation, mark: Any) -> bool:
    """Whether nothing could be lost: it is empty, or was broken off before any file was there."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return not os.path.lexists(directory)
    except NotADirectoryError:
        return False
    if names != [".git"] or location.repository is None or os.path.isdir(f"{directory}/.git"):
        return not names or (names == [".git"] and mark is not None)
    theirs, ours = (
        common_dir(find_git_dir(root)) for root in (directory, location.repository.root)
    )
    return os.path.realpath(theirs) == os.path.realpath(ours)
