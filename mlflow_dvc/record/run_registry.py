"""The runs of this process, and the state of the record of each."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlflow_dvc import settings
from mlflow_dvc import tags as tag
from mlflow_dvc.capture.run_capture import RunCapture
from mlflow_dvc.dvc_backend.child_process import DvcProcess
from mlflow_dvc.dvc_backend.hash_query import HashQuery
from mlflow_dvc.tracking import Input

if TYPE_CHECKING:
    from mlflow.entities import Run

_MAX_RUNS = 1000


@dataclass
class PendingCheck:
    """A check under way. ``child`` is None where one of another run must end first.

    ``missing`` are the paths at which nothing lay when the run had just started.
    """

    asked: dict[tuple[str, str], HashQuery]
    missing: set[str]
    child: DvcProcess | None = None


@dataclass
class RunRecordState:
    """One run's record, or that of a logged model without a run (``is_model``).

    ``run_id`` is the run's id, or the model's. ``tags`` are those of ours that it carries.

    ``started`` is in nanoseconds since 1970. ``awaiting_activation`` until the run is active for
    the first time. ``models`` are the ids of models that were logged in it. ``folder`` is where the
    record is attached, ``pending`` the check of its data. ``started_here``: this process started or
    resumed the run, not one that it was forked from. ``is_kept``: the run carries this record;
    ``later`` has, beside its first one, as it went on with other code or data, the tags that
    came by it. ``previous`` is what this process knew of the run before it was resumed.
    ``begun`` are its tags before anybody looked at the disk, once it is known whether the run
    carries it. ``is_ended``: this process has ended the run. ``inputs`` were logged last,
    those of ``logged``; ``sent`` has the md5 of what is attached by now, the tags are those of
    ``told``, the pages were ``drawn`` of that: nothing is written twice. ``awaits_exit``: the end
    of the process will tell.

    ``server_tags`` are all tags of the run as far as this process knows, which sees what it writes
    itself; None where it does not. ``observed_from`` is when it was noted what had been read before
    the run, in ns since 1970. ``shared_with`` is the parent run whose record tells of this one too.
    ``read`` is the run as the server told it at its end, or at that of the process. ``description``
    is the one that the run has from this record.
    """

    run_id: str
    tracking_uri: str
    capture: RunCapture
    tags: dict[str, str]
    started: int
    experiment_id: str = ""
    awaiting_activation: bool = True
    models: list[str] = field(default_factory=list)
    folder: str | None = None
    pending: PendingCheck | None = None
    failed: bool = False
    started_here: bool = True
    is_kept: bool = False
    later: dict[str, str] | None = None
    previous: RunRecordState | None = None
    begun: dict[str, str] | None = None
    is_model: bool = False
    is_ended: bool = False
    inputs: list[Input] = field(default_factory=list)
    logged: RunCapture | None = None
    told: RunCapture | None = None
    drawn: RunCapture | None = None
    artifact_uri: str | None = None
    sent: dict[str, str] = field(default_factory=dict)
    server_tags: dict[str, str] | None = None
    read: Run | None = None
    is_gone: bool = False
    awaits_exit: bool = False
    next_look: float = 0.0
    observed_from: int = 0
    shared_with: str | None = None
    description: str | None = None

    def note_read(self, run: Run | None) -> None:
        """What the server said of the run just now; None where it has none of this id."""
        self.read, self.is_gone = run, run is None
        self.server_tags = dict(run.data.tags) if run else {}

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will become known of it, as far as can be told."""
        return self.pending is None and not self.awaits_seal

    @property
    def awaits_seal(self) -> bool:
        """Whether it is of a stage that is sealed when this process ends, as far as it tells."""
        capture = self.capture
        return (
            self.awaits_exit
            and settings.seal_enabled()
            and not self.failed
            and capture.reading is not None
            and capture.project.dvc_stage is not None
            and capture.data.stage is not None
        )

    @property
    def label(self) -> str:
        """What it is the record of, in words."""
        return f"model {self.run_id}" if self.is_model else f"run {self.run_id}"


class RunRegistry:
    """Records by run id; the oldest are forgotten, as a service may start runs for ever.

    ``sees_tags``: this process sees what the user tags a run with.
    """

    def __init__(self) -> None:
        self.sees_tags = False
        self._records: OrderedDict[str, RunRecordState] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, record: RunRecordState) -> RunRecordState:
        with self._lock:
            self._records[record.run_id] = record
            while len(self._records) > _MAX_RUNS:
                self._records.popitem(last=False)
        return record

    def get(self, run_id: str | None) -> RunRecordState | None:
        return self._records.get(run_id) if run_id else None

    def all(self) -> list[RunRecordState]:
        """The records of this process that runs carry, oldest first."""
        with self._lock:
            records = list(self._records.values())
        return [record for last in records for record in _kept(last) if record.started_here]

    def kept_records(self, run_id: str) -> list[RunRecordState]:
        """Those which the run carries, its first one first."""
        return _kept(self.get(run_id))

    def sharing(self, run_id: str) -> list[RunRecordState]:
        """Those of child runs that have no record of their own, as this run's tells the same."""
        return [one for one in self.all() if one.shared_with == run_id]

    def forget(self, record: RunRecordState) -> None:
        """Put back what was known before ``record``, which tells nothing new.

        A run may be resumed without end: each record that stays holds its patch.
        """
        with self._lock:
            last, before = self._records.get(record.run_id), record.previous
            if before is None:
                return
            if last is record:
                self._records[record.run_id] = before
                return
            while last is not None:
                if last.previous is record:
                    last.previous = before
                last = last.previous

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        for last in self._records.values():
            for record in known_records(last):  # also one that was not written yet
                record.started_here, record.pending = False, None


def _kept(record: RunRecordState | None) -> list[RunRecordState]:
    found = [one for one in known_records(record) if one.is_kept]
    return found[::-1]


def known_records(record: RunRecordState | None) -> Iterator[RunRecordState]:
    """``record`` and what this process knew of its run before, newest first."""
    while record is not None:
        yield record
        record = record.previous


def is_same_identity(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two runs' tags tell of the same code and the same data.

    A data version may become known only later: it tells nothing where one has none, or where one is
    of what was read, and the other of what lay there.
    """
    first, second = tag.identity(one), tag.identity(other)
    differ = tag.DATA_VERSION in first.keys() ^ second.keys()
    if differ or one.get(tag.READS) != other.get(tag.READS):
        first.pop(tag.DATA_VERSION, None)
        second.pop(tag.DATA_VERSION, None)
    return first == second
