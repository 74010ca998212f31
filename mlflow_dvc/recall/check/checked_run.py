"""A run that is held against a policy: each fact is found out once, and only if a rule asks."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from mlflow_dvc.recall.lineage import nodes
from mlflow_dvc.recall.lineage.graph import GraphBuilder, Lineage
from mlflow_dvc.recall.lineage.upstream import UpstreamTracer
from mlflow_dvc.recall.locate import CommitCopies, ProjectLocation, locate_project
from mlflow_dvc.recall.lock_memory import LockMemory
from mlflow_dvc.recall.stored_record import StoredRecord, load_record_of
from mlflow_dvc.recall.verdict import Check
from mlflow_dvc.recall.verify.code import check_commit, check_submodules
from mlflow_dvc.recall.verify.data import check_data
from mlflow_dvc.recall.verify.project_stores import ProjectStores
from mlflow_dvc.recall.verify.record import find_lack
from mlflow_dvc.recall.verify.run_checks import check_run
from mlflow_dvc.recall.withheld import fill_withheld

if TYPE_CHECKING:
    from mlflow.entities import Run


class CheckedRun:
    """``stack`` is how long clones of its remote are kept.

    Raises UnreadableRecordError, or TrackingUnavailableError, where a fact is asked for that the
    server does not tell.
    """

    def __init__(
        self, run: Run, project: str | None, tracking_uri: str | None, stack: ExitStack
    ) -> None:
        self.run = run
        self._project = project
        self._uri = tracking_uri
        self._copies = CommitCopies(stack)

    @cached_property
    def record(self) -> StoredRecord:
        return load_record_of(self.run, self._uri)

    @property
    def parts(self) -> tuple[StoredRecord, ...]:
        """The record, and those of when the run went on with other code or data."""
        return (self.record, *self.record.later)

    @cached_property
    def lack(self) -> str:
        """Why there is more to the run than can be read of it; empty where there is not."""
        record = self.record
        unread = (*record.unread, *(f"{folder}/snapshot.json" for folder in record.unreadable))
        if unread:
            return f"{unread[0]} is attached, and could not be read"
        lacking = (lack for part in self.parts if (lack := find_lack(part)))
        return next((f"snapshot.json: {lack}" for lack in lacking), "")

    @cached_property
    def location(self) -> ProjectLocation:
        found = locate_project(self.record, self._project)
        if found.repository or found.dvc_root:
            return found
        return self._copies.clone(self.record, found)

    @cached_property
    def verification(self) -> tuple[Check, ...]:
        """As :func:`~mlflow_dvc.verify` judges each part of it."""
        record = fill_withheld(self.record, self.location.repository)
        stores = ProjectStores()
        stores.ask([(record, self.location)])
        answer = stores.answer(self.location)
        return tuple(check_run(record, self.location, answer, LockMemory(), self._copies))

    @cached_property
    def pushed_commits(self) -> tuple[Check, ...]:
        """Whether remotes have the commits, and those of submodules."""
        found: list[Check] = []
        for part in self.parts:
            found.append(check_commit(part, self.location.repository, pushed=True))
            found += check_submodules(part, self.location.repository, pushed=True)
        return tuple(dict.fromkeys(found))

    @cached_property
    def pushed_data(self) -> tuple[Check, ...]:
        """Whether DVC remotes, the source of an import, or git have the data."""
        stores = ProjectStores(pushed=True)
        stores.ask([(self.record, self.location)])
        answer = stores.answer(self.location)
        return tuple(check_data(self.record, self.location, answer))

    @cached_property
    def upstream(self) -> tuple[Lineage, dict[str, str]]:
        """What the run came from; and of what, by key, nobody knows what made it."""
        graph = GraphBuilder()
        tracer = UpstreamTracer(graph, self._uri)
        tracer.run(self.run)
        run_id = self.run.info.run_id
        return graph.about(run_id, [nodes.run_key(run_id)]), tracer.gaps
