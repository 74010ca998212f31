"""Who recorded a run, and where the code comes from that running it again would execute."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.git.repository import Repository
from mlflow_dvc.recall.locate import CommitCopies, ProjectLocation
from mlflow_dvc.recall.lock_memory import LockMemory
from mlflow_dvc.recall.verdict import Check
from mlflow_dvc.recall.verify.attached import check_attached, find_witness
from mlflow_dvc.tracking.runs import iso_time

if TYPE_CHECKING:
    from mlflow_dvc.recall.restore import RestoreResult
    from mlflow_dvc.recall.stored_record import StoredRecord


@dataclass(frozen=True)
class Provenance:
    """What a person is told before the code of a run is executed.

    ``user``, ``started`` (ISO 8601, UTC) and ``experiment`` are as the server has them; anybody who
    writes there can say anything. ``cloned_from`` is the address of a repository that is not the
    user's own. ``uncommitted`` maps each attached piece of code that is in no commit to its size in
    bytes. ``unconfirmed`` are the parts of the record that git does not confirm.
    """

    user: str
    started: str
    experiment: str
    cloned_from: str | None
    uncommitted: dict[str, int]
    unconfirmed: tuple[Check, ...]


def read_provenance(
    record: StoredRecord,
    location: ProjectLocation,
    restored: RestoreResult,
    tracking_uri: str | None,
) -> Provenance:
    info, git = record.run.info, record.snapshot.git
    names = tracking.experiment_names({info.experiment_id}, tracking_uri)
    is_clone = location.repository is None
    return Provenance(
        user=record.tags.get(tag.MLFLOW_USER) or info.user_id or "",
        started=iso_time(info.start_time),
        experiment=names[info.experiment_id],
        cloned_from=(git.remote_url if git else None) or "" if is_clone else None,
        uncommitted={path: len(content) for path, content in record.code_files.items()},
        unconfirmed=tuple(_unconfirmed(record, restored, is_clone)),
    )


def _unconfirmed(record: StoredRecord, restored: RestoreResult, is_clone: bool) -> list[Check]:
    """What was not restored as it was, and what `verify` would ask git for besides."""
    tree = ProjectLocation(Repository(restored.directory), None, untrusted=is_clone)
    found = {(item.part, item.name): item for item in restored.items if item.verdict != "PASS"}
    with ExitStack() as stack:
        witness = find_witness(record, tree, LockMemory(), CommitCopies(stack))
        for item in check_attached(record, witness):
            if item.verdict != "PASS":
                found.setdefault((item.part, item.name), item)
    return list(found.values())
