"""The runs that this process started or resumed, and what was recorded of each."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from mlflow_dvc import tags as tag
from mlflow_dvc.capture.moment import Moment

_RUNS_AT_MOST = 1000


@dataclass
class Record:
    """One run's record. ``tags`` are those of ours that the run carries.

    ``new`` until the run becomes active for the first time; ``models`` are the ids of models that
    were logged in the run; ``started`` is in seconds since 1970.
    """

    run_id: str
    tracking_uri: str
    moment: Moment
    tags: dict[str, str]
    new: bool = True
    models: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.time)


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

    def after_fork(self) -> None:
        self._lock = threading.Lock()


def same_record(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether two runs' tags tell of the same code and the same data."""
    return tag.identity(one) == tag.identity(other)
