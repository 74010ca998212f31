"""Restore DVC's files as the run saw them, and the data by its hash."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from mlflow_dvc.dvc_backend.storage.availability import Origin
from mlflow_dvc.dvc_backend.storage.fetch_all import FetchOrder, fetch_all
from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.dvcfiles.dvc_file import runs_the_same
from mlflow_dvc.recall.imports import import_source
from mlflow_dvc.recall.lock_memory import LockMemory
from mlflow_dvc.recall.restore.target import RestoreTarget
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.recall.verdict import Check
from mlflow_dvc.recall.verify.attached import check_attached
from mlflow_dvc.recall.verify.data import check_unknown
from mlflow_dvc.recall.verify.hashes import check_code
from mlflow_dvc.recall.verify.record import check_files, check_locks
from mlflow_dvc.recall.verify.witness import Witness
from mlflow_dvc.recall.withheld import check_withheld
from mlflow_dvc.snapshot import DataEntry

_OUTSIDE = "it leads out of the tree"
_EMPTY_CONFIG = {"config": "", ".gitignore": "/config.local\n/tmp\n/cache\n"}


def restore_dvc_files(target: RestoreTarget) -> Iterator[Check]:
    """The locks, the pipeline, the parameters and the ``.dvc`` files, as they are attached."""
    _make_project(target.dvc_root or "")
    memory = LockMemory()
    items = list(_file_checks(target, target.run, memory))
    for part in target.run.later_stages:
        found = _file_checks(target, part, memory)
        items += [item for item in found if item.verdict == "TAMPERED"]
    yield from items
    refused = {item.name for item in items if item.verdict == "TAMPERED"}
    for path, content in target.run.final_files.items():
        if path not in refused:
            yield from _written(target, path, content)


def _file_checks(target: RestoreTarget, run: StoredRecord, memory: LockMemory) -> Iterator[Check]:
    """Of the record itself, and what git denies; what it does not know is not asked here."""
    denied: dict[str, Check] = {}
    if target.has_own_commit and target.sha:
        witness = Witness(run, target.repository, memory)
        found = (*check_attached(run, witness), *check_code(run, witness))
        denied = {item.name: item for item in found if item.verdict == "TAMPERED"}
    for item in (*check_locks(run), *check_withheld(run), *check_files(run)):
        if item.verdict != "PASS" or item.name not in denied:
            denied.pop(item.name, None)
            yield item
    yield from denied.values()


def _written(target: RestoreTarget, path: str, content: bytes) -> Iterator[Check]:
    where = target.inside(path)
    if where is None:
        yield Check("file", path, "TAMPERED", f"{_OUTSIDE}; it was not written")
        return
    if _contradicts_code(target, path, where, content):
        why = "it is not as in the commit with the patch; it was not written"
        yield Check("file", path, "TAMPERED", why)
        return
    try:
        Path(where).parent.mkdir(parents=True, exist_ok=True)
        Path(where).write_bytes(content)
    except OSError as error:
        yield Check("file", path, "FAIL", f"it cannot be written: {error.strerror}")


def _contradicts_code(target: RestoreTarget, path: str, where: str, content: bytes) -> bool:
    """Whether a pipeline or parameters that git has are others, where all of the code is known.

    Parameters may be others where the record says that they were.
    """
    git = target.run.snapshot.git
    is_whole = git is not None and (git.dirty is False or git.changes is not None)
    if git is None or not is_whole or not target.has_own_commit or not os.path.isfile(where):
        return False
    if where.endswith((".lock", ".dvc")):  # what DVC writes is data
        return False
    there = Path(where).read_bytes()
    if there.split() == content.split():  # but for ends of lines
        return False
    if posixpath.basename(path) == PIPELINE_FILE:
        return not runs_the_same(there, content)
    return path not in (git.uncommitted or ())


def _make_project(root: str) -> None:
    """Where DVC's own files are not in git."""
    folder = Path(root, ".dvc")
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    for name, text in _EMPTY_CONFIG.items():
        (folder / name).write_text(text, encoding="utf-8")


def restore_data(target: RestoreTarget, *, outputs: bool) -> Iterator[Check]:
    """Bring what is not there yet; each was hashed where it lies."""
    root = target.dvc_root or ""
    orders: list[FetchOrder] = []
    for entry in sorted(target.run.data(outputs=outputs), key=lambda entry: entry.path):
        where = target.inside(entry.path)
        if where is None:
            yield Check("data", entry.path, "FAIL", f"{_OUTSIDE}; it was not brought")
        else:
            orders.append(_order(target, entry, where))
    here = target.location
    answer = fetch_all(root, here.dvc_root, here.own_root, orders, target.half_done)
    for order, tried in zip(orders, answer, strict=True):
        if tried is None:
            yield Check("data", order.path, "PASS")
        else:
            yield Check("data", order.path, "FAIL", f"{order.hash}: {'; '.join(tried)}")
    yield from check_unknown(target.run, outputs=outputs)


def _order(target: RestoreTarget, entry: DataEntry, where: str) -> FetchOrder:
    origin = import_source(target.run, entry) or _origin_of_today(target, entry)
    return FetchOrder(entry.path, entry.algorithm, entry.hash or "", where, origin, entry.size)


def _origin_of_today(target: RestoreTarget, entry: DataEntry) -> Origin | None:
    """The run's own repository, without a project at hand: it may name another remote by now."""
    snapshot = target.run.snapshot
    url = snapshot.git.remote_url if snapshot.git else None
    if url is None or target.location.dvc_root is not None:
        return None
    return Origin(url, None, posixpath.normpath(posixpath.join(snapshot.root or ".", entry.path)))
