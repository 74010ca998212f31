"""The words for facts of a Snapshot, the same on every page."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow_dvc.enumeration import first_of
from mlflow_dvc.snapshot import DataRead, GitState, Snapshot
from mlflow_dvc.visible_text import is_visible

_MAX_PATHS = 20
MARKS = {  # of data that is not as its lock says, not by colour alone
    "modified": "\N{BLACK UP-POINTING TRIANGLE} modified",
    "missing": "\N{MULTIPLICATION SIGN} missing",
}


def deps_title(snapshot: Snapshot) -> str:
    """What the table of dependencies is called: without a stage only datasets are among them."""
    if snapshot.reconstructed and snapshot.has_stage:
        return "What the stage declares"
    return "What the stage read" if snapshot.has_stage else "Datasets"


def data_title(snapshot: Snapshot) -> str:
    """What the table of all outputs is called."""
    if snapshot.reconstructed:
        return "Data that the commit has"
    return "Data" if snapshot.has_stage else "Data that DVC tracked"


def code_facts(git: GitState | None) -> Iterator[tuple[str, str]]:
    if git is None:
        yield "code", "no git repository"
        return
    name = git.sha or "none yet"
    yield "commit", name + (f" ({git.describe})" if git.describe else "")
    if git.branch:
        yield "branch", git.branch
    if git.remote_url:
        yield "repository", git.remote_url
    changes = {True: "yes, in code.patch", False: "none", None: "not known"}[git.dirty]
    yield "uncommitted code", changes


def data_facts(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    if snapshot.root is None:
        return
    if snapshot.has_stage:
        by = "" if snapshot.stage else " (by its script)"
        yield "stage", f"{snapshot.stage or snapshot.script_stage}{by}"
    elif snapshot.knows_reads:
        yield "stage", "none that is known: the data version is of what the run was seen to read"
    else:
        yield "stage", "none that is known: the data is what DVC tracked, not what the run read"
    if snapshot.experiment:
        yield "experiment", snapshot.experiment
    if snapshot.reconstructed:
        yield "reconstructed", f"from commit {snapshot.reconstructed}, after the run"
    yield "data version", snapshot.data_version or "not known"
    if snapshot.committed_version:
        yield "data version of the commit", snapshot.committed_version
    yield "data on disk", state_in_words(snapshot)
    if snapshot.lock:
        yield "dvc.lock", snapshot.lock
    if snapshot.has_stage:
        yield "what the stage made", seal_in_words(snapshot)
    if snapshot.changed:
        yield "changed while the stage ran", ", ".join(snapshot.changed)
    yield from reads_facts(snapshot)


def reads_facts(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """What the run was seen to read, and how it differs from what its stage declares."""
    seen = snapshot.reads
    if seen is None:
        return
    said = {"observed": "seen, since MLflow was imported", "off": "not observed"}
    yield "reads", said.get(seen.status, f"seen in part: {seen.reason}")
    total = {entry.path: entry.nfiles for entry in snapshot.data}
    if read := [_read_in_words(one, total.get(one.path)) for one in seen.data]:
        yield "read", first_of(read, _MAX_PATHS)
    if seen.undeclared:
        yield "read, not declared", first_of(seen.undeclared, _MAX_PATHS)
    if seen.unread:
        yield "declared, not read", first_of(seen.unread, _MAX_PATHS)


def _read_in_words(one: DataRead, total: int | None) -> str:
    words = [f"{one.nfiles} of {total or '?'} files"] if one.nfiles is not None else []
    words += {"process": [], "worker": ["by workers"], "another": ["by another program"]}[one.by]
    words += ["before the run began"] if one.earlier else []
    return f"{one.path} ({', '.join(words)})" if words else one.path


def state_in_words(snapshot: Snapshot) -> str:
    """How the data that the run read lay on disk, and what that means."""
    return _STATES[snapshot.data_status or "unverified"]


def seal_in_words(snapshot: Snapshot) -> str:
    """How far it is known what the stage has made, and what that means."""
    if snapshot.seal == "contradicted" and snapshot.changed:
        return "contradicted: dvc.lock says other: what the run read was changed while it ran"
    return _SEALS.get(snapshot.seal or "none", "")


_SEALS = {
    "none": "not recorded",
    "provisional": "provisional: recorded when the stage ended; not compared with its dvc.lock yet,"
    " which mlflow-dvc sync does",
    "confirmed": "confirmed: as DVC wrote it into dvc.lock",
    "contradicted": "contradicted, and corrected: another command of the stage had changed it",
}
_STATES = {
    "clean": "clean: as DVC's files say",
    "modified": "modified: not as DVC's files say",
    "missing": "missing: not all of it was there",
    "unverified": "unverified: nobody looked at what lay on disk",
}


def size_in_words(size: int | None) -> str:
    if size is None:
        return ""
    amount, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:.0f} B" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def short_hash(value: str | None) -> str:
    """The first 8 digits of a hash, and what kind it is."""
    if not value:
        return "-"
    head, dot, tail = value.partition(".")
    return head[:8] + dot + tail


def printable(text: str, keep: str = "") -> str:
    """``text`` with a sign for each character that cannot be printed, but those to ``keep``."""
    return "".join(
        char if is_visible(char) or char in keep else "\N{REPLACEMENT CHARACTER}" for char in text
    )
