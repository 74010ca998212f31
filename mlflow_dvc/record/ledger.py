"""The runs that this process started or resumed, and what was recorded of each."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from mlflow_dvc import tags as tag
from mlflow_dvc.capture.moment import Moment
from mlflow_dvc.dvc_backend.check import Question
from mlflow_dvc.dvc_backend.child import Child

_RUNS_AT_MOST = 1000


@dataclass
class Pending:
    """A check under way. ``child`` is None where one of another run must end first.

    ``missing`` are the paths at which nothing lay when the run had just started.
    """

    asked: dict[tuple[str, str], Question]
    missing: set[str]
    child: Child | None = None


@dataclass
class Record:
    """One run's record. ``tags`` are those of ours that the run carries.

    ``new`` until the run becomes active for the first time; ``models`` are the ids of models that
    were logged in the run; ``started`` is in nanoseconds since 1970. ``folder`` is where the record
    is attached, ``pending`` the check of its data, ``ours`` whether this process started or resumed
    the run and not one that it was forked from. ``leads``: the run's tags are of this record, which
    is not so where it has an earlier one; ``before`` is what this process knew of the run then.
    """

    run_id: str
    tracking_uri: str
    moment: Moment
    tags: dict[str, str]
    started: int
    experiment_id: str = ""
    new: bool = True
    models: list[str] = field(default_factory=list)
    folder: str | None = None
    pending: Pending | None = None
    failed: bool = False
    ours: bool = True
    leads: bool = False
    before: Record | None = None


class Ledger:
    """Records by run id; the oldest are forgotten, as a service may start runs for ever."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, record: Record) -> Record:
        with self._lock:
            self._records[record.run_id] = record
            while len(self._records) > _RUNS_AT_MOST:
                self._records.popitem(last=False)
        return record

    def get(self, run_id: str | None) -> Record | None:
        return self._records.get(run_id) if run_id else None

    def all(self) -> list[Record]:
        """Those of this process that lead, oldest first."""
        with self._lock:
            records = list(self._records.values())
        return [record for last in records for record in _leading(last) if record.ours]

    def leading(self, run_id: str) -> list[Record]:
        return _leading(self.get(run_id))

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        for last in self._records.values():
            for record in _leading(last):
                record.ours, record.pending = False, None


def _leading(record: Record | None) -> list[Record]:
    found = []
    while record is not None:
        found += [record] if record.leads else []
        record = record.before
    return found


def same_record(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether two runs' tags tell of the same code and the same data.

    A data version may become known only later: it tells nothing where one has none.
    """
    first, second = tag.identity(one), tag.identity(other)
    if tag.DATA_VERSION in first.keys() ^ second.keys():
        first.pop(tag.DATA_VERSION, None)
        second.pop(tag.DATA_VERSION, None)
    return first == second
