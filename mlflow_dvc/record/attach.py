"""What is done for a run beside the training: late facts as tags, files as artifacts."""

from __future__ import annotations

import json
import os
import tempfile

from mlflow_dvc import __version__, tracking
from mlflow_dvc import tags as tag
from mlflow_dvc.capture import workspace
from mlflow_dvc.capture.lockfile import lock_of
from mlflow_dvc.capture.patch import PATCH
from mlflow_dvc.capture.workspace import Moment
from mlflow_dvc.guard import guard, warn_once
from mlflow_dvc.record.ledger import Ledger, Record, same_record

FOLDER = "dvc"
_ALL_BYTES = 50 * 1024 * 1024
_DVC_FILES = 100
_WARNINGS_SHOWN = 2
# MLflow's local store lies in the project by default, and DVC reads every dvc.yaml there is.
_DVCIGNORE = b"# Attached by mlflow-dvc: copies, not part of a pipeline.\n*\n"


def begin(record: Record, parent: str | None, ledger: Ledger, *, artifacts: bool) -> None:
    """Complete the record of a new run, and attach it unless the parent run carries the same."""
    with guard(f"complete the tags of run {record.run_id}"):
        complete(record)
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
    moment = workspace.completed(record.moment)
    found = moment.tags
    record.moment = moment
    if not _is_recorded(record, existing):
        late = found | tag.mlflow_git_tags(moment.git)
        _set_tags(record, {key: late[key] for key in late if key not in existing})
        if artifacts:
            _attach(record, FOLDER)
    elif not (
        same_record(tag.ours(existing), found) and _same_changes(record, record.run_id, before)
    ):
        _add_hashes(record, existing, found)
        if artifacts:
            number = tracking.count_artifacts(record.tracking_uri, record.run_id, FOLDER, "resume-")
            _attach(record, f"{FOLDER}/resume-{number + 1}")


def complete(record: Record) -> None:
    """Facts that cost too much for the start of a run: templates, the nearest git tag."""
    record.moment = workspace.completed(record.moment)
    tell(record.moment)
    found = record.moment.tags
    late = {key: value for key, value in found.items() if record.tags.get(key) != value}
    if late:
        _set_tags(record, late)


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


def files(moment: Moment) -> dict[str, bytes]:
    """Every file worth attaching, by its path below ``dvc/``, as it was when the run started."""
    ours = {"snapshot.json": _snapshot_json(moment)}
    if moment.patch:
        ours |= moment.patch.files
    if (reading := moment.reading) is None:
        return ours
    ours[".dvcignore"] = _DVCIGNORE
    found: dict[str, bytes] = {}
    singles = 0
    for source in reading.sources:
        if source.lock_content is not None:
            found[lock_of(source.file)] = source.lock_content
        if source.file.endswith(".dvc"):
            singles += 1
        if singles <= _DVC_FILES or not source.file.endswith(".dvc"):
            found[source.file] = source.content
    found.update(reading.params)
    return _bounded(ours | {path: found[path] for path in found if path not in ours})


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
    if other is not None:
        return other.moment.patch == mine
    theirs = tracking.read_attached(record.tracking_uri, run_id, f"{FOLDER}/{PATCH}")
    return theirs == mine.files.get(PATCH)


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


def _add_hashes(record: Record, existing: dict[str, str], found: dict[str, str]) -> None:
    """So that the run is found by the data of its second part as well."""
    known = tag.hashes_in(existing)
    fresh = [value for value in tag.hashes_in(found) if value not in known]
    used = sum(tag.hashes_key(number) in existing for number in range(1, tag.HASH_TAGS + 1))
    if fresh:
        _set_tags(record, tag.hash_tags(sorted(fresh), first=used + 1))


def _attach(record: Record, folder: str) -> None:
    with tempfile.TemporaryDirectory(prefix="mlflow-dvc-") as directory:
        for path, content in files(record.moment).items():
            target = os.path.join(directory, *path.split("/"))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(content)
        tracking.attach(record.tracking_uri, record.run_id, directory, folder)


def _snapshot_json(moment: Moment) -> bytes:
    raw = {**moment.snapshot.to_dict(), "mlflow_dvc": __version__}
    return json.dumps(raw, indent=1, ensure_ascii=True).encode()


def _bounded(found: dict[str, bytes]) -> dict[str, bytes]:
    """The record must not flood an artifact store; the snapshot comes first and always goes."""
    kept: dict[str, bytes] = {}
    left = _ALL_BYTES
    for path, content in found.items():
        if ".." in path.split("/") or path.startswith("/"):
            continue  # of another project; it has no place below dvc/
        if len(content) > left:
            warn_once(f"{path} is too large to attach: the record of a run has 50 MiB")
            continue
        kept[path] = content
        left -= len(content)
    return kept
