"""The words for facts of a Snapshot, the same on every page."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow_dvc.snapshot import GitState, Snapshot
from mlflow_dvc.visible_text import is_visible

MARKS = {  # of data that is not as its lock says, not by colour alone
    "modified": "\N{BLACK UP-POINTING TRIANGLE} modified",
    "missing": "\N{MULTIPLICATION SIGN} missing",
}


def deps_title(snapshot: Snapshot) -> str:
    """What the table of dependencies is called: without a stage only datasets are among them."""
    return "What the stage read" if snapshot.stage or snapshot.script_stage else "Datasets"


def data_title(snapshot: Snapshot) -> str:
    """What the table of all outputs is called."""
    return "Data" if snapshot.stage or snapshot.script_stage else "Data that DVC tracked"


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
    if snapshot.stage or snapshot.script_stage:
        by = "" if snapshot.stage else " (by its script)"
        yield "stage", f"{snapshot.stage or snapshot.script_stage}{by}"
    else:
        yield "stage", "none that is known: the data is what DVC tracked, not what the run read"
    if snapshot.experiment:
        yield "experiment", snapshot.experiment
    yield "data version", snapshot.data_version or "not known"
    yield "data on disk", snapshot.data_status or "unverified"
    if snapshot.lock:
        yield "dvc.lock", snapshot.lock
    if snapshot.stage or snapshot.script_stage:
        yield "what the stage made", _seal_in_words(snapshot)
    if snapshot.changed:
        yield "changed while the stage ran", ", ".join(snapshot.changed)


def _seal_in_words(snapshot: Snapshot) -> str:
    if snapshot.seal == "contradicted" and snapshot.changed:
        return "not as dvc.lock says: what the run read was changed while it ran"
    return _SEALS.get(snapshot.seal or "none", "")


_SEALS = {
    "none": "not recorded",
    "provisional": "recorded when its process ended (mlflow-dvc sync confirms it)",
    "confirmed": "as DVC wrote it",
    "contradicted": "corrected: another command of the stage had changed it",
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
