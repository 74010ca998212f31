"""The project of a run: the checkout around the working directory, or a clone."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace

from mlflow_dvc.addresses import OwnAddresses
from mlflow_dvc.capture.claims import checkout_id
from mlflow_dvc.git.head import is_relative_path
from mlflow_dvc.git.repository import GitError, Repository, full_sha_or_none
from mlflow_dvc.paths import is_inside, safe_join
from mlflow_dvc.project import find_project
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.scratch_folder import scratch_folder

# Parameters may be the same by chance.
_PIPELINE_FILES = ("dvc.yaml", "dvc.lock")


@dataclass(frozen=True)
class ProjectLocation:
    """A git repository, None where there is none, and the DVC project whose stores are asked.

    ``untrusted``: it is not the user's, but what a record names. ``own`` are the addresses at which
    git may use the user's credentials, ``own_root`` is the DVC project whose settings are the
    user's: those around the working directory, of whatever run.
    """

    repository: Repository | None
    dvc_root: str | None
    own: OwnAddresses = field(default_factory=OwnAddresses, repr=False, compare=False)
    own_root: str | None = None
    untrusted: bool = False


def locate_project(
    record: StoredRecord, directory: str | None = None, *, at: str | None = None
) -> ProjectLocation:
    """The project of the run around ``directory`` (default: the working directory).

    The repository there counts if it has the run's commit, if it is, or is a clone of, the run's
    remote, if the run was in this very checkout, or if it has the commit ``at`` that was asked for.
    Where one of both has no remote, it counts if it has one of DVC's files of the run; of a run
    without any, if it has the revision ``at``.
    """
    project = find_project(directory)
    if project.git_root is None:
        dvc_root = project.dvc_root if record.snapshot.git is None else None
        return ProjectLocation(None, dvc_root, own_root=project.dvc_root)
    repository = Repository(project.git_root)
    # The settings in a tree that was restored are those of the run's commit.
    home = repository.main_root if repository.is_restored else project.git_root
    inside = _dvc_root(home, record.snapshot.root or ".")
    if repository.is_restored:
        own_root = inside if home != project.git_root else None
    else:
        own_root = inside or project.dvc_root
    dvc_root = own_root or project.dvc_root
    if record.snapshot.git is None:
        return ProjectLocation(None, dvc_root, repository.own, own_root)
    if _is_project_of(record, repository, dvc_root) or _is_named_by(at, record, repository):
        return ProjectLocation(repository, dvc_root, repository.own, own_root)
    return ProjectLocation(None, None, repository.own, own_root)


def _dvc_root(git_root: str, inside: str) -> str | None:
    """The DVC project that a record names, if it is there."""
    found = os.path.normpath(os.path.join(git_root, inside))
    is_there = is_inside(inside) and os.path.isdir(os.path.join(found, ".dvc"))
    return found if is_there else None


def _is_project_of(record: StoredRecord, repository: Repository, dvc_root: str | None) -> bool:
    snapshot = record.snapshot
    sha = full_sha_or_none(snapshot.git.sha) if snapshot.git else None
    url = snapshot.git.remote_url if snapshot.git else None
    if (sha and repository.has(sha)) or (url and repository.is_of_remote(url)):
        return True
    if dvc_root and snapshot.workspace and snapshot.workspace == checkout_id(dvc_root):
        return True
    if _is_elsewhere(record, repository):
        return False
    # Its commit may be lost: a pull request was squashed, history was written anew.
    return repository.has_any_blob(_dvc_files(record))


def _is_named_by(at: str | None, record: StoredRecord, repository: Repository) -> bool:
    """Whether a revision says enough: a branch may be called alike in any repository."""
    if at is None or repository.resolve(at) is None:
        return False
    may_be = not _is_elsewhere(record, repository) and not any(_dvc_files(record))
    return full_sha_or_none(at) is not None or may_be


def _is_elsewhere(record: StoredRecord, repository: Repository) -> bool:
    """Whether both say where they belong, and it is not the same."""
    url = record.snapshot.git.remote_url if record.snapshot.git else None
    is_told = url is not None and not is_relative_path(url) and bool(repository.remotes())
    return is_told and not repository.is_of_remote(url or "")


def _dvc_files(record: StoredRecord) -> list[bytes]:
    """Those that tell one project from another. Projects that share data have equal ``.dvc`` files:
    they tell something only of a run that names no remote and has no pipeline.
    """
    files = {path: content for path, content in record.project_files.items() if content}
    pipelines = [files[path] for path in files if posixpath.basename(path) in _PIPELINE_FILES]
    if pipelines or (record.snapshot.git and record.snapshot.git.remote_url):
        return pipelines
    return [files[path] for path in files if path.endswith(".dvc")]


class CommitCopies:
    """What is fetched of commits that are not at hand, once for all runs, while ``stack`` lasts."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._clones: dict[tuple[str, str], Repository] = {}
        self._fetched: dict[tuple[str, str, tuple[str, ...]], Repository | None] = {}

    def clone(self, record: StoredRecord, here: ProjectLocation) -> ProjectLocation:
        """A throw-away clone of the run's remote at its commit, as far as that can be had.

        ``here`` tells what is the user's.
        """
        git = record.snapshot.git
        sha = full_sha_or_none(git.sha) if git else None
        if git is None or sha is None or not git.remote_url:
            return replace(here, repository=None, dvc_root=None)
        key = (git.remote_url, sha)
        if key not in self._clones:
            self._clones[key] = self._clone(git.remote_url, sha, here.own)
        repository = self._clones[key]
        root = safe_join(repository.root, record.snapshot.root or ".")
        is_project = root is not None and os.path.isdir(f"{root}/.dvc")
        where = root if is_project else None
        return replace(here, repository=repository, dvc_root=where, untrusted=True)

    def _clone(self, url: str, sha: str, own: OwnAddresses) -> Repository:
        repository = Repository.create(self._folder(), sha, own)
        with suppress(GitError):  # the caller asks for the commit, and is told
            if repository.fetch(sha, url) is None:
                repository.check_out(repository.tree(sha), sha)
        return repository

    def fetch(self, here: Repository, sha: str, sources: Sequence[str]) -> Repository | None:
        """The commit from the first of the ``sources``, as ``here`` sees them, that has it."""
        key = (here.root, sha, tuple(sources))
        if key not in self._fetched:
            self._fetched[key] = here.fetch_apart(self._folder(), sha, sources)
        return self._fetched[key]

    def _folder(self) -> str:
        return self._stack.enter_context(scratch_folder())
