"""What is done for a run beside the training: late facts as tags, files as artifacts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.capture import workspace
from mlflow_dvc.capture.moment import Moment
from mlflow_dvc.guard import guard, warn_once
from mlflow_dvc.record import check
from mlflow_dvc.record.ledger import Ledger, Record, same_record
from mlflow_dvc.report.markdown import record_md
from mlflow_dvc.report.page import report_html
from mlflow_dvc.snapshot import Snapshot

FOLDER = "dvc"
_SHOWN = ("code.patch", "dvc.lock")
_WARNINGS_SHOWN = 2


def begin(record: Record, parent: str | None, ledger: Ledger, *, artifacts: bool) -> None:
    """Complete the record of a new run, and attach it unless the parent run carries the same."""
    with guard(f"complete the tags of run {record.run_id}"):
        _complete(record)
        update(record)
    if artifacts and not _same_as_parent(record, parent, ledger):
        _attach(record, FOLDER)
    with guard("remember what was read of the project"):
        workspace.remember(record.moment)


def resume(
    record: Record, existing: dict[str, str], before: Record | None, *, artifacts: bool
) -> None:
    """A run goes on: its first record stays; a different one is put beside it.

    ``before`` is what this process recorded of the run when it was started or resumed last.
    """
    if not _is_recorded(record, existing):
        record.tags = {}  # what stands there under a name of ours is the user's
        _complete(record)
        late = record.moment.tags | tag.mlflow_git_tags(record.moment.git)
        _set_tags(record, {key: late[key] for key in late if key not in existing})
        if artifacts:
            _attach(record, FOLDER)
        return
    record.moment = workspace.completed(record.moment, record.started / 1e9)
    found = record.moment.tags
    if not (
        same_record(tag.ours(existing), found) and _same_changes(record, record.run_id, before)
    ):
        _add_hashes(record, existing, found)
        if artifacts:
            number = tracking.count_artifacts(record.tracking_uri, record.run_id, FOLDER, "resume-")
            _attach(record, f"{FOLDER}/resume-{number + 1}")


def _complete(record: Record) -> None:
    """Facts that cost too much for the start of a run: templates, git's part, what lies on disk."""
    record.leads = True
    record.moment = workspace.completed(record.moment, record.started / 1e9)
    with guard(f"check the data of run {record.run_id}"):
        check.begin(record)
    tell(record.moment)


def settle(record: Record, data: Snapshot, sealed: Mapping[str, bytes] | None = None) -> None:
    """Give a run what became known of its data since it was attached; ``sealed`` are new locks."""
    record.moment = record.moment.with_data(data, sealed)
    update(record)
    if record.folder is not None:
        _put(record, record.moment.told, record.folder)


def draw(record: Record) -> None:
    """Attach the record's pages for people: they say what is known when the run ends."""
    moment = record.moment
    if record.folder is None or moment.is_empty:
        return
    patch = moment.patch.files if moment.patch else {}
    files = {**moment.read, **moment.sealed, **patch}
    shown = {name: files[name].decode("utf-8", "replace") for name in _SHOWN if name in files}
    snapshot = moment.snapshot
    pages = {
        "record.md": record_md(snapshot, record.experiment_id).encode(),
        "report.html": report_html(snapshot, shown).encode(),
    }
    _put(record, pages, record.folder)


def update(record: Record) -> None:
    """Bring the run's tags to what is known now."""
    found = record.moment.tags
    late = {key: value for key, value in found.items() if record.tags.get(key) != value}
    if late:
        _set_tags(record, late)
    if gone := [key for key in record.tags if key not in found]:
        _remove_tags(record, gone)


def tell(moment: Moment) -> None:
    """One line about everything that could not be read or is not clear."""
    if warnings := moment.warnings:
        more = len(warnings) - _WARNINGS_SHOWN
        tail = f" (and {more} more: run `mlflow-dvc status`)" if more > 0 else ""
        warn_once("; ".join(warnings[:_WARNINGS_SHOWN]) + tail)


def tag_model(
    tracking_uri: str, run_id: str, model_id: str, there: dict[str, str], record: Record | None
) -> None:
    """Give a logged model what it lacks of the record of its run, by now or by another process."""
    found = record.tags if record else tag.ours(tracking.run_tags(tracking_uri, run_id))
    missing = {key: found[key] for key in found if key not in there}
    if missing:
        tracking.set_model_tags(tracking_uri, model_id, missing)


def _is_recorded(record: Record, existing: dict[str, str]) -> bool:
    """A ``git_sha`` alone may be the user's own, or the record of a project without DVC."""
    if tag.has_record(existing):
        return True
    uri, run_id = record.tracking_uri, record.run_id
    return tracking.count_artifacts(uri, run_id, FOLDER, "snapshot.json") > 0


def _same_as_parent(record: Record, parent: str | None, ledger: Ledger) -> bool:
    if parent is None:
        return False
    known = ledger.get(parent)
    if not _same_changes(record, parent, known):
        return False
    theirs = known.tags if known else tag.ours(tracking.run_tags(record.tracking_uri, parent))
    return same_record(theirs, record.tags)


def _same_changes(record: Record, run_id: str, other: Record | None) -> bool:
    """Whether the run ``run_id`` saw the same uncommitted code: tags tell only that there is some.

    ``other`` is what this process recorded of it; another one's record is in its artifacts.
    """
    mine = record.moment.patch
    if mine is None or not mine.is_dirty:
        return True  # or the tags differ
    if mine.digest is None:
        return False  # what is missing may differ
    if other is not None:
        return other.moment.patch == mine
    return tracking.read_changes(record.tracking_uri, run_id) == mine.digest


def _set_tags(record: Record, found: dict[str, str]) -> None:
    """On the run and its models; what the user has set under such a name meanwhile stays."""
    there = tracking.run_tags(record.tracking_uri, record.run_id)
    mine = {key: found[key] for key in found if there.get(key) in (None, record.tags.get(key))}
    if not mine:
        return
    tracking.set_run_tags(record.tracking_uri, record.run_id, mine)
    record.tags |= mine
    for model_id in record.models:
        tracking.set_model_tags(record.tracking_uri, model_id, mine)


def _remove_tags(record: Record, keys: Iterable[str]) -> None:
    there = tracking.run_tags(record.tracking_uri, record.run_id)
    for key in keys:
        if there.get(key) == record.tags[key]:
            tracking.delete_run_tag(record.tracking_uri, record.run_id, key)
            for model_id in record.models:
                tracking.delete_model_tag(record.tracking_uri, model_id, key)
        del record.tags[key]


def _add_hashes(record: Record, existing: dict[str, str], found: dict[str, str]) -> None:
    """So that the run is found by the data of its second part as well."""
    known = tag.hashes_in(existing)
    fresh = [value for value in tag.hashes_in(found) if value not in known]
    used = sum(tag.hashes_key(number) in existing for number in range(1, tag.HASH_TAGS + 1))
    if fresh:
        _set_tags(record, tag.hash_tags(sorted(fresh), first=used + 1))


def _attach(record: Record, folder: str) -> None:
    _put(record, record.moment.files, folder)
    record.folder = folder


def _put(record: Record, files: Mapping[str, bytes], folder: str) -> None:
    with tempfile.TemporaryDirectory(prefix="mlflow-dvc-") as directory:
        tracking.write_files(directory, files)
        tracking.attach(record.tracking_uri, record.run_id, directory, folder)
