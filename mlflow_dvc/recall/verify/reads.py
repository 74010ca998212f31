"""Check that what a run was seen to read, and its stage does not declare, can be had again."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import suppress

from mlflow_dvc.git.repository import GitError, Repository, full_sha_or_none
from mlflow_dvc.paths import is_inside
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
    root = run.snapshot.root or "."
    asked = {
        posixpath.normpath(posixpath.join(root, path)): path
        for path in seen.undeclared
        if path not in tracked
    }
    inside = [path for path in asked if is_inside(path)][:_MAX_PATHS]
    with suppress(GitError):  # a name that git does not take: nobody knows
        there = repository.files_among(sha, inside) if inside else set()
        for path in inside:
            if path not in there:
                yield Check("read", asked[path], "UNVERIFIED", _NOWHERE)
