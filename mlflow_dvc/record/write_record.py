"""Write the record of a run beside the training: late tags, files, reports."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.capture import workspace
from mlflow_dvc.capture.run_capture import RunCapture
from mlflow_dvc.capture.withheld_files import withhold_files
from mlflow_dvc.fingerprint import md5_of
from mlflow_dvc.guard import guard, warn_once
from mlflow_dvc.record import disk_check, known_parts, observing
from mlflow_dvc.record.run_registry import RunRecordState, RunRegistry, is_same_identity
from mlflow_dvc.record.run_tags import set_tags, sync_tags, tags_of
from mlflow_dvc.report.pages import record_pages
from mlflow_dvc.report.record_markdown import record_md
from mlflow_dvc.snapshot import Snapshot

_MAX_WARNINGS = 2
_shared: deque[RunCapture] = deque(maxlen=4)
# What the last pages were made of, and these.
_drawn: tuple[tuple[object, ...], dict[str, bytes]] | None = None


def write_initial(
    record: RunRecordState, parent: str | None, registry: RunRegistry, *, artifacts: bool
) -> None:
    """Complete the record of a new run, and attach it unless the parent run carries the same.

    What may change yet is written later, once; of a run that has ended meanwhile all of it.
    """
    with guard(f"complete the record of {record.label}"):
        _write_complete(record)
    if artifacts and _same_as_parent(record, parent, registry):
        record.shared_with = parent
    elif artifacts:
        record.folder = tracking.FOLDER
    if not record.is_ended:
        write_known(record)
    with guard("remember what was read of the project"):
        workspace.save_cache(record.capture)
    with guard("look at what had run before"):
        observing.look_at_beginning(record)


def write_known(record: RunRecordState) -> None:
    """Write what will not change any more."""
    if record.is_settled:
        write_all(record)
    elif record.folder is not None:
        later = {"snapshot.json", *({"dvc.lock"} if record.awaits_seal else ())}
        with guard(f"attach the record to {record.label}"):
            _send(record, _unsent(record, tracking.VISIBLE - later))


def write_all(record: RunRecordState) -> None:
    """Write all that is known and not written yet: tags, files, the pages for people."""
    with guard(f"complete the tags of {record.label}"):
        sync_tags(record)
    if record.folder is not None:
        with guard(f"attach the record to {record.label}"):
            later = _later_parts(record) if record.later is None else []
            _send(record, unsent_files(record, later))
            if record.later is not None and record.drawn is not record.capture:
                _redraw_first_page(record)
            record.drawn = record.capture


def part_from_parent(record: RunRecordState, parent: RunRecordState | None) -> None:
    """Let a child run have a record of its own if it has read other data than its parent.

    Of a parent that another process goes on with, nobody here knows what it will read.
    """
    seen = record.capture.data.reads
    if record.shared_with is None or seen is None or seen.status != "observed":
        return
    theirs = parent.capture.data.reads if parent is not None and parent.started_here else None
    if not (theirs and theirs.read_paths == seen.read_paths) and seen.read_paths:
        record.shared_with, record.folder = None, tracking.FOLDER


def write_resumed(
    record: RunRecordState, existing: dict[str, str], registry: RunRegistry, *, artifacts: bool
) -> None:
    """A run goes on: its first record stays; a different one is put beside it."""
    if not _is_recorded(record, existing):
        record.tags = {}  # what stands there under a name of ours is the user's
        _write_complete(record)
        late = record.capture.tags | tag.mlflow_git_tags(record.capture.git)
        set_tags(record, record.tags, {key: late[key] for key in late if key not in existing})
        if artifacts:
            record.folder = tracking.FOLDER
            write_known(record)
        return
    at_once = record.capture
    record.capture = workspace.add_slow_facts(at_once, record.started / 1e9)
    begun = record.capture.tags
    if known_parts.is_known(record, at_once, existing):
        record.begun, record.pending = begun, None
        registry.forget(record)
        return
    record.begun, record.is_kept, record.later = begun, True, {}
    if artifacts:
        number = tracking.count_artifacts(
            record.tracking_uri, record.run_id, tracking.FOLDER, "resume-"
        )
        record.folder = f"{tracking.FOLDER}/resume-{number + 1}"
        tracking.set_run_tags(record.tracking_uri, record.run_id, {tag.RESUMES: str(number + 1)})
    write_known(record)


def _write_complete(record: RunRecordState) -> None:
    """Facts that cost too much for the start of a run: templates, git's part, what lies on disk."""
    record.is_kept = True
    record.capture = workspace.add_slow_facts(record.capture, record.started / 1e9)
    record.begun = record.capture.tags  # after it: a process may be forked in between
    with guard(f"check the data of {record.label}"):
        disk_check.start_check(record)
    record.capture = share(record.capture)
    log_warnings(record.capture)


