"""The commit and what is uncommitted."""

from __future__ import annotations

from mlflow_dvc.capture.commits import Commits
from mlflow_dvc.recall.carried import Carried
from mlflow_dvc.recall.repository import Repository, commit_of
from mlflow_dvc.recall.verdict import Item, Verdict
from mlflow_dvc.recall.verify.record import patch_fault

SECONDS_AT_MOST = 600.0


def commit_item(run: Carried, repository: Repository | None) -> Item:
    """Whether a branch or tag has it, here or on a remote: what none has, git drops one day."""
    git = run.snapshot.git
    said = git.sha if git else None
    if said is None:
        return Item("commit", "none", "UNVERIFIED", "the repository had no commit yet")
    sha = commit_of(said)
    if sha is None:
        return Item("commit", said, "TAMPERED", "this is no commit")
    if repository is None:
        where = "no repository at hand: call it inside the project"
        return Item("commit", sha, "UNVERIFIED", where)
    if repository.has(sha) and (ref := repository.ref_with(sha)):
        return Item("commit", sha, "PASS", f"on {ref}")
    return _on_a_remote(sha, repository, git.remote_url if git else None)


def _on_a_remote(sha: str, repository: Repository, url: str | None) -> Item:
    said = []
    is_answered = True
    for source in repository.remotes() or ([url] if url else []):
        reason = repository.lacks_on(source, sha)
        if reason is None:
            return Item("commit", sha, "PASS", f"on {source}")
        said.append(f"{source}: {reason}")
        is_answered &= repository.answers(source)
    if repository.has(sha):
        said.insert(0, "it lies here, but on no branch or tag: git will drop it")
    reason = "; ".join(said) or "it is not in this repository, which has no remote"
    return Item("commit", sha, "FAIL" if is_answered else "UNVERIFIED", reason)


def patch_item(run: Carried, repository: Repository | None) -> Item:
    """Whether what is attached turns the commit into the code that ran."""
    return Item("patch", "code.patch", *_judged(run, repository))


def _judged(run: Carried, repository: Repository | None) -> tuple[Verdict, str]:
    git = run.snapshot.git
    if reason := patch_fault(run):
        return "TAMPERED", reason
    if git is None or git.dirty is None:
        return "UNVERIFIED", "whether code was changed is not known"
    if not run.code_files:
        return "UNVERIFIED", "; ".join(git.omitted) or "the changed code is not attached"
    sha = commit_of(git.sha)
    if repository is None or sha is None or not repository.has(sha):
        return "UNVERIFIED", "the commit is not at hand"
    try:
        with Commits(repository.root, SECONDS_AT_MOST) as commits:
            commits.tree(sha, run.patch())
    except OSError as error:
        return "FAIL", f"it does not apply: {error}"
    return ("UNVERIFIED", "; ".join(git.omitted)) if git.omitted else ("PASS", "")
