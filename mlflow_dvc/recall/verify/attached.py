"""Hold what is attached to a run against the record, and against a repository."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow_dvc.git.repository import full_sha_or_none
from mlflow_dvc.recall.locate import CommitCopies, ProjectLocation
from mlflow_dvc.recall.lock_memory import LockMemory
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.recall.verdict import Check
from mlflow_dvc.recall.verify.code import known_remotes
from mlflow_dvc.recall.verify.record import check_files, check_locks
from mlflow_dvc.recall.verify.witness import Witness
from mlflow_dvc.recall.withheld import check_withheld


def check_attached(run: StoredRecord, witness: Witness) -> Iterator[Check]:
    """Whether the attached files are those of the record, and whether git says so too."""
    for lock in check_locks(run):
        confirmed = lock.verdict == "PASS"
        yield Check("lock", lock.name, *witness.lock_verdict(lock.name)) if confirmed else lock
    yield from check_withheld(run)
    tampered = list(check_files(run))
    yield from tampered
    names = {one.name for one in tampered}
    yield from (one for one in witness.file_checks() if one.name not in names)


def find_witness(
    run: StoredRecord, location: ProjectLocation, memory: LockMemory, copies: CommitCopies
) -> Witness:
    """The repository at hand; where it lacks the commit, what a remote has of that."""
    here, git = location.repository, run.snapshot.git
    url = git.remote_url or "" if git else ""
    sha = full_sha_or_none(git.sha) if git else None
    if here is None or sha is None or here.has(sha):
        return Witness(run, here, memory, url if location.untrusted else "")
    own = here.remotes()
    foreign = [source for source in known_remotes(run, here) if source not in own]
    for sources, named_by in ((own, ""), (foreign, url)):
        if sources and (found := copies.fetch(here, sha, sources)):
            return Witness(run, found, memory, named_by)
    return Witness(run, None, memory)
