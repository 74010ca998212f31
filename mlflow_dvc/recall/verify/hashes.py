"""Hold the hashes of a record against the files attached beside it, and against git.

A hash that stands in the snapshot and in tags alone is known from the record alone.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.dvcfiles.dvc_file import shown_files
from mlflow_dvc.fingerprint import md5_of
from mlflow_dvc.git.notebook import SUFFIX
from mlflow_dvc.paths import is_address, is_inside, lies_in
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.recall.verdict import Check
from mlflow_dvc.recall.verify.named_hashes import names_hash, parse
from mlflow_dvc.recall.verify.witness import Witness
from mlflow_dvc.snapshot import DataEntry


def check_code(run: StoredRecord, witness: Witness) -> Iterator[Check]:
    """Of the code that the stage declares, what the commit has otherwise.

    Only where the record says that all code was committed.
    """
    git = run.snapshot.git
    if git is None or git.dirty is not False:
        return
    apart = _no_code(run)
    for dep in run.snapshot.deps:
        if dep.role != "code" or not dep.is_observed or not _is_plain(dep):
            continue
        if lies_in(dep.path, apart):
            continue
        content = witness.committed(dep.path)
        if content is not None and dep.hash not in _digests(content):
            reason = f"it was {dep.hash}, the commit has another, and no change is recorded"
            yield Check("file", dep.path, "TAMPERED", reason)


def _no_code(run: StoredRecord) -> set[str]:
    """What may differ from the commit without being changed code.

    What is attached, as parameters and pipelines are, is held against git as a file.
    """
    git, reading = run.snapshot.git, run.reading
    found = {*run.project_files, *reading.params, *((git and git.uncommitted) or ())}
    for stage in reading.stages:
        found.update(stage.params)
        found.update(out.path for out in stage.outs)
    for path, content in run.parsed_files.items():
        if posixpath.basename(path) == PIPELINE_FILE:
            found.update(shown_files(path, content))
    return found


def unconfirmed_paths(run: StoredRecord, witness: Witness) -> set[str]:
    """The paths of the data whose hash no attached file has, and no file of DVC's in git."""
    said, named = _said(run)
    files = [parse(content) for path, content in run.parsed_files.items() if _is_of_dvc(path)]
    found = set()
    for entry in run.snapshot.observed_data:
        value = entry.hash or ""
        if is_address(entry.path) or (entry.path, value) in said:
            continue
        # A file may say more than could be read of it here.
        is_elsewhere = entry.path not in named and any(
            names_hash(file, entry.path, value) for file in files
        )
        if not is_elsewhere and not witness.has_hash(entry.stage or "", entry.path, value):
            found.add(entry.path)
    return found


def _said(run: StoredRecord) -> tuple[set[tuple[str, str | None]], set[str]]:
    """Each path with each hash that an attached file has of it, and the paths alone."""
    said: set[tuple[str, str | None]] = set()
    for stage in run.reading.stages:
        said.update((out.path, out.hash) for out in stage.outs)
        said.update((path, value) for path, (_, value) in stage.locked_deps.items())
    return said, {path for path, value in said if value is not None}


def _is_of_dvc(path: str) -> bool:
    return path.endswith((".dvc", ".lock"))


def _is_plain(dep: DataEntry) -> bool:
    """Whether the hash is that of the bytes of one file; the outputs of a notebook are no code."""
    is_file = not (dep.hash or "").endswith(".dir") and not dep.path.endswith(SUFFIX)
    return dep.algorithm == "md5" and is_file and is_inside(dep.path)


def _digests(content: bytes) -> set[str]:
    """With either ends of lines."""
    unix = content.replace(b"\r\n", b"\n")
    return {md5_of(one) for one in (content, unix, unix.replace(b"\n", b"\r\n"))}
