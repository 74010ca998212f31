"""Write the record of a run beside the training: late tags, files, reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.capture import workspace
from mlflow_dvc.capture.run_capture import RunCapture
from mlflow_dvc.capture.withheld_files import withhold_files
from mlflow_dvc.guard import guard, warn_once
from mlflow_dvc.record import disk_check, known_parts
from mlflow_dvc.record.run_registry import RunRecordState, RunRegistry, is_same_identity
from mlflow_dvc.report.pages import record_pages
from mlflow_dvc.report.record_markdown import record_md
from mlflow_dvc.snapshot import Snapshot

_MAX_WARNINGS = 2


def write_initial(
    record: RunRecordState, parent: str | None, registry: RunRegistry, *, artifacts: bool
) -> None:
    """Complete the record of a new run, and attach it unless the parent run carries the same."""
    with guard(f"complete the tags of {record.label}"):
        _write_complete(record)
        sync_tags(record)
    if artifacts and not _same_as_parent(record, parent, registry):
        _attach(record, tracking.FOLDER)
    with guard("remember what was read of the project"):
        workspace.save_cache(record.capture)


def write_resumed(
    record: RunRecordState, existing: dict[str, str], registry: RunRegistry, *, artifacts: bool
) -> None:
    """A run goes on: its first record stays; a different one is put beside it."""
    if not _is_recorded(record, existing):
        record.tags = {}  # what stands there under a name of ours is the user's
        _write_complete(record)
        late = record.capture.tags | tag.mlflow_git_tags(record.capture.git)
        _set_tags(record, record.tags, {key: late[key] for key in late if key not in existing})
        if artifacts:
            _attach(record, tracking.FOLDER)
        return
    at_once = record.capture
    record.capture = workspace.add_slow_facts(at_once, record.started / 1e9)
    begun = record.capture.tags
    if known_parts.is_known(record, at_once, existing):
        record.begun, record.pending = begun, None
        registry.forget(record)
        return
    record.begun, record.is_kept, record.later = begun, True, {}
    sync_tags(record)
    if artifacts:
        number = tracking.count_artifacts(
            record.tracking_uri, record.run_id, tracking.FOLDER, "resume-"
        )
        _attach(record, f"{tracking.FOLDER}/resume-{number + 1}")


def _write_complete(record: RunRecordState) -> None:
    """Facts that cost too much for the start of a run: templates, git's part, what lies on disk."""
    record.is_kept = True
    record.capture = workspace.add_slow_facts(record.capture, record.started / 1e9)
    record.begun = record.capture.tags  # after it: a process may be forked in between
    with guard(f"check the data of {record.label}"):
        disk_check.start_check(record)
    log_warnings(record.capture)


def write_update(
    record: RunRecordState, data: Snapshot, sealed: Mapping[str, bytes] | None = None
) -> None:
    """Give a run what became known of its data since it was attached; ``sealed`` are new locks."""
    capture = record.capture.with_data(data, sealed)
    record.capture = withhold_files(capture) if sealed else capture
    sync_tags(record)
    if record.folder is not None:
        _upload(record, record.capture.late_files, record.folder)


def write_reports(record: RunRecordState) -> None:
    """Attach the record's pages for people, unless they say what is known already."""
    capture = record.capture
    if record.folder is None or capture.is_empty or record.drawn is capture:
        return
    patch = capture.patch.files if capture.patch else {}
    files = {**capture.shown_files, **patch}
    later = _later_parts(record) if record.later is None else []
    pages = record_pages(capture.snapshot, files, record.experiment_id, later)
    _upload(record, pages, record.folder)
    if record.later is not None:
        _redraw_first_page(record)
    record.drawn = capture


def _later_parts(record: RunRecordState) -> list[tracking.RunPart]:
    """How the run went on, in this process or in another, to be told on its first page."""
    uri, run_id = record.tracking_uri, record.run_id
    with guard(f"read how run {run_id} went on"):
        if tracking.count_artifacts(uri, run_id, tracking.FOLDER, "resume-"):
            return [part for part in tracking.read_parts(uri, run_id) if not part.is_first]
    return []


def _redraw_first_page(record: RunRecordState) -> None:
    """Let the page of the run's record tell of this later part as well."""
    with guard(f"draw the first page of run {record.run_id}"):
        first, *later = tracking.read_parts(record.tracking_uri, record.run_id)
        page = record_md(first.snapshot, record.experiment_id, later).encode()
        _upload(record, {"record.md": page}, first.folder)


