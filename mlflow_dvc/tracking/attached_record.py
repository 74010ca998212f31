"""Read back the record that a run carries, and update it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc.errors import TrackingUnavailableError
from mlflow_dvc.guard import first_line, warn_once
from mlflow_dvc.limits import MAX_PARTS
from mlflow_dvc.snapshot import Snapshot
from mlflow_dvc.snapshot import read_snapshot as parse_snapshot
from mlflow_dvc.snapshot_file import dump_snapshot
from mlflow_dvc.tracking.archive import ARCHIVE
from mlflow_dvc.tracking.run_artifacts import (
    list_artifacts,
    open_archive,
    read_artifacts,
    read_file,
    walk,
)
from mlflow_dvc.tracking.run_writes import (
    attach_files,
    delete_run_tag,
    one_request,
    set_model_tags,
    set_run_tags,
)
from mlflow_dvc.tracking.server import (
    SNAPSHOT,
    client_for,
    client_of,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import FileInfo, Run

FOLDER = "dvc"
_UNREADABLE = f"{SNAPSHOT} is not readable"
_LATER = re.compile(r"(?:dvc/)?resume-(\d{1,6})(?:/|$)")


def load_snapshot(run: Run, tracking_uri: str | None = None) -> Snapshot:
    """The Snapshot of a run: the attached one, else what its tags tell. Falsy where there is none.

    What is attached comes from a shared server: one that cannot be read as a snapshot is passed
    over, and ``warnings`` says so.
    """
    if not tag.own_tags(run.data.tags):
        return Snapshot()
    with client_for(tracking_uri) as client:
        return _load_first(client, run, None)


def read_snapshot(run: Run, content: bytes | None, *, alone: bool = False) -> Snapshot:
    """The Snapshot of a run from ``content``, the attached file; None where it has none.

    ``alone``: what tags say is left out, where the file is kept up to date as they are.
    """
    by_tags = tag.from_tags(run.data.tags)
    if not tag.own_tags(run.data.tags):
        return Snapshot()
    if content is None:
        return _with_warning(by_tags, f"the run has no {SNAPSHOT}; this is what its tags say")
    try:
        attached = parse_snapshot(content)
    except ValueError as error:
        return _with_warning(by_tags, f"{_UNREADABLE}: {error}")
    if alone and attached.attached is not None:
        return attached
    # What became known after the start is in the tags alone.
    return replace(
        attached,
        warnings=(*attached.warnings, *by_tags.warnings),
        data_version=by_tags.data_version or attached.data_version,
        data_status=by_tags.data_status or attached.data_status,
        seal=by_tags.seal or attached.seal,
    )


def find_fault(snapshot: Snapshot) -> str:
    """Why only the tags tell of a run whose attached file is no snapshot; empty where it is one."""
    return next((line for line in snapshot.warnings[-1:] if line.startswith(_UNREADABLE)), "")


@dataclass(frozen=True)
class RunPart:
    """A run from its start, or from where it went on with other code or data, until the next.

    What is attached of it lies in ``folder``.
    """

    folder: str
    snapshot: Snapshot

    @property
    def is_first(self) -> bool:
        return self.folder == FOLDER

    @property
    def name(self) -> str:
        """Of the folder alone: ``resume-1``."""
        return self.folder.rpartition("/")[2]


def load_parts(run: Run, tracking_uri: str | None = None) -> list[RunPart]:
    """All parts of a run in their order; the first one is its record.

    Of one listing: over a network each request counts.
    """
    if not tag.own_tags(run.data.tags):
        return []
    with client_for(tracking_uri) as client:
        listing = _list_record(client, run)
        first = RunPart(FOLDER, _load_first(client, run, listing))
        return [first, *_load_later(client, run, listing)]


def read_parts(tracking_uri: str, run_id: str) -> list[RunPart]:
    """What :func:`load_parts` returns, beside the training; of an id as the store has it."""
    with one_request():
        run = client_of(tracking_uri).get_run(run_id)
    with one_request():
        return load_parts(run, tracking_uri)


def read_changes(tracking_uri: str, run_id: str) -> str | None:
    """The name of the uncommitted code in the attached record of a run, if it has one."""
    with one_request():
        client = client_of(tracking_uri)
        content = read_file(client, client.get_run(run_id), FOLDER, "snapshot.json")
    try:
        git = parse_snapshot(content or b"").git
    except ValueError:
        return None
    return git.changes if git else None


def load_all(run: Run, tracking_uri: str | None = None) -> list[Snapshot]:
    """The Snapshots of all parts."""
    return [part.snapshot for part in load_parts(run, tracking_uri)]


def require_snapshots(
    run: Run, tracking_uri: str | None = None
) -> tuple[list[Snapshot], list[str]]:
    """The Snapshots of all parts, and in words which of them is damaged.

    Raises TrackingUnavailableError where one lies there and cannot be had: what is missing is known
    to be missing.
    """
    found, damaged = [], []
    with client_for(tracking_uri) as client:
        try:
            listing = list_artifacts(client, run, FOLDER)
            later = [entry.path for entry in listing if entry.is_dir and part_number(entry.path)]
            for folder in (FOLDER, *later):
                try:
                    content = read_file(client, run, folder, "snapshot.json")
                    if content is not None:
                        found.append(parse_snapshot(content))
                except ValueError as error:
                    damaged.append(f"{folder}/snapshot.json: {error}")
        except Exception as error:
            reason = f"the record of run {run.info.run_id}: {first_line(error)}"
            raise TrackingUnavailableError(client.tracking_uri, reason) from error
    return found, damaged


def load_later_parts(run: Run, tracking_uri: str | None = None) -> list[RunPart]:
    """The parts of a run that was resumed on other code or data, but for the first.

    What cannot be had is passed over: of the same store :func:`load_snapshot` says so.
    """
    with client_for(tracking_uri) as client:
        return list(_load_later(client, run, _list_record(client, run)))


def _list_record(client: MlflowClient, run: Run) -> list[FileInfo] | None:
    try:
        return list_artifacts(client, run, FOLDER)
    except Exception:  # its store is gone, or refuses
        return None


def _load_first(client: MlflowClient, run: Run, listing: list[FileInfo] | None) -> Snapshot:
    try:
        content = read_file(client, run, FOLDER, "snapshot.json", listing)
    except Exception as error:
        by_tags = tag.from_tags(run.data.tags)
        return _with_warning(by_tags, f"{SNAPSHOT} could not be downloaded: {error}")
    return read_snapshot(run, content)


def _load_later(
    client: MlflowClient, run: Run, listing: list[FileInfo] | None
) -> Iterator[RunPart]:
    folders = {part_number(entry.path): entry.path for entry in listing or () if entry.is_dir}
    ordered = [folders[number] for number in sorted(folders) if number]
    if len(ordered) > MAX_PARTS:
        warn_once(f"run {run.info.run_id}: only the first {MAX_PARTS} of its parts are looked at")
    for folder in ordered[:MAX_PARTS]:
        with suppress(Exception):  # gone: it answers nothing
            content = read_file(client, run, folder, "snapshot.json")
            try:
                part = RunPart(folder, parse_snapshot(content or b""))
            except ValueError as error:  # not ours, or damaged
                warn_once(f"run {run.info.run_id}: {folder}/snapshot.json is not readable: {error}")
            else:
                yield part


def part_number(path: str) -> int:
    """Of the later part that is attached in the folder ``path`` or below; 0 for the first."""
    match = _LATER.match(path)
    return int(match[1]) if match else 0


def read_attached(
    run: Run, path: str, tracking_uri: str | None = None, folder: str = FOLDER
) -> bytes | None:
    """The attached file ``path`` of a part; None where there is none that could be had."""
    if path.startswith(("/", "../")):
        return None
    with client_for(tracking_uri) as client:
        try:
            return read_file(client, run, folder, path)
        except Exception:  # larger than any record, or its store is gone
            return None


def read_all_attached(
    run: Run, tracking_uri: str | None = None
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Every file of the record, by its path below ``dvc/``, and the paths of unreadable ones.

    Raises TrackingUnavailableError where no file can be had, and UnreadableRecordError where there
    are more of them than in any record.
    """
    with client_for(tracking_uri) as client:
        return read_artifacts(client, run, FOLDER)


