"""Check the commit of a run, its submodules, and its patch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from mlflow_dvc.addresses import OwnAddresses
from mlflow_dvc.git.head import is_same_remote
from mlflow_dvc.git.history import GitHistory
from mlflow_dvc.git.pins import find_pin
from mlflow_dvc.git.repository import GitError, Repository, full_sha_or_none, object_in_patch
from mlflow_dvc.git.submodules import list_submodules
from mlflow_dvc.recall.pinned_tree import pinned_tree, tag_name
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.recall.verdict import Check, Verdict
from mlflow_dvc.recall.verify.record import find_patch_fault
from mlflow_dvc.scratch_folder import scratch_folder

MAX_GIT_SECONDS = 600.0


def check_commit(
    run: StoredRecord, repository: Repository | None, *, pushed: bool = False
) -> Check:
    """Whether a branch or tag has it, here or on a remote: what none has, git drops one day.

    ``pushed``: only what a remote has counts.
    """
    git = run.snapshot.git
    said = git.sha if git else None
    if said is None:
        return Check("commit", "none", "UNVERIFIED", "the repository had no commit yet")
    sha = full_sha_or_none(said)
    if sha is None:
        return Check("commit", said, "TAMPERED", "this is no commit")
    if repository is None:
        where = "no repository at hand: call it inside the project"
        return Check("commit", sha, "UNVERIFIED", where)
    remotes = known_remotes(run, repository)
    here = None if pushed else repository
    return Check("commit", sha, *_judge(sha, here, repository, remotes))


def check_pin(run: StoredRecord, repository: Repository | None) -> Iterator[Check]:
    """Of a pinned run, whether its code and its files are as they were then."""
    name = tag_name(run)
    there = find_pin(repository, name) if repository else None
    if repository is None or there is None:
        return
    sha = (run.snapshot.git.sha if run.snapshot.git else None) or ""
    try:
        tree, _ = pinned_tree(run, repository, sha, is_kept=False)
    except GitError as error:
        yield Check("pin", name, "UNVERIFIED", f"the record does not fit: {error}")
        return
    if tree == there.tree:
        yield Check("pin", name, "PASS", f"commit {there.sha}")
    else:
        yield Check("pin", name, "UNVERIFIED", "the record was another when it was pinned")


def known_remotes(run: StoredRecord, repository: Repository) -> list[str]:
    """Those of the repository, and the run's own if it is none of them."""
    url = run.snapshot.git.remote_url if run.snapshot.git else None
    remotes = repository.remotes()
    if url and not any(is_same_remote(url, repository.url_of(name)) for name in remotes):
        remotes.append(url)
    return remotes


def check_submodules(
    run: StoredRecord, repository: Repository | None, *, pushed: bool = False
) -> Iterator[Check]:
    """Check the commit of each submodule, as :func:`check_commit` does."""
    sha = full_sha_or_none(run.snapshot.git.sha) if run.snapshot.git else None
    if repository is None or sha is None or not repository.has(sha):
        return
    for one in list_submodules(repository, sha):
        where = os.path.join(repository.root, one.path)
        is_here = not pushed and os.path.exists(os.path.join(where, ".git"))
        here = Repository(where) if is_here else None
        remotes = [one.url] if one.url else []
        verdict, reason = _judge(one.sha, here, repository, remotes)
        yield Check("commit", one.path, verdict, f"submodule at {one.sha}: {reason}")


def _judge(
    sha: str, here: Repository | None, asking: Repository, remotes: Sequence[str]
) -> tuple[Verdict, str]:
    """``asking`` is the repository from which ``remotes`` are seen."""
    is_here = here is not None and here.has(sha)
    if here and is_here and (ref := here.ref_containing(sha)):
        return "PASS", f"on {ref}"
    said = ["it lies here, but on no branch or tag: git will drop it"] if is_here else []
    is_answered = True
    for source in remotes:
        reason = asking.why_not_on_remote(source, sha)
        if reason is None:
            return "PASS", f"on {source}"
        said.append(f"{source}: {reason}")
        is_answered &= asking.answers(source)
    nowhere = "it is not here, and there is no remote" if here else "there is no remote"
    reason = "; ".join(said) or nowhere
    return ("FAIL" if is_answered else "UNVERIFIED"), reason


def check_patch(run: StoredRecord, repository: Repository | None) -> Check:
    """Whether what is attached turns the commit into the code that ran."""
    return Check("patch", "code.patch", *patch_verdict(run, repository))


def patch_verdict(run: StoredRecord, repository: Repository | None) -> tuple[Verdict, str]:
    git = run.snapshot.git
    if reason := find_patch_fault(run):
        return "TAMPERED", reason
    if git is None or git.dirty is None:
        return "UNVERIFIED", "whether code was changed is not known"
    if not run.code_files:
        return "UNVERIFIED", "; ".join(git.omitted) or "the changed code is not attached"
    if git.sha is None:
        fault = _find_fault_before_commits(run.patch())
    else:
        sha = full_sha_or_none(git.sha)
        if repository is None or sha is None or not repository.has(sha):
            return "UNVERIFIED", "the commit is not at hand"
        fault = _find_fault(repository, sha, run.patch())
    if fault:
        return "FAIL", f"it does not apply: {fault}"
    return ("UNVERIFIED", "; ".join(git.omitted)) if git.omitted else ("PASS", "")


def _find_fault_before_commits(patch: bytes) -> str | None:
    """It needs no repository but one of its kind."""
    with scratch_folder() as folder:
        repository = Repository.create(folder, object_in_patch(patch), OwnAddresses())
        return _find_fault(repository, "", patch)


def _find_fault(repository: Repository, sha: str, patch: bytes) -> str | None:
    try:
        with GitHistory(repository.root, MAX_GIT_SECONDS) as commits:
            commits.tree(sha, patch)
    except OSError as error:
        return str(error)
    return None