def share(capture: RunCapture) -> RunCapture:
    """That of a run just before, if it is equal, with the files and tags that were made of it."""
    for other in _shared:
        if other == capture:
            return other
    _shared.append(capture)
    return capture


def update(
    record: RunRecordState, data: Snapshot, sealed: Mapping[str, bytes] | None = None
) -> None:
    """Add to a record what became known of its data; ``sealed`` are new locks."""
    capture = record.capture.with_data(data, sealed)
    record.capture = withhold_files(capture) if sealed else capture


def _unsent(record: RunRecordState, apart: Collection[str]) -> dict[str, bytes]:
    """The artifacts that are not attached as they are: files ``apart``, and once an archive."""
    files, sent = record.capture.all_files, record.sent
    if tracking.ARCHIVE in sent:  # with what was at the start
        found = tracking.unpacked(files, apart)
    else:
        found = tracking.pack_record(files, apart)
    return {path: text for path, text in found.items() if sent.get(path) != md5_of(text)}


def unsent_files(
    record: RunRecordState, later: Sequence[tracking.RunPart] = ()
) -> dict[str, bytes]:
    """What is not attached yet of all that is known, with the pages for people.

    ``later`` are the parts in which the run went on.
    """
    capture = record.capture
    found = _unsent(record, tracking.VISIBLE | capture.sealed_locks.keys())
    if capture.is_empty or record.drawn is capture:
        return found
    patch = capture.patch.files if capture.patch else {}
    files = {**capture.shown_files, **patch}
    return found | _draw(capture.snapshot, files, record.experiment_id, later)


def _draw(
    snapshot: Snapshot, files: dict[str, bytes], experiment: str, later: Sequence[tracking.RunPart]
) -> dict[str, bytes]:
    """The pages for people: of a sweep whose runs saw the same they are drawn once."""
    global _drawn
    asked = (snapshot, files, experiment, list(later))
    if _drawn is None or _drawn[0] != asked:
        _drawn = asked, record_pages(snapshot, files, experiment, later)
    return _drawn[1]


def _send(record: RunRecordState, files: Mapping[str, bytes]) -> None:
    if files and record.folder is not None:
        uri, run_id = record.tracking_uri, record.run_id
        tracking.attach_files(uri, run_id, files, record.folder, record.artifact_uri)
        record.sent |= {path: md5_of(text) for path, text in files.items()}


def _later_parts(record: RunRecordState) -> list[tracking.RunPart]:
    """How the run went on, in this process or in another, to be told on its first page."""
    uri, run_id = record.tracking_uri, record.run_id
    if record.drawn is record.capture or tag.RESUMES not in tags_of(record):
        return []
    with guard(f"read how run {run_id} went on"):
        return [part for part in tracking.read_parts(uri, run_id) if not part.is_first]
    return []


def _redraw_first_page(record: RunRecordState) -> None:
    """Let the page of the run's record tell of this later part as well."""
    with guard(f"draw the first page of run {record.run_id}"):
        first, *later = tracking.read_parts(record.tracking_uri, record.run_id)
        page = record_md(first.snapshot, record.experiment_id, later).encode()
        uri, run_id = record.tracking_uri, record.run_id
        tracking.attach_files(uri, run_id, {"record.md": page}, first.folder, record.artifact_uri)


def log_warnings(capture: RunCapture) -> None:
    """One line about everything that could not be read or is not clear."""
    if warnings := (*capture.warnings, *capture.withheld_lines):
        more = len(warnings) - _MAX_WARNINGS
        tail = f" (and {more} more: run `mlflow-dvc status`)" if more > 0 else ""
        warn_once("; ".join(warnings[:_MAX_WARNINGS]) + tail)


def _is_recorded(record: RunRecordState, existing: dict[str, str]) -> bool:
    """A ``git_sha`` alone may be the user's own, or the record of a project without DVC."""
    if tag.has_record(existing):
        return True
    uri, run_id = record.tracking_uri, record.run_id
    names = ("snapshot.json", tracking.ARCHIVE)
    return any(tracking.count_artifacts(uri, run_id, tracking.FOLDER, name) for name in names)


def _same_as_parent(record: RunRecordState, parent: str | None, registry: RunRegistry) -> bool:
    if parent is None:
        return False
    known = registry.get(parent)
    if not known_parts.same_changes(record, parent, known):
        return False
    if known is not None:
        theirs = known.capture.tags if known.later is None else known.tags
        return is_same_identity(theirs, record.capture.tags)
    theirs = tag.own_tags(tracking.run_tags(record.tracking_uri, parent))
    return is_same_identity(theirs, record.capture.tags)