def update_record(
    run: Run,
    part: RunPart,
    parts: Sequence[RunPart],
    files: Mapping[str, bytes],
    tracking_uri: str | None = None,
) -> list[RunPart]:
    """Let ``run`` have ``part`` in place of the one of ``parts`` in this folder; all parts then.

    ``files`` replace what is attached of it. What the user has put under a name of ours stays.
    Models logged in the run get the same tags.
    """
    attached = {**files, "snapshot.json": dump_snapshot(part.snapshot.to_dict())}
    with client_for(tracking_uri) as client:
        attach_files(client.tracking_uri, run.info.run_id, attached, part.folder)
    return update_tags(run, part, parts, tracking_uri)


def update_tags(
    run: Run, part: RunPart, parts: Sequence[RunPart], tracking_uri: str | None = None
) -> list[RunPart]:
    """What :func:`update_record` does to tags: the files of a child run are those of its parent."""
    there = run.data.tags
    [before] = [one for one in parts if one.folder == part.folder]
    now = [part if one is before else one for one in parts]
    old, new = _tags_of(before, parts), _tags_of(part, now)
    late = {key: new[key] for key in new if there.get(key) in (None, old.get(key))}
    late = {key: value for key, value in late.items() if there.get(key) != value}
    gone = [key for key in old if key not in new and there.get(key) == old[key]]
    with client_for(tracking_uri) as client:
        where, run_id = client.tracking_uri, run.info.run_id
        set_run_tags(where, run_id, late)
        for key in gone:
            delete_run_tag(where, run_id, key)
        outputs = getattr(run, "outputs", None)
        for model in getattr(outputs, "model_outputs", None) or ():
            set_model_tags(where, model.model_id, late)
    return now


