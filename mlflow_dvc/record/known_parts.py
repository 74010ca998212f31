"""Whether a run that goes on saw anything new, or what one of its parts saw before.

Like is compared with like: what the project said of both, as long as nobody has touched the data
since, else what was found on disk. Where that cannot be told it is new: a second record costs less
than a missing one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from mlflow_dvc import settings, tracking
from mlflow_dvc import tags as tag
from mlflow_dvc.capture import evidence
from mlflow_dvc.capture.run_capture import RunCapture
from mlflow_dvc.dvc_backend.tree_stat import TooManyFilesError, parent_mtime, stat_tree
from mlflow_dvc.guard import guard
from mlflow_dvc.paths import is_address
from mlflow_dvc.record import disk_check
from mlflow_dvc.record.run_registry import RunRecordState, is_same_identity, known_records
from mlflow_dvc.snapshot import Snapshot

_MAX_FILES = 20_000
_MAX_WAIT_SECONDS = 5.0


def is_known(record: RunRecordState, at_once: RunCapture, existing: Mapping[str, str]) -> bool:
    """Whether ``record``, with its slow facts, tells nothing new of its run.

    ``at_once`` is its capture without them, ``existing`` are the tags that the run has. If it does
    tell something, the check of its data has begun.
    """
    if any(_saw_the_same(record, at_once, one) for one in known_records(record.previous)):
        return True
    begun = record.capture.tags
    with guard(f"check the data of run {record.run_id}"):
        disk_check.start_check(record)
        _wait_for_check(record, [existing], begun)
    with guard(f"compare run {record.run_id} with its record"):
        if record.pending is None and _is_same(existing, begun, record.capture.tags):
            return same_changes(record, record.run_id, None)
        parts = [one.snapshot for one in tracking.read_parts(record.tracking_uri, record.run_id)]
        _wait_for_check(record, [tag.to_tags(part) for part in parts], begun)
        if record.pending is not None:  # what lies on disk is not known yet
            return False
        return any(_is_same_part(record, part, begun) for part in parts)
    return False


def same_changes(record: RunRecordState, run_id: str, other: RunRecordState | None) -> bool:
    """Whether the run ``run_id`` saw the same uncommitted code: tags tell only that there is some.

    ``other`` is what this process recorded of it; another one's record is in its artifacts.
    """
    mine = record.capture.patch
    if mine is None or not mine.is_dirty:
        return True  # or the tags differ
    if mine.digest is None:
        return False  # what is missing may differ
    if other is not None:
        theirs = other.capture.patch
        return theirs is not None and theirs.digest == mine.digest
    return tracking.read_changes(record.tracking_uri, run_id) == mine.digest


def _saw_the_same(record: RunRecordState, at_once: RunCapture, one: RunRecordState) -> bool:
    """Whether ``one``, of this process or of that which it was forked from, saw the same."""
    if one.begun is not None:
        if not is_same_identity(one.begun, record.capture.tags):
            return False
        if not same_changes(record, record.run_id, one):
            return False
    elif one.started_here or not _is_same_at_once(one.capture.tags, at_once.tags):
        return False  # a fork runs the code that was loaded before
    return _is_untouched(record.capture, one.started)


def _is_same_at_once(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """As far as both tell: whether code was changed takes longer to find out."""
    alike = ({key: tags[key] for key in tags if key != tag.GIT_DIRTY} for tags in (one, other))
    return is_same_identity(*alike)


def _is_untouched(capture: RunCapture, since: int) -> bool:
    """Whether nobody has written to what the run reads ``since`` then, in ns after 1970."""
    reading, left = capture.reading, _MAX_FILES
    if reading is None or capture.data_capture.frozen:
        return True
    for entry in (*capture.data.deps, *capture.data.data):
        if entry.role != "input" or is_address(entry.path):
            continue
        where = os.path.join(reading.root, entry.path)
        try:
            seen = stat_tree(where, left)
        except (OSError, TooManyFilesError):
            return False
        if (seen.changed if seen else parent_mtime(where)) > since:
            return False
        left -= seen.nfiles if seen else 0
    return True


def _wait_for_check(
    record: RunRecordState, known: Iterable[Mapping[str, str]], begun: Mapping[str, str]
) -> None:
    """Where one of the ``known`` tags may turn out to tell the same.

    Not for long: it is the exception that what another process has seen is not remembered.
    """
    if record.pending is None or not any(_is_same_code(tags, begun) for tags in known):
        return
    seconds = min(_MAX_WAIT_SECONDS, settings.wait_seconds() / 2)
    if data := disk_check.finish_check(record, seconds):
        record.capture = record.capture.with_data(data)


def _is_same_code(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(one.get(key) == other.get(key) for key in (tag.GIT_SHA, tag.GIT_DIRTY))


def _is_same(theirs: Mapping[str, str], begun: Mapping[str, str], mine: Mapping[str, str]) -> bool:
    """Whether the tags ``theirs`` tell what was seen now: ``begun`` unchecked, ``mine`` checked."""
    status, now = theirs.get(tag.DATA_STATUS), mine.get(tag.DATA_STATUS)
    if status == now:
        return is_same_identity(theirs, mine)
    if status == "unverified":  # nobody has looked: it tells of what the project said
        return now == "clean" and is_same_identity(theirs, begun)
    unlooked = now == "unverified" and not settings.check_enabled()
    return unlooked and status == "clean" and is_same_identity(theirs, begun)


def _is_same_part(record: RunRecordState, part: Snapshot, begun: Mapping[str, str]) -> bool:
    own = _made_by_stage(record, part)
    seen = (
        {key: tags[key] for key in tags if key not in own} for tags in (begun, record.capture.tags)
    )
    theirs = {key: value for key, value in tag.to_tags(part).items() if key not in own}
    if not _is_same(theirs, *seen):
        return False
    patch = record.capture.patch
    if patch is None or not patch.is_dirty:
        return True  # or the tags differ
    return patch.digest is not None and part.git is not None and patch.digest == part.git.changes


def _made_by_stage(record: RunRecordState, part: Snapshot) -> set[str]:
    """The tags of what the stage has made, where the part and the record are of one execution.

    When a process of a stage ends, the part gets the outputs and the lock that DVC will write; for
    the next process of the stage these are not there yet.
    """
    mine, reading = record.capture.snapshot, record.capture.reading
    is_one = mine.execution is not None and mine.execution == part.execution
    if not is_one or reading is None or mine.stage != part.stage:
        return set()
    stage = evidence.stage_of(mine, reading)
    outs = {out.path: "" for out in stage.outs} if stage else {}
    return {tag.LOCK, *tag.path_tags(tag.OUT, outs)}
