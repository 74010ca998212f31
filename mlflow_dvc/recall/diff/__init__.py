"""What differs between two runs: code, parameters, metrics, data."""

from __future__ import annotations

import math
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.dvcfiles.dvc_file import shown_files
from mlflow_dvc.errors import NoProjectError
from mlflow_dvc.git.uncommitted import PATCH
from mlflow_dvc.limits import MAX_COMPARED_FILES
from mlflow_dvc.project import Project, find_project
from mlflow_dvc.recall.diff import code, data
from mlflow_dvc.recall.diff.code import CodeDiff, RunCode
from mlflow_dvc.recall.diff.data import DataDiff, RunData
from mlflow_dvc.recall.diff.params import compare_params, is_params_file
from mlflow_dvc.recall.stored_record import (
    is_code,
    is_of_project,
    part_folders,
    run_holding_record,
)
from mlflow_dvc.snapshot import Snapshot
from mlflow_dvc.tracking.runs import iso_time

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class ComparedRun:
    """One of the two runs. ``recorded``: it carries a record of ours.

    ``started`` and ``status`` are as in :class:`~mlflow_dvc.RunRecord`.
    """

    run_id: str
    run_name: str
    experiment: str
    started: str
    status: str
    recorded: bool


@dataclass(frozen=True)
class ChangedValue:
    """A parameter, or a word of the record. None where a run does not have it."""

    key: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class MetricChange:
    """The last value of a metric. ``delta`` is ``new - old``, where both are numbers."""

    key: str
    old: float | None
    new: float | None
    delta: float | None


@dataclass(frozen=True)
class Diff:
    """Of parameters and metrics only those that differ; values of parameter files by ``FILE:KEY``.

    ``record`` is what else the records say differently: stage, experiment, data version, whether
    there was uncommitted code. ``notes`` say in words what is not certain.
    ``certain``: both records tell of all that their runs saw.
    """

    old: ComparedRun
    new: ComparedRun
    code: CodeDiff
    params: tuple[ChangedValue, ...]
    metrics: tuple[MetricChange, ...]
    data: DataDiff
    record: tuple[ChangedValue, ...] = ()
    notes: tuple[str, ...] = ()
    certain: bool = True

    @property
    def equal(self) -> bool | None:
        """Whether code, parameters, metrics and data are the same; None where it is not known.

        Equal code at another commit is equal, and ``record`` does not count.
        """
        if self.params or self.metrics or self.code.differs or self.data.differs:
            return False
        is_known = self.certain and self.code.differs is False and self.data.differs is False
        return True if is_known else None


def diff(
    old: str, new: str, *, project: str | None = None, tracking_uri: str | None = None
) -> Diff:
    """What differs in the run ``new`` from the run ``old``.

    Each is named as for :func:`~mlflow_dvc.show`. ``project`` is a directory, by default the
    working one: the project around it is asked for the code of the commits and for the listings of
    folders. Nothing is written into it, and no data is read.

    Raises the errors of :func:`~mlflow_dvc.show`, and :class:`~mlflow_dvc.NoProjectError` where
    ``project`` is no directory.

    >>> found = mlflow_dvc.diff("907167c9", "models:/churn/3")
    >>> found.equal, [change.path for change in found.data.changes]
    (False, ['data/raw/train.csv', 'models/model.pkl'])
    """
    if project is not None and not os.path.isdir(project):
        raise NoProjectError(project)
    sides = [
        _LoadedRun("old", tracking.find_run(old, tracking_uri), tracking_uri),
        _LoadedRun("new", tracking.find_run(new, tracking_uri), tracking_uri),
    ]
    was, now = sides
    here = find_project(project)
    ids = {side.run.info.experiment_id for side in sides}
    names = tracking.experiment_names(ids, tracking_uri)
    return Diff(
        old=was.side(names),
        new=now.side(names),
        code=code.compare_code(was.code(), now.code(), here.git_root),
        params=tuple(_compare_params(was, now)),
        metrics=tuple(_compare_metrics(was.run.data.metrics, now.run.data.metrics)),
        data=data.compare_data(was.data(), now.data(), _dvc_root(here, now.snapshot)),
        record=tuple(_compare_values(was.words(), now.words())),
        notes=tuple(note for side in sides for note in side.notes()),
        certain=all(side.is_certain for side in sides),
    )


