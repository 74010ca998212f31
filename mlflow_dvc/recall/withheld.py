"""Files of a record that are not attached, as they look like they hold a secret: taken from git.

The record has the md5 of each. What git has with that md5 is the file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import replace

from mlflow_dvc.fingerprint import md5_of
from mlflow_dvc.git.commit_files import committed_bytes
from mlflow_dvc.git.file_history import FileHistory
from mlflow_dvc.git.repository import Repository, full_sha_or_none
from mlflow_dvc.paths import is_inside
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.recall.verdict import Check

_MAX_SECONDS = 60.0
_NOT_ATTACHED = "it is not attached: {}. No commit at hand has it as it was (md5 {}): "
_UNCOMMITTED = "it was not committed then, so put back by hand what differed"
_LOST = "call it where the repository has the run's commit"


def fill_withheld(run: StoredRecord, repository: Repository | None) -> StoredRecord:
    """``run`` with the files that are not attached, as far as ``repository`` has them."""
    if repository is None:
        return run
    found = {path: text for path in _missing(run) if (text := _find(run, path, repository))}
    later = tuple(fill_withheld(part, repository) for part in run.later)
    return replace(run, files={**run.files, **found}, later=later)


def check_withheld(run: StoredRecord) -> Iterator[Check]:
    """What is not attached, and was not found in git: what is known of it, and what to do."""
    snapshot = run.snapshot
    for path in _missing(run):
        why, md5 = (snapshot.withheld or {})[path], (snapshot.attached or {}).get(path)
        uncommitted = (snapshot.git.uncommitted if snapshot.git else None) or ()
        remedy = _UNCOMMITTED if path in uncommitted else _LOST
        said = _NOT_ATTACHED.format(why, md5) + remedy
        yield Check("lock" if path.endswith(".lock") else "file", path, "UNVERIFIED", said)


def _missing(run: StoredRecord) -> list[str]:
    return [path for path in run.snapshot.withheld or {} if path not in run.files]


def _find(run: StoredRecord, path: str, repository: Repository) -> bytes | None:
    """The file with that md5: of the run's commit, else of one that is built on it."""
    git, md5 = run.snapshot.git, (run.snapshot.attached or {}).get(path)
    sha = full_sha_or_none(git.sha) if git else None
    inside = posixpath.normpath(posixpath.join(run.snapshot.root or ".", path))
    if md5 is None or sha is None or not is_inside(path) or not is_inside(inside):
        return None
    if not repository.has(sha):
        return None
    text = committed_bytes(repository.root, sha, inside, _MAX_SECONDS)
    if (found := _with_md5(md5, [text] if text else [])) is not None:
        return found
    later = FileHistory(repository.root, inside).replacements(sha)
    return _with_md5(md5, (one.after for one in later))


def _with_md5(md5: str, texts: Iterable[bytes]) -> bytes | None:
    """That one of ``texts``, with either ends of lines."""
    for text in texts:
        unix = text.replace(b"\r\n", b"\n")
        for one in (text, unix, unix.replace(b"\n", b"\r\n")):
            if md5_of(one) == md5:
                return one
    return None
