"""Check that a record agrees with itself: tags, snapshot, files, digests."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.dvcfiles.lock_file import lock_path
from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.fingerprint import md5_of
from mlflow_dvc.git.uncommitted import Patch
from mlflow_dvc.limits import MAX_PARSED_BYTES
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.recall.verdict import Check, Verdict
from mlflow_dvc.snapshot import DataEntry, Snapshot, find_newer, inputs, with_data_version

_OURS = "dvc."


def check_record(run: StoredRecord) -> Check:
    """Whether the record is whole, agrees with the run's tags, and was held against the disk."""
    return Check("record", "snapshot.json", *_judge(run))


def _judge(run: StoredRecord) -> tuple[Verdict, str]:
    if lack := find_lack(run):
        return "UNVERIFIED", lack
    faults = [] if run.folder else list(_tag_faults(run))
    if ours := [reason for key, reason in faults if key.startswith(_OURS)]:
        return "TAMPERED", ours[0]
    if faults:  # `git_sha` and the like may be somebody's own
        return "UNVERIFIED", faults[0][1]
    doubt = _version_fault(run.snapshot)
    if fault := _entry_fault(run) or (doubt if _is_version_of_inputs(run.snapshot) else ""):
        return "TAMPERED", fault
    if commit := run.snapshot.reconstructed:
        doubt = f"it was reconstructed from commit {commit}: what the run read, nobody saw"
    elif not doubt and run.snapshot.data_status == "unverified" and run.data():
        doubt = "what lay on disk was never compared with what DVC's files say"
    return ("UNVERIFIED", doubt) if doubt else ("PASS", "")


def find_lack(run: StoredRecord) -> str:
    """Why tags alone, or a part of the snapshot, tell of the run; empty where all of it does."""
    if "snapshot.json" not in run.files:
        return "it is not attached"
    return tracking.find_fault(run.snapshot) or find_newer(run.snapshot)


def _version_fault(snapshot: Snapshot) -> str:
    """How the data version is not that of the inputs; empty where it is, or where there is none."""
    said, found = snapshot.data_version, with_data_version(snapshot).data_version
    if said in (None, found):
        return ""
    return f"the data version is {said}, that of what was read {found or 'is not known'}"


def _is_version_of_inputs(snapshot: Snapshot) -> bool:
    """Whether the version must be that of the inputs as they are in the snapshot.

    An old one has it by the rules of then. What nobody looked at in time counts as the lock said
    then; the hash that the stage was sealed with may be another.
    """
    looked_at = all(entry.state in ("clean", "modified") for entry in inputs(snapshot))
    return snapshot.attached is not None and (snapshot.sealed_at is None or looked_at)


def _entry_fault(run: StoredRecord) -> str:
    """How two facts about one path on one disk differ; empty where none do."""
    lay_there = {entry.path: entry for entry in run.snapshot.data}
    for dep in run.snapshot.deps:
        out = lay_there.get(dep.path)
        if out is None or out.algorithm != dep.algorithm or None in (dep.hash, out.hash):
            continue
        was_hashed = dep.certainty == out.certainty == "disk"
        was_clean = dep.state == out.state == "clean"
        if (was_hashed or was_clean) and dep.hash != out.hash:
            return f"{dep.path} is {dep.hash} among what was read, and {out.hash} among the data"
    return ""


def _tag_faults(run: StoredRecord) -> Iterator[tuple[str, str]]:
    """Each tag that is not what the snapshot says."""
    said = tag.own_tags(run.tags)
    later: dict[str, list[str]] = {}
    for part in run.later:
        for key, value in tag.later_tags(part.snapshot).items():
            later.setdefault(key, []).append(value)
    attached = tag.to_tags(run.snapshot)
    for key, value in attached.items():
        if not key.startswith(tag.HASHES) and said.get(key) != value:
            yield key, f"the tag {key} is {said.get(key)!r}, the snapshot has {value!r}"
    yield from _hash_faults(run)
    for key in said:
        if key.startswith((tag.OUT, tag.DEP)) and key not in attached:
            if key not in later:
                yield key, f"the tag {key} is not in the snapshot"
            elif said[key] not in later[key]:
                known = " or ".join(map(repr, later[key]))
                yield key, f"the tag {key} is {said[key]!r}, the snapshot of a part has {known}"


