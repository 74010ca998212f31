"""Check the data that a run saw: whether each hash can still be had."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import NamedTuple

from mlflow_dvc.dvc_backend.hash_query import ALGORITHMS
from mlflow_dvc.dvc_backend.storage.availability import Availability, DataRef, find_available
from mlflow_dvc.fingerprint import md5_of
from mlflow_dvc.git.history import GitHistory
from mlflow_dvc.git.repository import GitError, Repository, full_sha_or_none
from mlflow_dvc.git.run import ask_remote_once
from mlflow_dvc.paths import DATASET_SCHEME
from mlflow_dvc.recall.imports import import_source
from mlflow_dvc.recall.locate import ProjectLocation
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.recall.verdict import Check, Verdict
from mlflow_dvc.recall.verify.code import MAX_GIT_SECONDS
from mlflow_dvc.scratch_folder import scratch_folder
from mlflow_dvc.snapshot import DataEntry
from mlflow_dvc.tracking import write_files

_UNCONFIRMED = "it can be had, but only the record says that it is what the run saw"
_NO_GIT = b"[core]\nno_scm = true\n"


class StoreAnswer(NamedTuple):
    """What `find_available` answers, by the key of the question, and what could not be asked.

    ``nowhere`` says in words which stores have none of what is missing.
    """

    kept: dict[str, Availability]
    unasked: list[str]
    nowhere: str


def data_ref(run: StoredRecord, entry: DataEntry) -> DataRef | None:
    """The question for it; None where its hash is not one of its content."""
    if entry.algorithm not in ALGORITHMS or entry.hash is None:
        return None
    return DataRef(entry.algorithm, entry.hash, import_source(run, entry))


def commit_settings(run: StoredRecord, location: ProjectLocation) -> bytes | None:
    """DVC's settings in the run's commit; None if they are those of the project, or not at hand.

    The checkout may be at a commit of before, or after, a remote was configured.
    """
    sha = full_sha_or_none(run.snapshot.git.sha) if run.snapshot.git else None
    if location.repository is None or sha is None or not location.repository.has(sha):
        return None
    config = location.repository.file(sha, _config_path(run))
    here = Path(location.dvc_root or "", ".dvc", "config")
    return None if here.is_file() and config == here.read_bytes() else config


def settings_of_today(run: StoredRecord, location: ProjectLocation) -> bytes | None:
    """Those that the run's remote has by now, where only a clone of the run's commit is at hand."""
    url = run.snapshot.git.remote_url if run.snapshot.git else None
    repository, path = location.repository, _config_path(run)
    sha = (run.snapshot.git.sha if run.snapshot.git else None) or ""
    if repository is None or url is None:
        return None

    def ask() -> bytes | None:
        with scratch_folder() as folder:  # a branch that is fetched would keep the run's commit
            elsewhere = Repository.create(folder, sha, repository.own, "--bare")
            try:
                return elsewhere.file(elsewhere.fetch_revision(url, None), path)
            except GitError:  # it cannot be asked, which is said of the commit
                return None

    return ask_remote_once(("settings", url, path), ask)


def _config_path(run: StoredRecord) -> str:
    inside = os.path.normpath(os.path.join(run.snapshot.root or ".", ".dvc", "config"))
    return inside.replace(os.sep, "/")


def find_in_other_remotes(
    settings: bytes, own: str | None, lacking: Sequence[DataRef]
) -> dict[str, Availability]:
    """Of data that the project's remotes lack, what those have that ``settings`` name."""
    with scratch_folder() as folder:
        write_files(folder, {".dvc/config": settings, ".dvc/config.local": _NO_GIT})
        found, _ = find_available(folder, lacking, own=own)
    return {key: kept for key, kept in found.items() if not kept.count}


def check_data(
    run: StoredRecord,
    location: ProjectLocation,
    stores: StoreAnswer,
    unconfirmed: Set[str] = frozenset(),
) -> Iterator[Check]:
    """``stores`` is the answer to all questions at once, ``unconfirmed`` are the paths of which
    only the record says what the run saw.
    """
    for entry in run.data():
        yield Check("data", entry.path, *_judge(run, location, entry, stores, unconfirmed))
    yield from check_unknown(run)


def check_unknown(run: StoredRecord, *, outputs: bool = True) -> Iterator[Check]:
    """What the run read besides :meth:`~mlflow_dvc.recall.stored_record.StoredRecord.data`."""
    paths = {entry.path for entry in run.data(outputs=outputs)}
    lines = (line.partition(": ") for line in run.snapshot.uncovered)
    reasons = {path: why for path, _, why in lines}
    for entry in (*run.snapshot.deps, *run.snapshot.data):
        if entry.role == "input" and entry.path not in paths:
            paths.add(entry.path)
            why = reasons.get(entry.path) or _why_unverified(entry)
            yield Check("data", entry.path, "UNVERIFIED", why)
    for path, why in reasons.items():
        if path not in paths:
            yield Check("data", path, "UNVERIFIED", why)


def _why_unverified(entry: DataEntry) -> str:
    """What lies outside of the project is not asked: not with the credentials of who verifies."""
    if entry.hash is None:
        return "its hash is not known"
    if entry.path.startswith(DATASET_SCHEME):
        return f"a dataset from {entry.source}, which is not asked whether it still has that"
    return f"it is not in the project; whether it still is {entry.hash} there is not asked"


def _judge(
    run: StoredRecord,
    location: ProjectLocation,
    entry: DataEntry,
    stores: StoreAnswer,
    unconfirmed: Set[str],
) -> tuple[Verdict, str]:
    question = data_ref(run, entry)
    if question is None:
        return "UNVERIFIED", f"{entry.algorithm} hashes cannot be verified locally"
    if location.dvc_root is None:
        return "UNVERIFIED", "no DVC project at hand: call it inside the project"
    found = stores.kept[question.key]
    if not found.count:
        known = entry.path not in unconfirmed
        return ("PASS", ", ".join(found.stores)) if known else ("UNVERIFIED", _UNCONFIRMED)
    if in_git := _in_git(run, location.repository, entry):
        return in_git
    reason = f"{_named(found)}: {stores.nowhere}"
    if stores.unasked:
        return "UNVERIFIED", f"{reason}; not asked: " + "; ".join(stores.unasked)
    return "FAIL", reason


def _is_folder(commits: GitHistory, sha: str, patch: bytes, path: str) -> bool:
    try:
        return commits.is_folder(sha, patch, path)
    except OSError:  # the patch does not apply, which is said of the patch
        return False


def _named(found: Availability) -> str:
    named = ", ".join(f"{name} {oid}".strip() for name, oid in found.missing)
    more = found.count - len(found.missing)
    return f"{named} and {more} more" if more else named


def _in_git(
    run: StoredRecord, repository: Repository | None, entry: DataEntry
) -> tuple[Verdict, str] | None:
    """What a stage reads need not be DVC's."""
    sha = full_sha_or_none(run.snapshot.git.sha) if run.snapshot.git else None
    if repository is None or sha is None or entry.cached or not repository.has(sha):
        return None
    inside = os.path.normpath(os.path.join(run.snapshot.root or ".", entry.path))
    with GitHistory(repository.root, MAX_GIT_SECONDS) as commits:
        content = commits.content(sha, run.patch(), inside.replace(os.sep, "/"))
        if content is None and _is_folder(commits, sha, run.patch(), inside.replace(os.sep, "/")):
            return "UNVERIFIED", "a folder in git, which is not hashed as DVC does"
    if content is None or md5_of(content) != entry.hash:
        return None
    return "PASS", "in git"