def sync_tags(record: RunRecordState) -> None:
    """Bring the run's tags to what is known now."""
    if record.later is None:
        _bring_tags_to(record, record.tags, record.capture.tags)
    else:
        _bring_tags_to(record, record.later, _later_tags(record, record.later))


def _bring_tags_to(record: RunRecordState, mine: dict[str, str], found: Mapping[str, str]) -> None:
    late = {key: value for key, value in found.items() if mine.get(key) != value}
    if late:
        _set_tags(record, mine, late)
    if gone := [key for key in mine if key not in found]:
        _remove_tags(record, mine, gone)


def _later_tags(record: RunRecordState, mine: Mapping[str, str]) -> dict[str, str]:
    """So that a run is found by the data of its second part as well."""
    there = tracking.run_tags(record.tracking_uri, record.run_id)
    others = {key: there[key] for key in there if key not in mine}
    data = record.capture.data
    return (
        tag.later_tags(data)
        | tag.more_hash_tags(others, tag.hashes_in(record.capture.tags))
        | tag.add_stage(others, data.stage)
    )


def log_warnings(capture: RunCapture) -> None:
    """One line about everything that could not be read or is not clear."""
    if warnings := (*capture.warnings, *capture.withheld_lines):
        more = len(warnings) - _MAX_WARNINGS
        tail = f" (and {more} more: run `mlflow-dvc status`)" if more > 0 else ""
        warn_once("; ".join(warnings[:_MAX_WARNINGS]) + tail)


def tag_model(
    tracking_uri: str,
    run_id: str,
    model_id: str,
    there: dict[str, str],
    record: RunRecordState | None,
) -> None:
    """Give a logged model the tags of its run's record that it lacks."""
    found = record.tags if record else tag.own_tags(tracking.run_tags(tracking_uri, run_id))
    missing = {key: found[key] for key in found if key not in there}
    if missing:
        tracking.set_model_tags(tracking_uri, model_id, missing)


def _is_recorded(record: RunRecordState, existing: dict[str, str]) -> bool:
    """A ``git_sha`` alone may be the user's own, or the record of a project without DVC."""
    if tag.has_record(existing):
        return True
    uri, run_id = record.tracking_uri, record.run_id
    return tracking.count_artifacts(uri, run_id, tracking.FOLDER, "snapshot.json") > 0


def _same_as_parent(record: RunRecordState, parent: str | None, registry: RunRegistry) -> bool:
    if parent is None:
        return False
    known = registry.get(parent)
    if not known_parts.same_changes(record, parent, known):
        return False
    theirs = known.tags if known else tag.own_tags(tracking.run_tags(record.tracking_uri, parent))
    return is_same_identity(theirs, record.tags)


def _set_tags(record: RunRecordState, mine: dict[str, str], found: Mapping[str, str]) -> None:
    """On the run and its models; what the user has set under such a name meanwhile stays.

    ``mine`` are the tags that came from this record.
    """
    there = _tags_of(record)
    fresh = {key: found[key] for key in found if there.get(key) in (None, mine.get(key))}
    if not fresh:
        return
    if not record.is_model:
        tracking.set_run_tags(record.tracking_uri, record.run_id, fresh)
    mine |= fresh
    for model_id in record.models:
        tracking.set_model_tags(record.tracking_uri, model_id, fresh)


def _remove_tags(record: RunRecordState, mine: dict[str, str], keys: Iterable[str]) -> None:
    there = _tags_of(record)
    for key in keys:
        if there.get(key) == mine[key]:
            if not record.is_model:
                tracking.delete_run_tag(record.tracking_uri, record.run_id, key)
            for model_id in record.models:
                tracking.delete_model_tag(record.tracking_uri, model_id, key)
        del mine[key]


def _tags_of(record: RunRecordState) -> dict[str, str]:
    """What the run, or the model without one, is tagged with by now."""
    read = tracking.model_tags if record.is_model else tracking.run_tags
    return read(record.tracking_uri, record.run_id)


def _attach(record: RunRecordState, folder: str) -> None:
    _upload(record, record.capture.all_files, folder)
    record.folder = folder


def _upload(record: RunRecordState, files: Mapping[str, bytes], folder: str) -> None:
    tracking.attach_files(record.tracking_uri, record.run_id, files, folder)