def add_record(
    run: Run,
    files: Sequence[Mapping[str, bytes]],
    tags: Mapping[str, str],
    tracking_uri: str | None,
) -> None:
    """Attach ``files`` to a run without a record, one group after the other, and then set ``tags``.

    In their order: what a server does not write at once, it writes so. Raises
    TrackingUnavailableError.
    """
    from mlflow.entities import RunTag

    run_id = run.info.run_id
    with client_for(tracking_uri) as client:
        for group in filter(None, files):
            attach_files(client.tracking_uri, run_id, group, FOLDER, run.info.artifact_uri)
        with one_request():
            client.log_batch(run_id, tags=[RunTag(*pair) for pair in tags.items()])


def _tags_of(part: RunPart, parts: Sequence[RunPart]) -> dict[str, str]:
    """What a run has of the part, and the hashes of all its ``parts``, which share their tags."""
    own = tag.to_tags(part.snapshot) if part.is_first else tag.later_tags(part.snapshot)
    hashes: dict[str, str] = {}
    for one in parts:
        found = tag.data_tags(one.snapshot)
        if one.is_first:
            hashes |= {key: found[key] for key in found if key.startswith(tag.HASHES)}
        else:
            hashes |= tag.more_hash_tags(hashes, tag.hashes_in(found))
    return own | hashes


def has_attached(run: Run, tracking_uri: str | None = None) -> bool:
    """Whether anything lies below ``dvc/``, or may lie there: it cannot be listed."""
    with client_for(tracking_uri) as client:
        found = _list_record(client, run)
        return found is None or bool(found)


def list_attached(run: Run, tracking_uri: str | None = None) -> list[str]:
    """The paths of every artifact below ``dvc/``. Raises UnreadableRecordError for too many."""
    with client_for(tracking_uri) as client:
        return sorted(path for path, _ in walk(client, run, FOLDER))


def list_files(run: Run, tracking_uri: str | None = None) -> list[str]:
    """The paths below ``dvc/`` of the record's files, those in its archive among them.

    Raises UnreadableRecordError for too many.
    """
    from mlflow.entities import FileInfo

    with client_for(tracking_uri) as client:
        listing = [FileInfo(path, False, size) for path, size in walk(client, run, FOLDER)]
        found = {one.path.removeprefix(f"{FOLDER}/") for one in listing}
        with suppress(ValueError):
            archive = open_archive(client, run, FOLDER, listing)
            found |= set(archive.paths if archive else ())
    return sorted(found - {ARCHIVE})


def _with_warning(snapshot: Snapshot, warning: str) -> Snapshot:
    return replace(snapshot, warnings=(*snapshot.warnings, warning))
