"""Verify as many runs as there are: what they have in common is asked once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING

from mlflow_dvc import tracking
from mlflow_dvc.errors import TrackingUnavailableError, UnreadableRecordError
from mlflow_dvc.git.run import GitAnswers, keep_answers
from mlflow_dvc.progress import Work
from mlflow_dvc.recall.locate import CommitCopies, ProjectLocation, locate_project
from mlflow_dvc.recall.lock_memory import LockMemory
from mlflow_dvc.recall.stored_record import StoredRecord, load_record_of
from mlflow_dvc.recall.verify.project_stores import ProjectStores
from mlflow_dvc.recall.verify.result import VerifyResult
from mlflow_dvc.recall.verify.results_file import ResultsFile
from mlflow_dvc.recall.verify.run_checks import check_run, unverified
from mlflow_dvc.recall.withheld import fill_withheld

if TYPE_CHECKING:
    from mlflow.entities import Run

# The first answers come soon; later ones wait for the stores, which like to be asked for many.
_TOGETHER = (20, 200)
_MAX_AHEAD, _PAGE = 10_000, 1000
_Loaded = tuple[StoredRecord, ProjectLocation] | VerifyResult


class Verification:
    """Iterate over it for the result of each run, in their order; it works as it is asked.

    ``runs`` may have results among them, which stay, as do those that ``file`` has; it takes the
    others. ``total`` is how many there are: None until the last is found.
    """

    def __init__(
        self,
        runs: Iterable[Run | VerifyResult],
        file: ResultsFile | None = None,
        project: str | None = None,
        tracking_uri: str | None = None,
    ) -> None:
        self.total: int | None = None
        self._runs = iter(runs)
        self._file = file
        self._known: Mapping[str, VerifyResult] = file.known if file else {}
        self._project = project
        self._tracking_uri = tracking_uri
        self._stores = ProjectStores()
        self._memory = LockMemory()
        self._answers = GitAnswers()

    def __iter__(self) -> Iterator[VerifyResult]:
        kept = "the same command goes on" if self._file else ""
        with Work("checking runs", "runs", kept=kept) as work:
            found = self._results(work)
            for one in self._file.keep(found) if self._file else found:
                work.advance()
                yield one

    def _results(self, work: Work) -> Iterator[VerifyResult]:
        with ExitStack() as stack:
            copies = CommitCopies(stack)
            for some in self._chunks():
                work.expect(self.total)
                with keep_answers(self._answers), tracking.one_client(self._tracking_uri):
                    loaded = self._load_all(some, copies)
                for one in loaded:
                    yield self._judge(one, copies)

    def _chunks(self) -> Iterator[list[Run | VerifyResult]]:
        """A few runs each, while the server is asked for more ahead: how many, is soon known."""
        ahead: deque[Run | VerifyResult] = deque()
        found = 0
        for size in chain(_TOGETHER, repeat(_TOGETHER[-1])):
            if self.total is None and len(ahead) < _MAX_AHEAD:
                more = list(islice(self._runs, _PAGE))
                ahead.extend(more)
                found += len(more)
                if len(more) < _PAGE:
                    self.total = found
            if not ahead:
                return
            yield [ahead.popleft() for _ in range(min(size, len(ahead)))]

    def _load_all(self, runs: Sequence[Run | VerifyResult], copies: CommitCopies) -> list[_Loaded]:
        """What the server has of these runs; the stores are asked for all of their data."""
        found = []
        with Work("reading records", "runs", len(runs)) as work:
            for run in runs:
                found.append(self._load(run, copies))
                work.advance()
        self._stores.ask([one for one in found if not isinstance(one, VerifyResult)])
        return found

    def _load(self, run: Run | VerifyResult, copies: CommitCopies) -> _Loaded:
        if isinstance(run, VerifyResult):
            return run
        run_id, name = run.info.run_id, run.info.run_name or ""
        if run_id in self._known:
            return self._known[run_id]
        try:
            record = load_record_of(run, self._tracking_uri)
        except (UnreadableRecordError, TrackingUnavailableError) as error:
            # One line for this run: the server has answered, and the others can be judged.
            reason = f"what is attached cannot be had: {error.reason}"
            return VerifyResult.of(run_id, name, unverified(run_id, reason))
        location = locate_project(record, self._project)
        if not (location.repository or location.dvc_root):
            location = copies.clone(record, location)
        return fill_withheld(record, location.repository), location

    def _judge(self, loaded: _Loaded, copies: CommitCopies) -> VerifyResult:
        if isinstance(loaded, VerifyResult):
            return loaded
        run, location = loaded
        stores = self._stores.answer(location)
        with keep_answers(self._answers):
            checks = tuple(check_run(run, location, stores, self._memory, copies))
        return VerifyResult.of(run.run_id, run.name, *checks)
