"""Where a run came from: its code, its stage, and the data above them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.git.code_files import is_program
from mlflow_dvc.paths import is_address
from mlflow_dvc.recall.lineage import nodes
from mlflow_dvc.recall.lineage.graph import GraphBuilder, How
from mlflow_dvc.recall.lineage.run_evidence import RunEvidence, load_evidence
from mlflow_dvc.snapshot import DataEntry, Reads

if TYPE_CHECKING:
    from mlflow.entities import Run

_MAX_INPUTS = 200  # of a run whose stage is not known: everything that lay there
_CHANGED = "it was changed, nobody knows by whom"
_NO_LOCK = "no lock tells what {} made it of"
_ELSEWHERE = "an equal lock, but of another checkout, and perhaps of another project"
UNREAD = "declared; the run was not seen to read it"
_SEALED = ("provisional", "confirmed", "contradicted")


class _Step(NamedTuple):
    """Data to be traced, as one record tells of it."""

    key: str
    evidence: RunEvidence
    entry: DataEntry


class UpstreamTracer:
    """Adds to a graph what runs and data came from. Nothing is followed twice.

    ``gaps`` says of nodes, by their keys, why nobody knows what made them.
    """

    def __init__(self, graph: GraphBuilder, tracking_uri: str | None) -> None:
        self.gaps: dict[str, str] = {}
        self._graph = graph
        self._uri = tracking_uri
        self._names = nodes.Experiments(tracking_uri)
        self._accounts: dict[str, list[RunEvidence]] = {}
        self._of_stage: dict[str, list[Run]] = {}
        self._pending: deque[_Step] = deque()
        self._followed: set[tuple[str, str]] = set()
        self._above: set[str] = set()

    def evidence_of(self, run: Run) -> list[RunEvidence]:
        """The records that a run carries."""
        run_id = run.info.run_id
        if run_id not in self._accounts:
            self._accounts[run_id] = list(load_evidence(run, self._uri))
        return self._accounts[run_id]

    def run(self, run: Run) -> str:
        """Add ``run`` and everything above it; the key of its node."""
        key = self._run(run)
        self._work()
        return key

    def output(self, evidence: RunEvidence, entry: DataEntry) -> str:
        """Add an output of the project that a run was in, and everything above it; its key."""
        key = self._data(evidence, entry)
        self._work()
        return key

    def data(self, evidence: RunEvidence, path: str, value: str) -> str:
        """The key of the node of what a run saw at ``path``, with all that it came from."""
        known = evidence.data.get(path)
        if known is not None and known.is_fact and known.hash == value:
            return self.output(evidence, known)
        key = self._whole(evidence, path, value)
        self._work()
        return key

    def _work(self) -> None:
        while self._pending:
            step = self._pending.popleft()
            mark = (step.key, step.evidence.run.info.run_id)
            if mark not in self._followed:
                self._followed.add(mark)
                self._follow(step)

    # --- a run ---

    def _run(self, run: Run) -> str:
        key = self._graph.add(nodes.of_run(run, self._names))
        if key in self._above:
            return key
        self._above.add(key)
        for evidence in self.evidence_of(run):
            for warning in evidence.snapshot.warnings:
                self._graph.warn(f"run {run.info.run_id}: {warning}", key)
            if not evidence.snapshot:
                self._graph.warn(f"run {run.info.run_id} carries no record of ours", key)
                continue
            if (git := evidence.snapshot.git) is not None and git.sha:
                self._graph.link(self._graph.add(nodes.of_code(git)), key, "code of")
            self._inputs(key, evidence)
        return key

    def _inputs(self, run_key: str, evidence: RunEvidence) -> None:
        """What the run's stage reads; where none is known, what the run was seen to read, or else
        what lay there when it started.
        """
        seen = evidence.snapshot.reads or Reads("off")
        read = seen.read_paths
        if evidence.stage is not None:
            node = nodes.of_stage(evidence.stage, evidence.run.info.run_id)
            stage = self._graph.add(node)
            self._graph.link(stage, run_key, "ran")
            for dep in evidence.deps:
                is_data = dep.role == "input" or (dep.role is None and not is_program(dep.path))
                if is_address(dep.path) and dep.path not in evidence.data:
                    self._graph.link(self._address(evidence, dep), stage, "read", _doubt_of(dep))
                elif is_data:
                    doubt = _doubt_of(dep) or (UNREAD if _is_unread(seen, dep) else "")
                    self._read(stage, evidence, dep.path, dep.hash, doubt)
            self._undeclared(run_key, evidence, seen)
            return
        for dep in evidence.deps:  # datasets of the project
            self._graph.link(self._address(evidence, dep), run_key, "saw", _doubt_of(dep))
        lay_there = [
            entry
            for entry in evidence.data.values()
            if entry.role != "output" and entry.cached and entry.is_fact
            if entry.path in read or not evidence.snapshot.knows_reads
        ]
        for entry in lay_there[:_MAX_INPUTS]:
            how: How = "read" if entry.path in read else "saw"
            self._graph.link(self._data(evidence, entry), run_key, how, _doubt_of(entry))
        if (left := len(lay_there) - _MAX_INPUTS) > 0:
            run_id = evidence.run.info.run_id
            self._graph.warn(f"run {run_id} saw {left} more outputs, which are left out", run_key)

    def _undeclared(self, run_key: str, evidence: RunEvidence, seen: Reads) -> None:
        """What the run was seen to read beside what its stage declares."""
        for path in seen.undeclared:
            entry = evidence.data.get(path)
            if path in seen.read_paths and entry is not None and entry.is_fact:
                self._graph.link(self._data(evidence, entry), run_key, "read", _doubt_of(entry))

    # --- what a stage read ---

    def _read(
        self, stage: str, evidence: RunEvidence, path: str, value: str | None, doubt: str
    ) -> None:
        """``value`` is the hash of the dependency when the stage read it."""
        around = evidence.enclosing_output(path)
        if around is not None and around.path == path:
            entry = around if around.hash == value else _other(around, value)
            self._graph.link(self._data(evidence, entry), stage, "read", doubt)
            return
        if around is None and not evidence.outputs_under(path) and is_program(path):
            return  # in the commit
        self._graph.link(self._whole(evidence, path, value), stage, "read", doubt)

    def _whole(self, evidence: RunEvidence, path: str, value: str | None) -> str:
        """A file within an output, or a folder with outputs in it, or what DVC does not track."""
        key = self._graph.add(nodes.of_data(DataEntry(path, "md5", value), evidence))
        around = evidence.enclosing_output(path)
        # Neither hash identifies the version of the other.
        if around is not None:
            self._graph.link(self._data(evidence, around), key, "holds", "by its path alone")
            return key
        for part in evidence.outputs_under(path):
            self._graph.link(self._data(evidence, part), key, "part of", "by its path alone")
        return key

    def _address(self, evidence: RunEvidence, dep: DataEntry) -> str:
        """What nothing in the project makes: a dataset, or what lies at an address."""
        key = self._graph.add(nodes.of_data(dep, evidence))
        if dep.source:
            self._graph.link(self._graph.add(nodes.of_source(dep.source)), key, "imported")
        return key

    def _data(self, evidence: RunEvidence, entry: DataEntry) -> str:
        key = self._graph.add(nodes.of_data(entry, evidence))
        self._pending.append(_Step(key, evidence, entry))
        return key

    # --- what made data ---

    def _follow(self, step: _Step) -> None:
        entry, evidence = step.entry, step.evidence
        if entry.source:
            self._graph.link(self._graph.add(nodes.of_source(entry.source)), step.key, "imported")
        if not entry.is_fact or entry.state == "modified":  # then nobody knows who made it so
            self.gaps[step.key] = _CHANGED if entry.is_fact else nodes.UNKNOWN
            return
        makers = self.makers(evidence, entry)
        for maker, doubt in makers:
            self._graph.link(self._run(maker), step.key, "made", doubt)
        if not makers and entry.stage in evidence.stages and _is_locked(evidence, entry):
            self._stage(step.key, evidence, entry.stage)
        elif not makers and entry.stage and not entry.stage.endswith(".dvc"):
            self.gaps[step.key] = _NO_LOCK.format(entry.stage)

    def _stage(self, made: str, evidence: RunEvidence, address: str) -> None:
        """A stage that logged no run of its own, as the lock tells of it."""
        node = nodes.of_stage(address, evidence.execution(address))
        self._graph.link(self._graph.add(node), made, "made")
        if node.key in self._above:
            return
        self._above.add(node.key)
        for path, value in evidence.stage_inputs(address).items():
            known = evidence.data.get(path)
            if value is None and known is not None and known.is_fact:
                doubt = "as it lay there: no lock tells what the stage read"
                self._read(node.key, evidence, path, known.hash, doubt)
            else:
                self._read(node.key, evidence, path, value, "" if value else nodes.UNKNOWN)

    def makers(self, evidence: RunEvidence, entry: DataEntry) -> list[tuple[Run, str]]:
        """The runs of the execution of a stage that made this, each with why it may be another.

        The reader's lock tells. Among equal executions it is the last one before the reader, in
        the same checkout if there is one.
        """
        if entry.hash is None or entry.stage is None:
            return []
        if evidence.made(entry.path, entry.hash):
            return [(evidence.run, "")]
        if entry.stage not in evidence.stages or evidence.lock(entry.stage) is None:
            return []
        found: list[tuple[Run, RunEvidence]] = []
        for run, one in self._candidates(evidence, entry):
            is_here = one.is_in_checkout_of(evidence)
            if found and is_here == found[0][1].is_in_checkout_of(evidence):
                if one.snapshot.sealed_at != found[0][1].snapshot.sealed_at:
                    break
                found.append((run, one))
            elif not found or is_here:
                found = [(run, one)]
        return [(run, "" if one.is_of_project(evidence) else _ELSEWHERE) for run, one in found]

    def _candidates(
        self, evidence: RunEvidence, entry: DataEntry
    ) -> Iterator[tuple[Run, RunEvidence]]:
        """Runs that made the same from the same, newest first."""
        for run in self._runs_of(entry.stage or ""):
            if not _may_have_made(run, entry.hash or "", evidence.run):
                continue
            for one in self.evidence_of(run):
                is_again = tag.REPRODUCES in run.data.tags and not one.is_in_checkout_of(evidence)
                did = one.made(entry.path, entry.hash or "")
                if did and not is_again and one.ran_identically(evidence, entry.stage or ""):
                    yield run, one

    def _runs_of(self, address: str) -> list[Run]:
        """The runs of a stage, newest first."""
        if address not in self._of_stage:
            self._of_stage[address] = list(tracking.find_runs_of_stage(address, self._uri))
        return self._of_stage[address]


def _may_have_made(run: Run, hash_: str, reader: Run) -> bool:
    """As far as tags tell; what is made after it was read is not what was read."""
    tags = run.data.tags
    return (
        (run.info.start_time or 0) <= (reader.info.start_time or 0)
        and tags.get(tag.ROOT) == reader.data.tags.get(tag.ROOT)
        and (tags.get(tag.SEAL) in _SEALED or tag.STAGES in tags)
        and hash_ in tag.hashes_in(tags)
    )


def _is_locked(evidence: RunEvidence, entry: DataEntry) -> bool:
    """Whether it is what the locks of the record are about, and not another version of it."""
    there = evidence.data.get(entry.path)
    return there is not None and there.hash == entry.hash and there.state != "modified"


def _is_unread(seen: Reads, dep: DataEntry) -> bool:
    """Whether the stage declares it, and the run did not read it itself."""
    return seen.status == "observed" and dep.path in seen.unread


def _other(entry: DataEntry, hash_: str | None) -> DataEntry:
    """What else lay at the path of ``entry`` once: nothing more is known of it."""
    return DataEntry(entry.path, entry.algorithm, hash_, stage=entry.stage)


def _doubt_of(entry: DataEntry) -> str:
    """Why the hash is no fact about the run; empty where it is one."""
    if entry.hash is None:
        return nodes.UNKNOWN
    if entry.certainty == "committed":
        return "reconstructed: the hash is what the run's commit has; it may have seen another"
    if entry.certainty == "stale":
        return "only the lock of an earlier run tells its hash"
    if entry.state == "missing":
        return "it did not lie on disk: the hash is what its lock says"
    if entry.is_observed or entry.state == "clean":
        return ""
    return "not verified: the hash is what its lock says"
