"""What came of data and runs: readers, what their stages made, models."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.recall.lineage import nodes
from mlflow_dvc.recall.lineage.graph import GraphBuilder
from mlflow_dvc.recall.lineage.run_evidence import RunEvidence
from mlflow_dvc.recall.lineage.upstream import UpstreamTracer
from mlflow_dvc.recall.query import Query, Seen, find_runs_with, matching_data
from mlflow_dvc.snapshot import DataEntry

if TYPE_CHECKING:
    from mlflow.entities import Run

MAX_RUNS = 500  # each is a few requests to the server
_MAX_RUNS_PER_OUTPUT = 5
_UNSEALED = "what the stage made is not recorded (mlflow-dvc sync may know)"


class DownstreamTracer:
    """Adds to a graph what came of runs and data, from run to run. Nothing is followed twice."""

    def __init__(
        self, graph: GraphBuilder, upstream: UpstreamTracer, tracking_uri: str | None
    ) -> None:
        self._graph = graph
        self._upstream = upstream
        self._uri = tracking_uri
        self._came: dict[str, Run] = {}
        self._pending: deque[Run] = deque()
        self._left_out: set[str] = set()
        self._recorded: list[Run] | None = None

    def runs(self, runs: Iterable[Run]) -> None:
        """Everything that came of ``runs``."""
        for run in runs:
            self._add(run)
        while self._pending:
            made = [out for run in self._pending for out in self._outs(run)]
            self._pending.clear()
            self._read(made)
        self.models(list(self._came.values()))
        if self._left_out:
            self._graph.warn(
                f"{len(self._left_out)} more runs are left out: {MAX_RUNS} were looked into"
            )

    def data(self, keys: Sequence[str], seen: Iterable[Seen]) -> None:
        """Everything that came of the data ``keys``, which the runs ``seen`` may have read."""
        came = []
        for run, _ in seen:
            if not self._has_room(run):
                continue
            key = self._upstream.run(run)
            above = self._graph.before([key])
            if above.isdisjoint(keys):
                self._lay_there(run, key, keys)
            else:
                came.append(run)
        self.runs(came)

    def models(self, runs: Sequence[Run]) -> None:
        """The logged models of ``runs``, and the registered versions."""
        logged, versions, faults = tracking.models_of(runs, self._uri)
        for fault in faults:
            self._graph.warn(fault)
        for model in logged:
            key = self._graph.add(nodes.of_logged_model(model))
            if model.run_id:
                self._graph.link(nodes.run_key(model.run_id), key, "logged")
        for version in versions:
            add_version(self._graph, version)

    def _lay_there(self, run: Run, key: str, keys: Sequence[str]) -> None:
        """Link a run that did not read the data: it made it, or the data only lay there."""
        for evidence in self._upstream.evidence_of(run):
            for entry in evidence.data.values():
                if not (entry.is_fact and nodes.data_key(entry.path, entry.hash or "") in keys):
                    continue
                data = self._upstream.output(evidence, entry)
                if not evidence.made(entry.path, entry.hash or ""):
                    self._graph.link(data, key, "saw", _unread(evidence))

    def _has_room(self, run: Run) -> bool:
        run_id = run.info.run_id
        room = run_id in self._came or len(self._came) < MAX_RUNS
        if not room:
            self._left_out.add(run_id)
        return room

    def _add(self, run: Run) -> None:
        if run.info.run_id not in self._came and self._has_room(run):
            self._came[run.info.run_id] = run
            self._pending.append(run)

    def _outs(self, run: Run) -> Iterator[tuple[str, DataEntry]]:
        """What the run's stage made, as far as runs that read it can be searched for."""
        run_key = nodes.run_key(run.info.run_id)
        for evidence in self._upstream.evidence_of(run):
            for out in evidence.outs:
                key = self._upstream.output(evidence, out)
                is_fact = out.is_fact and out.certainty == "sealed"
                self._graph.link(run_key, key, "made", "" if is_fact else _UNSEALED)
                if is_fact and out.cached:
                    yield key, out

    def _read(self, made: Iterable[tuple[str, DataEntry]]) -> None:
        """The runs that read some of what was made."""
        by_hash: dict[str, dict[str, DataEntry]] = {}
        for key, out in made:
            by_hash.setdefault(out.hash or "", {})[key] = out
        for value, (reader, entries) in self._readers(set(by_hash)):
            outs = by_hash[value]
            if reader.info.run_id in self._came or not self._has_room(reader):
                continue
            if not any(self._came_to(reader, out) for out in outs.values()):
                continue  # nor is it to be drawn: what it came from is another's
            reader_key = self._upstream.run(reader)
            for key, out in outs.items():
                self._same_content(key, out, entries)
            if not self._graph.before([reader_key]).isdisjoint(outs):
                self._add(reader)

    def _came_to(self, reader: Run, out: DataEntry) -> bool:
        """Whether what ``reader`` had there is what one of the runs made."""
        for evidence in self._upstream.evidence_of(reader):
            entry = evidence.data.get(out.path)
            if entry is None or entry.hash != out.hash or entry.stage is None or entry.source:
                return True  # by the graph alone: a part of it, or imported
            if evidence.lock(entry.stage) is None:
                return True  # by its hash alone: no lock tells what the stage had read
            makers = self._upstream.makers(evidence, entry)
            if any(run.info.run_id in self._came for run, _ in makers):
                return True
        return False

    def _readers(self, hashes: set[str]) -> Iterator[tuple[str, Seen]]:
        """The runs that saw any of ``hashes``; where these are many, of one look at all runs."""
        if len(hashes) <= _MAX_RUNS_PER_OUTPUT:
            for value in sorted(hashes):
                yield from ((value, seen) for seen in find_runs_with(Query(hash=value), self._uri))
            return
        if self._recorded is None:
            found = tracking.find_runs(f"tags.`{tag.HASHES}` LIKE '%'", self._uri)
            self._recorded = tracking.newest_first(found)
        for run in self._recorded:
            for value in sorted(hashes & tag.hashes_in(run.data.tags)):
                yield value, (run, matching_data(run, Query(hash=value), self._uri))

    def _same_content(self, key: str, out: DataEntry, entries: Iterable[DataEntry]) -> None:
        """Data that a project imported has a path of its own there."""
        for entry in entries:
            other = nodes.data_key(entry.path, entry.hash or "")
            imported = entry.hash == out.hash and entry.path != out.path and entry.source
            if imported and other in self._graph.nodes:
                self._graph.link(key, other, "same content", "told by the hash alone")


def _unread(evidence: RunEvidence) -> str:
    if evidence.snapshot.reconstructed:
        return "reconstructed: the run's commit has it; what the run read is not known"
    reader = "the run was not seen to" if evidence.snapshot.knows_reads else "the stage does not"
    return f"it lay there; {reader} read it"


def add_version(graph: GraphBuilder, version: tracking.ModelVersion) -> str:
    """A registered version, below its logged model where that is known, else below its run."""
    key = graph.add(nodes.of_version(version))
    model = nodes.model_key(version.model_id or "")
    if model in graph.nodes:
        graph.link(model, key, "registered")
    elif version.run_id:
        graph.link(nodes.run_key(version.run_id), key, "registered")
    return key
