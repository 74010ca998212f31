"""Pin a run: a tag of git whose commit has the run's exact code, lock and parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlflow_dvc.enumeration import first_of
from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.fingerprint import md5_of
from mlflow_dvc.git.pins import Pin, create_pin, find_pin, push_pin
from mlflow_dvc.git.repository import GitError, Repository
from mlflow_dvc.recall.locate import locate_project
from mlflow_dvc.recall.lock_memory import LockMemory
from mlflow_dvc.recall.pinned_tree import pinned_tree, tag_name
from mlflow_dvc.recall.restore.target import find_commit
from mlflow_dvc.recall.stored_record import StoredRecord, load_record
from mlflow_dvc.recall.verify.attached import check_attached
from mlflow_dvc.recall.verify.hashes import check_code
from mlflow_dvc.recall.verify.record import check_record, find_patch_fault
from mlflow_dvc.recall.verify.witness import Witness

_MAX_NAMED = 5


@dataclass(frozen=True)
class PinResult:
    """A run is pinned: each of ``tags`` is of a commit, one for each part of the run.

    ``parents`` are the commits that are kept with it. ``uncommitted`` maps each attached piece of
    code that is in no other commit to its size in bytes: whoever recorded the run may have written
    any. ``left_out`` says in words what of the run's
    code or files is not in the commit. ``is_new``: it was not pinned before. ``remote`` has the
    tags, None where they were not pushed.
    """

    run_id: str
    run_name: str
    tags: dict[str, str]
    parents: tuple[str, ...]
    uncommitted: dict[str, int]
    left_out: tuple[str, ...]
    is_new: bool
    remote: str | None = None


def pin(
    run: str,
    *,
    push: bool = False,
    remote: str | None = None,
    project: str | None = None,
    tracking_uri: str | None = None,
) -> PinResult:
    """Make a commit with the code of a run, patch included, its lock and its parameters, and tag it
    ``mlflow-dvc/RUN_ID``, so that git and DVC keep what the run needs.

    ``run`` is named as for :func:`~mlflow_dvc.show`. The repository around the directory
    ``project`` (by default the working one) has to be the run's. No branch, index or file of the
    work tree is touched. With ``push`` the tag goes to ``remote``, by default the one of the
    branch. A second call changes nothing.

    Raises :class:`~mlflow_dvc.CommitLostError`, :class:`~mlflow_dvc.MlflowDvcError` for a record
    that was tampered with, or that changed since it was pinned, and whatever
    :func:`~mlflow_dvc.show` raises.

    >>> mlflow_dvc.pin("907167c9").tags
    {'mlflow-dvc/907167c9dd7cdf241098fabe197caf03': '5f0c…'}
    """
    record = load_record(run, tracking_uri)
    repository = locate_project(record, project).repository
    if repository is None:
        raise MlflowDvcError(
            f"the repository of run {record.run_id} is not here", "Call it inside the project"
        )
    try:
        to = (remote or repository.default_remote()) if push else None
        if push and to is None:
            raise MlflowDvcError("which remote the pin is to go to is not known", "Say --remote")
        parts = [_Part.of(part, repository) for part in (record, *record.later)]
        made = [_pinned(part, repository) for part in _once(parts)]
        for one, _ in made if to else ():
            push_pin(repository, one, to or "")
    except GitError as error:
        raise MlflowDvcError(f"git said {error.problem!r}", error.remedy) from error
    return PinResult(
        record.run_id,
        record.name,
        {one.name: one.sha for one, _ in made},
        tuple(dict.fromkeys(parent for part in parts for parent in part.parents)),
        {path: len(code) for part in parts for path, code in part.run.code_files.items()},
        tuple(dict.fromkeys(line for part in parts for line in part.left_out)),
        any(is_new for _, is_new in made),
        to,
    )


@dataclass(frozen=True)
class _Part:
    """What is pinned of a run, or of a later part of it."""

    run: StoredRecord
    tree: str
    parents: tuple[str, ...]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, run: StoredRecord, repository: Repository) -> _Part:
        git = run.snapshot.git
        if git is None or (git.sha is None and not run.code_files):
            raise MlflowDvcError(
                f"run {run.run_id} has recorded no commit and no code",
                "There is nothing that git could keep",
            )
        sha = (find_commit(run, repository) or "") if git.sha else ""
        witness = Witness(run, repository, LockMemory())
        _refuse_tampered(run, witness)
        tree, left_out = pinned_tree(run, repository, sha, is_kept=True)
        left_out += [*git.omitted, *_submodules(run)]
        if git.dirty is None:
            left_out.append("uncommitted code: whether there was any is not known")
        elif git.dirty and not run.code_files and not git.omitted:
            left_out.append("uncommitted code: it is not attached")
        parents = [sha] if sha else []
        parents += [one for one in witness.confirming_commits() if one not in parents]
        return cls(run, tree, tuple(parents), tuple(left_out))

    @property
    def message(self) -> str:
        snapshot = md5_of(self.run.files.get("snapshot.json", b""))
        subject = f"Code and data of MLflow run {self.run.name or self.run.run_id}"
        facts = f"MLflow-Run: {self.run.run_id}\nSnapshot-MD5: {snapshot}"
        return f"{' '.join(subject.split())}\n\n{facts}"


def _once(parts: list[_Part]) -> Iterator[_Part]:
    """The later parts of a run that have other code or files."""
    seen = set()
    for part in parts:
        if (part.tree, part.parents) not in seen:
            seen.add((part.tree, part.parents))
            yield part


def _pinned(part: _Part, repository: Repository) -> tuple[Pin, bool]:
    name = tag_name(part.run)
    there = find_pin(repository, name)
    if there is None:
        return create_pin(repository, name, part.tree, part.parents, part.message), True
    if there.tree != part.tree:
        raise MlflowDvcError(
            f"run {part.run.run_id} was pinned when its record was another ({name})",
            f"Compare them by `mlflow-dvc verify`; `git tag -d {name}` takes the pin away",
        )
    return there, False


def _refuse_tampered(run: StoredRecord, witness: Witness) -> None:
    """A commit makes no record truer."""
    found = [check_record(run), *check_attached(run, witness), *check_code(run, witness)]
    lines = [f"{one.name}: {one.reason}" for one in found if one.verdict == "TAMPERED"]
    if fault := find_patch_fault(run):
        lines.append(f"code.patch: {fault}")
    if lines:
        raise MlflowDvcError(
            f"the record of run {run.run_id} was tampered with: {first_of(lines, _MAX_NAMED)}",
            "`mlflow-dvc verify` tells of it; nothing was pinned",
        )


def _submodules(run: StoredRecord) -> list[str]:
    named = {path.split("/code.patch")[0] for path in run.code_files if "submodules/" in path}
    return [f"{path}: uncommitted code of a submodule" for path in sorted(named)]
