"""Check that what a run was seen to read, and its stage does not declare, can be had again."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from mlflow_dvc.git.repository import Repository, full_sha_or_none
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.recall.verdict import Check

_NOWHERE = "the run read it, and neither its commit nor its record has it"
_MAX_PATHS = 100


def check_reads(run: StoredRecord, repository: Repository | None) -> Iterator[Check]:
    """Nothing is said of data, which is looked for in the stores, nor of code that ran."""
    seen, git = run.snapshot.reads, run.snapshot.git
    sha = full_sha_or_none(git.sha) if git and git.sha else None
    if seen is None or repository is None or sha is None or not repository.has(sha):
        return
    tracked = {entry.path for entry in run.snapshot.data} | (seen.code or {}).keys()
    for path in seen.undeclared[:_MAX_PATHS]:
        inside = posixpath.normpath(posixpath.join(run.snapshot.root or ".", path))
        if path not in tracked and repository.file(sha, inside) is None:
            yield Check("read", path, "UNVERIFIED", _NOWHERE)
