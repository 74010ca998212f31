"""What one run tells of itself: its snapshots, and the locks attached to them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.dvcfiles.lock_file import entry_digest, lock_path, locked_stages, stage_entry
from mlflow_dvc.dvcfiles.output_hash import output_hash
from mlflow_dvc.limits import MAX_PARSED_BYTES
from mlflow_dvc.paths import parents
from mlflow_dvc.recall.files_read import has_data, relation_to_file
from mlflow_dvc.recall.relation import Relation, is_own_output, related_data
from mlflow_dvc.recall.stored_record import run_holding_record
from mlflow_dvc.snapshot import DataEntry, StageNode
from mlflow_dvc.tracking import RunPart

if TYPE_CHECKING:
    from mlflow.entities import Run


class RunEvidence:
    """One record of a run: what it says of stages and data.

    It comes from a shared server: a lock that is not of the form that DVC gives it says nothing.
    """

    def __init__(self, run: Run, carrier: Run, part: RunPart, tracking_uri: str | None) -> None:
        """``carrier`` is the run that the record is attached to: this, or a parent."""
        self.run = run
        self._carrier = carrier
        self.snapshot = part.snapshot
        self._folder = part.folder
        self._uri = tracking_uri
        self._locks: dict[str, Mapping[str, Any]] = {}

    @cached_property
    def data(self) -> dict[str, DataEntry]:
        """Every output that the project had, by its path."""
        return {entry.path: entry for entry in self.snapshot.data}

    @cached_property
    def deps(self) -> list[DataEntry]:
        """What the stage of the run declares to read."""
        return list(self.snapshot.deps)

    @cached_property
    def observed_data(self) -> list[DataEntry]:
        """All data whose hash is a fact about the run."""
        return list(self.snapshot.observed_data)

    @cached_property
    def stages(self) -> dict[str, StageNode]:
        return {stage.address: stage for stage in self.snapshot.stages}

    def relation_to_file(self, folder: DataEntry, inside: str) -> Relation | None:
        """How the run stands to a file of a folder; None where nothing tells."""
        if not has_data(self.snapshot, folder.path, folder.hash):
            return "lay there"
        part = RunPart(self._folder, self.snapshot)
        return relation_to_file(self._carrier, part, folder.path, inside, self._uri)

    @property
    def stage(self) -> str | None:
        """The stage that the run is of, by DVC's word or by its script."""
        return self.snapshot.stage or self.snapshot.script_stage

    @cached_property
    def outs(self) -> list[DataEntry]:
        """What the stage of the run makes; only what is sealed is known to be of this run."""
        return [one for one in self.data.values() if is_own_output(self.snapshot, one)]

    @cached_property
    def _made(self) -> set[tuple[str, str | None]]:
        related = related_data(self.snapshot)
        return {(entry.path, entry.hash) for entry, relation in related if relation == "made"}

    def made(self, path: str, hash_: str) -> bool:
        """Whether the run's own stage made this, by the word of the record."""
        return (path, hash_) in self._made

    def ran_identically(self, other: RunEvidence, address: str) -> bool:
        """Whether the locks of both tell of one execution of a stage, or of two equal ones."""
        mine = self.lock(address)
        return mine is not None and mine == other.lock(address)

    def is_in_checkout_of(self, other: RunEvidence) -> bool:
        mine, theirs = self.snapshot.workspace, other.snapshot.workspace
        return mine is not None and mine == theirs

    def is_of_project(self, other: RunEvidence) -> bool:
        """As far as is known: by the checkout, or by where the repository is pushed to."""
        mine, theirs = (one.snapshot.git for one in (self, other))
        same_remote = mine and theirs and mine.remote_url and mine.remote_url == theirs.remote_url
        return self.is_in_checkout_of(other) or bool(same_remote)

    def enclosing_output(self, path: str) -> DataEntry | None:
        """The output that is at ``path``, or the folder that it lies in."""
        return next((self.data[one] for one in (path, *parents(path)) if one in self.data), None)

    def outputs_under(self, path: str) -> list[DataEntry]:
        """The outputs that lie in the folder ``path``."""
        inside = path.rstrip("/") + "/"
        return [entry for entry in self.data.values() if entry.path.startswith(inside)]

    def lock(self, address: str) -> Mapping[str, Any] | None:
        """The part of a stage in the attached locks."""
        file, _, name = address.rpartition(":")
        path = lock_path(file or "dvc.yaml")
        if path not in self._locks:
            is_there = path in (self.snapshot.locks or {})
            content = (
                tracking.read_attached(self._carrier, path, self._uri, self._folder)
                if is_there
                else None
            )
            is_small = content is not None and len(content) <= MAX_PARSED_BYTES
            self._locks[path] = locked_stages(content if is_small else None)
        return stage_entry(self._locks[path], name)

    def stage_inputs(self, address: str) -> dict[str, str | None]:
        """Every dependency of a stage, with the hash that it had when the stage ran.

        None where no lock tells.
        """
        stage = self.stages.get(address)
        deps = stage.deps if stage else ()
        locked = _hashes(self.lock(address), "deps")
        for folder in dict.fromkeys(("", *(above for dep in deps for above in parents(dep)))):
            seen = {posixpath.normpath(posixpath.join(folder, path)): path for path in locked}
            if set(deps) == set(seen):  # paths in a lock are seen from the folder of the stage
                return {dep: locked[seen[dep]] for dep in deps}
        return dict.fromkeys(deps)

    def execution(self, address: str) -> str:
        """A name for one execution of a stage, the same in every record of it."""
        entry = self.lock(address)
        return entry_digest(entry) if entry is not None else str(self.run.info.run_id)


def load_evidence(run: Run, tracking_uri: str | None) -> Iterator[RunEvidence]:
    """The record of the start, and those of when the run was resumed on other data."""
    carrier = run_holding_record(run, tracking_uri) if tag.MLFLOW_PARENT in run.data.tags else run
    first = tracking.load_snapshot(carrier, tracking_uri)
    evidence = RunEvidence(run, carrier, RunPart(tracking.FOLDER, first), tracking_uri)
    yield evidence
    known = {entry.hash for entry in (*evidence.data.values(), *evidence.deps)}
    goes_on = tag.STAGES in run.data.tags or not tag.hashes_in(run.data.tags) <= known
    if first and goes_on:
        for part in tracking.load_later_parts(run, tracking_uri):
            yield RunEvidence(run, run, part, tracking_uri)


def _hashes(entry: Mapping[str, Any] | None, part: str) -> dict[str, str | None]:
    """By path as the lock spells it."""
    found = {}
    rows = (entry or {}).get(part)
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and isinstance(row.get("path"), str):
            try:
                _, value = output_hash(row["path"], row["path"], row)
            except (TypeError, ValueError, AttributeError):  # not as DVC writes it
                value = None
            found[row["path"]] = value if isinstance(value, str) else None
    return found