class _LoadedRun:
    """One run, with the record that is attached to it, or to a parent with the same."""

    def __init__(self, name: str, run: Run, tracking_uri: str | None) -> None:
        self.run = run
        self._name = name
        self._uri = tracking_uri
        self._carrier = run_holding_record(run, tracking_uri)
        self._files = tracking.list_files(self._carrier, tracking_uri)
        self.snapshot = tracking.load_snapshot(self._carrier, tracking_uri)

    def side(self, experiments: Mapping[str, str]) -> ComparedRun:
        info = self.run.info
        return ComparedRun(
            info.run_id,
            info.run_name or "",
            experiments[info.experiment_id],
            iso_time(info.start_time),
            str(info.status),
            bool(self.snapshot),
        )

    def code(self) -> RunCode:
        patch = None
        if PATCH in self._files:
            patch = tracking.read_attached(self._carrier, PATCH, self._uri)
        code_files = (path for path in self._files if is_code(path, self.snapshot))
        others = tuple(f"dvc/{path}" for path in code_files if path != PATCH)
        outs = (*(one.path for one in self.snapshot.data), *self._params_paths)
        apart = self._from_git_root(outs), self._from_git_root(self._shown())
        return RunCode(self.snapshot.git, patch, others, *apart)

    def _from_git_root(self, paths: Iterable[str]) -> frozenset[str]:
        root = self.snapshot.root or "."
        return frozenset(posixpath.normpath(posixpath.join(root, path)) for path in paths)

    def _shown(self) -> Iterator[str]:
        """What the pipelines that are attached show: no code."""
        named = (path for path in self._files if posixpath.basename(path) == PIPELINE_FILE)
        pipelines = [path for path in named if is_of_project(path, self.snapshot)]
        for path in pipelines[:MAX_COMPARED_FILES]:
            content = tracking.read_attached(self._carrier, path, self._uri)
            yield from shown_files(path, content or b"")

    def params_files(self) -> dict[str, bytes]:
        """The parameter files that are attached, by their path from the DVC root."""
        found = {
            path: tracking.read_attached(self._carrier, path, self._uri)
            for path in self._params_paths[:MAX_COMPARED_FILES]
        }
        return {path: content for path, content in found.items() if content is not None}

    @property
    def _params_paths(self) -> list[str]:
        return [path for path in self._files if is_params_file(path, self.snapshot)]

    def data(self) -> RunData:
        complete = not (self._is_by_tags or self.snapshot.reconstructed)
        return RunData(self._name, self.snapshot, complete=complete)

    def words(self) -> dict[str, str]:
        """What else the record says, by the name of the tag."""
        told = tag.to_tags(self.snapshot)
        names = (
            tag.STAGE, tag.SCRIPT_STAGE, tag.EXPERIMENT, tag.DATA_VERSION, tag.COMMITTED_VERSION,
            tag.GIT_DIRTY,
        )  # fmt: skip
        return {name: told[name] for name in names if name in told}

    def notes(self) -> Iterator[str]:
        if self._is_by_tags:
            yield f"{self._name}: {self.snapshot.warnings[-1]}"
        if (status := self.snapshot.data_status) not in (None, "clean"):
            yield f"{self._name}: {_STATUS.get(str(status), 'the data is ' + str(status))}"
        yield from (f"{self._name}: {warning}" for warning in self._other_warnings)
        if (more := len(self._params_paths) - MAX_COMPARED_FILES) > 0:
            yield f"{self._name}: {more} parameter files were not looked at"
        if self._is_resumed:
            yield f"{self._name}: resumed on other code or data; its first record is compared"

    @property
    def is_certain(self) -> bool:
        """Whether the record tells all that the run saw."""
        was_looked_at = self.snapshot.data_status in (None, "clean", "modified")
        return was_looked_at and not (self.snapshot.warnings or self._is_resumed)

    @property
    def _other_warnings(self) -> tuple[str, ...]:
        """What could not be read of the project; of the code it is said there."""
        found = self.snapshot.warnings[:-1] if self._is_by_tags else self.snapshot.warnings
        return tuple(warning for warning in found if not warning.startswith("uncommitted code: "))

    @property
    def _is_resumed(self) -> bool:
        return bool(part_folders(self._files, self.snapshot))

    @property
    def _is_by_tags(self) -> bool:
        return any(tracking.SNAPSHOT in warning for warning in self.snapshot.warnings[-1:])


_STATUS = {
    "unverified": "nobody looked whether its data lay on disk as DVC's files say",
    "modified": "some of its data was modified; the hashes are those of what lay there",
    "missing": "some of its data was missing; the hashes are those of what should be there",
}


def _dvc_root(project: Project, snapshot: Snapshot) -> str | None:
    """The DVC project here; where there is none above, the one that the record names."""
    if project.dvc_root or project.git_root is None or snapshot.root is None:
        return project.dvc_root
    inside = os.path.realpath(os.path.join(project.git_root, snapshot.root))
    home = os.path.join(os.path.realpath(project.git_root), "")
    is_project = inside.startswith(home) and os.path.isdir(os.path.join(inside, ".dvc"))
    return inside if is_project else None


def _compare_params(was: _LoadedRun, now: _LoadedRun) -> Iterator[ChangedValue]:
    """Those that MLflow has, then those of parameter files which are not among them."""
    logged = list(_compare_values(was.run.data.params, now.run.data.params))
    yield from logged
    if not (was.snapshot and now.snapshot):
        return
    known = {(one.key, one.old, one.new) for one in logged}
    yield from _compare_withheld(was.snapshot, now.snapshot)
    apart = {*(was.snapshot.withheld or ()), *(now.snapshot.withheld or ())}
    files = (side.params_files().items() for side in (was, now))
    old_files, new_files = ({p: text for p, text in one if p not in apart} for one in files)
    for key, old, new in compare_params(old_files, new_files):
        inside = key.partition(":")[2]
        if not {(name, old, new) for name in (inside, inside.rpartition(".")[2])} & known:
            yield ChangedValue(key, old, new)


def _compare_withheld(was: Snapshot, now: Snapshot) -> Iterator[ChangedValue]:
    """Parameter files that are not attached to one of the runs, told apart by their md5."""
    for path in sorted({*(was.withheld or ()), *(now.withheld or ())}):
        old, new = ((side.attached or {}).get(path) for side in (was, now))
        if old != new and is_params_file(path, now):
            yield ChangedValue(path, *(f"md5 {md5}" if md5 else None for md5 in (old, new)))


def _compare_values(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[ChangedValue]:
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield ChangedValue(key, old.get(key), new.get(key))


def _compare_metrics(old: Mapping[str, float], new: Mapping[str, float]) -> Iterator[MetricChange]:
    for key in sorted({*old, *new}):
        was, now = old.get(key), new.get(key)
        if was is None or now is None:
            yield MetricChange(key, was, now, None)
        elif was != now and not (math.isnan(was) and math.isnan(now)):
            finite = math.isfinite(was) and math.isfinite(now)
            yield MetricChange(key, was, now, now - was if finite else None)
