"""Whether a record agrees with itself: its tags, its snapshot, its files and their digests."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator

from mlflow_dvc import tags as tag
from mlflow_dvc.capture.change import Patch
from mlflow_dvc.capture.lockfile import lock_of
from mlflow_dvc.capture.reader import ProjectReader
from mlflow_dvc.recall.carried import Carried
from mlflow_dvc.recall.paths import is_inside
from mlflow_dvc.recall.verdict import Item, Verdict
from mlflow_dvc.snapshot import DataEntry
from mlflow_dvc.tracking import write_files


def record_item(run: Carried) -> Item:
    """Whether the record is whole, agrees with the run's tags, and was held against the disk."""
    return Item("record", "snapshot.json", *_judged(run))


def _judged(run: Carried) -> tuple[Verdict, str]:
    if "snapshot.json" not in run.files:
        return "UNVERIFIED", "it is not attached"
    if reason := _tags_fault(run):
        return "TAMPERED", reason
    if run.snapshot.data_status == "unverified" and run.data():
        return "UNVERIFIED", "what lay on disk was never compared with what DVC's files say"
    return "PASS", ""


def _tags_fault(run: Carried) -> str:
    """What is contradictory between the run's tags and its snapshot; empty where nothing is."""
    said = tag.ours(run.tags)
    attached = tag.to_tags(run.snapshot)
    for key, value in attached.items():
        if key.startswith(tag.HASHES):
            continue
        if said.get(key) != value:
            return f"the tag {key} is {said.get(key)!r}, the snapshot has {value!r}"
    lacking = tag.hashes_in(attached) - tag.hashes_in(said)
    if lacking:
        return f"the tag {tag.HASHES} does not have {min(lacking)}"
    for key in said:
        if key.startswith((tag.OUT, tag.DEP)) and key not in attached:
            return f"the tag {key} is not in the snapshot"
    return ""


def patch_fault(run: Carried) -> str:
    """How the attached code is not what the snapshot has the digest of; empty where it is."""
    git = run.snapshot.git
    if git is None or git.changes is None or not run.code_files:
        return ""
    found = Patch(run.code_files).digest
    return "" if found == git.changes else f"its digest is {found}, recorded was {git.changes}"


def lock_items(run: Carried) -> Iterator[Item]:
    """Of every lock: whether its bytes are those recorded, and say what the snapshot says."""
    recorded = run.snapshot.locks or ({"dvc.lock": run.snapshot.lock} if run.snapshot.lock else {})
    wrong = dict(_contradicted(run))
    for path, digest in recorded.items():
        content = run.files.get(path)
        if content is None:
            yield Item("lock", path, "UNVERIFIED", "it is not attached")
            continue
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != digest:
            reason = f"its md5 is {found}, recorded was {digest}"
            yield Item("lock", path, "TAMPERED", reason)
        elif path in wrong:
            yield Item("lock", path, "TAMPERED", wrong[path])
        else:
            yield Item("lock", path, "PASS")


def _contradicted(run: Carried) -> Iterator[tuple[str, str]]:
    """Of each lock that has another hash than the snapshot for the same output, which."""
    said = {entry.path: entry for entry in run.snapshot.data if entry.known}
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


def _locked(run: Carried) -> Iterator[tuple[str, DataEntry]]:
    """Every output in the attached locks, read as the project's own files are."""
    with tempfile.TemporaryDirectory(prefix="mlflow-dvc-") as folder:
        files = {path: run.project_files[path] for path in run.project_files if is_inside(path)}
        write_files(folder, files)
        os.makedirs(os.path.join(folder, ".dvc"), exist_ok=True)
        for stage in ProjectReader(folder).read().resolved().stages:
            yield from ((lock_of(stage.file), out) for out in stage.outs)