def _hash_faults(run: StoredRecord) -> Iterator[tuple[str, str]]:
    """How the run is not found by what it saw, or is found by what it did not see."""
    found = tag.hashes_in(run.tags)
    mine, *later = (tag.hashes_in(tag.to_tags(part.snapshot)) for part in (run, *run.later))
    if lacking := mine - found:
        yield tag.HASHES, f"the tag {tag.HASHES} does not have {min(lacking)}"
    extra = found.difference(mine, *later)
    if extra and not run.unreadable:  # what such a part saw is not known
        yield tag.HASHES, f"the tag {tag.HASHES} has {min(extra)}, which no snapshot has"


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
    """Every attached file that the snapshot does not name like this, or that is none of DVC's."""
    if not run.project_files or tracking.find_fault(run.snapshot):  # which does not name them
        return
    reading = run.reading
    declared = (path for stage in reading.stages for path in stage.params)
    known = {*reading.params, *declared}
    locks, named = run.snapshot.locks or {}, run.snapshot.attached
    for path, content in run.project_files.items():
        name = posixpath.basename(path)
        is_of_dvc = path in known or name == PIPELINE_FILE or name.endswith((".dvc", ".lock"))
        if path not in locks and (not is_of_dvc or name.endswith(".lock")):
            yield Check("file", path, "TAMPERED", "it is no file of DVC's, nor of parameters")
        elif not _is_named(run, path):
            yield Check("file", path, "TAMPERED", "the snapshot does not name it")
        elif named is not None and path not in locks and md5_of(content) != named[path]:
            reason = f"its md5 is {md5_of(content)}, recorded was {named[path]}"
            yield Check("file", path, "TAMPERED", reason)
        elif fault := _single_fault(run, path):
            yield Check("file", path, "TAMPERED", fault)
        elif path not in run.parsed_files:
            reason = f"too large to be read: beyond {MAX_PARSED_BYTES >> 20} MiB of attached files"
            yield Check("file", path, "UNVERIFIED", reason)


def _is_named(run: StoredRecord, path: str) -> bool:
    """Whether the snapshot knows of the file; an old one names ``.dvc`` files by their data."""
    named = run.snapshot.attached
    if named is not None:
        return path in named
    if not path.endswith(".dvc"):
        return True
    outs = {out.path for stage in run.reading.stages if stage.address == path for out in stage.outs}
    said = (*run.snapshot.warnings, *run.snapshot.uncovered)  # of one that could not be read
    return any(entry.path in outs for entry in run.snapshot.data) or any(
        line.startswith(f"{path}: ") for line in said
    )


def _single_fault(run: StoredRecord, path: str) -> str:
    """How a ``.dvc`` file says something else than the snapshot; empty where it does not."""
    said = {entry.path: entry for entry in run.snapshot.data if entry.stage == path}
    for stage in run.reading.stages if path.endswith(".dvc") else ():
        for out in stage.outs if stage.address == path else ():
            entry = said.get(out.path)
            if entry is not None and _differs(entry, out, ("locked", "committed")):
                return f"{out.path} is {out.hash} there, recorded was {entry.hash}"
    return ""


def _differs(entry: DataEntry, locked: DataEntry, certainties: Iterable[str]) -> bool:
    """Whether an entry that comes from a lock, or was found to be as it says, is another there."""
    if entry.hash == locked.hash or entry.hash is None:
        return False
    same_kind = entry.algorithm == locked.algorithm and locked.hash is not None
    was_clean = entry.certainty == "disk" and entry.state == "clean" and same_kind
    return entry.certainty in certainties or was_clean


def check_locks(run: StoredRecord) -> Iterator[Check]:
    """Of every lock: whether its bytes are those recorded, and say what the snapshot says."""
    recorded = run.snapshot.locks or ({"dvc.lock": run.snapshot.lock} if run.snapshot.lock else {})
    wrong = dict(_contradicted(run))
    for path, digest in recorded.items():
        content = run.files.get(path)
        if content is None and path in (run.snapshot.withheld or {}):
            continue  # `check_withheld` tells of it
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
    """Of each lock that has another hash than the snapshot for the same path, which."""
    snapshot = run.snapshot
    said = {entry.path: entry for entry in snapshot.data if entry.is_fact}
    is_sealed = snapshot.sealed_at is not None
    for lock, out in _locked(run):
        entry = said.get(out.path)
        # While the stage ran, others may have written into the lock that it was sealed with. What
        # was on disk need not have been in the lock.
        if entry is None or entry.hash == out.hash:
            continue
        certainties = ("locked", "sealed", "committed")  # nothing is sealed in a run that was not
        differs = entry.certainty == "sealed" if is_sealed else _differs(entry, out, certainties)
        if differs:
            yield lock, f"{out.path} is {out.hash} there, recorded was {entry.hash}"
    if not is_sealed:
        return
    read = {dep.path: dep for dep in snapshot.deps if dep.is_observed}
    for stage in run.reading.stages if snapshot.stage else ():
        for path, (_, value) in stage.locked_deps.items() if _is_run(stage, run) else ():
            known = read.get(path)
            if known is not None and known.hash != value and path not in snapshot.changed:
                yield lock_path(stage.file), f"{path} is {value} there, recorded was {known.hash}"


def _is_run(stage: Stage, run: StoredRecord) -> bool:
    return stage.address == run.snapshot.stage


def _locked(run: StoredRecord) -> Iterator[tuple[str, DataEntry]]:
    """Every output in the attached locks."""
    for stage in run.reading.stages:
        if stage.name is not None:
            yield from ((lock_path(stage.file), out) for out in stage.outs)
