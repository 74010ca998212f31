"""What recorded runs and models need: every hash that their records name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.progress import Work
from mlflow_dvc.recall.run_batches import ask_each
from mlflow_dvc.recall.stored_record import run_holding_record
from mlflow_dvc.snapshot import Snapshot

if TYPE_CHECKING:
    from mlflow.entities import Run

_BATCH_RUNS = 200


@dataclass(frozen=True)
class DataUser:
    """A run, or a logged model that was made in none, and the data that its record names.

    ``started`` is in milliseconds since 1970. ``needs`` maps each hash to a path that it had, which
    is empty where only a tag names it; ``read`` are those of what it read and is known to be no
    output. ``damage`` says in words what of the record is not readable.
    """

    kind: Literal["run", "model"]
    id: str
    name: str
    started: int
    needs: Mapping[str, str]
    read: frozenset[str] = frozenset()
    damage: tuple[str, ...] = ()


def find_users(tracking_uri: str | None) -> list[DataUser]:
    """All runs and models of the server with a record, the deleted ones too.

    Raises TrackingUnavailableError where a record cannot be had, and MlflowDvcError where what a
    run needs cannot be told.
    """
    found: list[DataUser] = []
    with (
        Work("reading the records of runs", "runs") as work,
        tracking.one_client(tracking_uri),
    ):
        runs = tracking.all_runs(tracking_uri)
        users = ask_each(runs, lambda run: _user_of_run(run, tracking_uri), _BATCH_RUNS)
        for _, user in users:
            found.append(user)
            work.advance()
        found += _models({user.id for user in found}, tracking_uri)
    return [user for user in found if user.needs]


def _user_of_run(run: Run, tracking_uri: str | None) -> DataUser:
    info, tags = run.info, run.data.tags
    user = DataUser("run", info.run_id, info.run_name or "", info.start_time or 0, {})
    if not tag.names_data(tags):  # of code alone: its artifacts may be anywhere
        return user
    carrier = run_holding_record(run, tracking_uri)
    snapshots, damage = tracking.require_snapshots(carrier, tracking_uri)
    needs = dict(_named_by(snapshots, tags))
    if snapshots and not damage:
        return replace(user, needs=needs, read=_no_outputs(snapshots))
    _require_all_named(f"run {info.run_id}", tags)
    return replace(user, needs=needs, damage=tuple(damage or ["it has lost its dvc/snapshot.json"]))


def _require_all_named(whose: str, tags: Mapping[str, str]) -> None:
    if not tag.is_all_named(tags):
        raise MlflowDvcError(
            f"{whose} has more data than its tags name, and no whole dvc/snapshot.json",
            "Bring the file back, or leave the run out with `--keep FILTER`",
        )


def _no_outputs(snapshots: Iterable[Snapshot]) -> frozenset[str]:
    """What was a dependency alone, such as a folder of code: no store has it."""
    outputs = {entry.hash for one in snapshots for entry in one.data if entry.cached}
    read = {entry.hash for one in snapshots for entry in (*one.deps, *one.data)} - outputs
    return frozenset(value for value in read if value is not None)


def _named_by(snapshots: Iterable[Snapshot], tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each hash with a path. The tags count too: whoever changed one of both has not changed both,
    and what is named once may be needed.
    """
    yield from ((value, "") for value in sorted(tag.hashes_in(tags)))
    for snapshot in (tag.from_tags(tags), *snapshots):
        for entry in (*snapshot.deps, *snapshot.data):
            if entry.hash is not None and entry.is_fact:
                yield entry.hash, entry.path


def _models(run_ids: set[str], tracking_uri: str | None) -> Iterator[DataUser]:
    """Those without a run, or whose run is gone: the others need what their run does."""
    for one in tracking.recorded_models(tracking_uri):
        if one.model.run_id not in run_ids:
            _require_all_named(f"model {one.model.model_id}", one.tags)
            needs = dict(_named_by((), one.tags))
            yield DataUser("model", one.model.model_id, one.model.name, one.created, needs)
