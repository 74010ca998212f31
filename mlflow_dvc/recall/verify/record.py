"""Check that a record agrees with itself: tags, snapshot, files, digests."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from mlflow_dvc import tags as tag
from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.dvcfiles.lock_file import lock_path
from mlflow_dvc.fingerprint import md5_of
from mlflow_dvc.git.uncommitted import Patch
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.recall.verdict import Check, Verdict
from mlflow_dvc.snapshot import DataEntry

_OURS = "dvc."


def check_record(run: StoredRecord) -> Check:
    """Whether the record is whole, agrees with the run's tags, and was held against the disk."""
    return Check("record", "snapshot.json", *_judge(run))


def _judge(run: StoredRecord) -> tuple[Verdict, str]:
    if "snapshot.json" not in run.files:
        return "UNVERIFIED", "it is not attached"
    faults = list(_tag_faults(run))
    if ours := [reason for key, reason in faults if key.startswith(_OURS)]:
        return "TAMPERED", ours[0]
    if faults:  # `git_sha` and the like may be somebody's own
        return "UNVERIFIED", faults[0][1]
    if run.snapshot.data_status == "unverified" and run.data():
        return "UNVERIFIED", "what lay on disk was never compared with what DVC's files say"
    return "PASS", ""


def _tag_faults(run: StoredRecord) -> Iterator[tuple[str, str]]:
    """Each tag that is not what the snapshot says."""
    said = tag.own_tags(run.tags)
    attached = tag.to_tags(run.snapshot)
    for key, value in attached.items():
        if not key.startswith(tag.HASHES) and said.get(key) != value:
            yield key, f"the tag {key} is {said.get(key)!r}, the snapshot has {value!r}"
    if lacking := tag.hashes_in(attached) - tag.hashes_in(said):
        yield tag.HASHES, f"the tag {tag.HASHES} does not have {min(lacking)}"
    for key in said:
        if key.startswith((tag.OUT, tag.DEP)) and key not in attached:
            yield key, f"the tag {key} is not in the snapshot"


def find_patch_fault(run: StoredRecord) -> str:
    """How the attached code is not what the snapshot says of it; empty where it is."""
    git = run.snapshot.git
    if git is None or not run.code_files:
        return ""
    if git.dirty is False:
        return "changed code is attached, recorded was that there is none"
    found = Patch(run.code_files).digest
    if git.changes in (None, found):
        return ""
    return f"its digest is {found}, recorded was {git.changes}"


def check_files(run: StoredRecord) -> Iterator[Check]:
    """Every attached file that is none of DVC's, and no parameters of a stage."""
    if not run.project_files:
        return
    reading = run.reading
    declared = (path for stage in reading.stages for path in stage.params)
    known = {*(run.snapshot.locks or ()), *reading.params, *declared}
    for path in run.project_files:
        name = posixpath.basename(path)
        if path not in known and name != PIPELINE_FILE and not name.endswith((".dvc", ".lock")):
            yield Check("file", path, "TAMPERED", "it is no file of DVC's, nor of parameters")


def check_locks(run: StoredRecord) -> Iterator[Check]:
    """Of every lock: whether its bytes are those recorded, and say what the snapshot says."""
    recorded = run.snapshot.locks or ({"dvc.lock": run.snapshot.lock} if run.snapshot.lock else {})
    wrong = dict(_contradicted(run))
    for path, digest in recorded.items():
        content = run.files.get(path)
        if content is None:
            yield Check("lock", path, "UNVERIFIED", "it is not attached")
            continue
        found = md5_of(content)
        if found != digest:
            reason = f"its md5 is {found}, recorded was {digest}"
            yield Check("lock", path, "TAMPERED", reason)
        elif path in wrong:
            yield Check("lock", path, "TAMPERED", wrong[path])
        else:
            yield Check("lock", path, "PASS")


def _contradicted(run: StoredRecord) -> Iterator[tuple[str, str]]:
    """Of each lock that has another hash than the snapshot for the same output, which."""
    said = {entry.path: entry for entry in run.snapshot.data if entry.is_fact}
    is_sealed = run.snapshot.sealed_at is not None
    for lock, out in _locked(run):
        entry = said.get(out.path)
        if entry is None or entry.hash == out.hash:
            continue
        # While the stage ran, others may have written into the lock that it was sealed with. What
        # was on disk need not have been in the lock.
        from_lock = "sealed" if is_sealed else "locked"
        same_kind = entry.algorithm == out.algorithm and out.hash is not None
        on_disk = not is_sealed and entry.certainty == "disk" and entry.state == "clean"
        if entry.certainty == from_lock or (on_disk and same_kind):
            yield lock, f"{out.path} is {out.hash} there, recorded was {entry.hash}"


def _locked(run: StoredRecord) -> Iterator[tuple[str, DataEntry]]:
    """Every output in the attached locks."""
    for stage in run.reading.stages:
        yield from ((lock_path(stage.file), out) for out in stage.outs)
