"""The project that is examined; each fact is found out once for all rules."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from mlflow_dvc import settings, tracking
from mlflow_dvc import tags as tag
from mlflow_dvc.capture.workspace import read_project
from mlflow_dvc.dvc_backend.storage.unpushed import PushStatus, read_push_status
from mlflow_dvc.dvcfiles import yaml12
from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.dvcfiles.dvc_file import DvcFile
from mlflow_dvc.dvcfiles.ignored import IgnoreChecker
from mlflow_dvc.dvcfiles.lock_file import lock_path
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.errors import TrackingUnavailableError
from mlflow_dvc.git.inspection import GitInspection
from mlflow_dvc.project import Project, find_git_root
from mlflow_dvc.recall.doctor.find_files import dvc_files
from mlflow_dvc.secrets.urls import public_url

if TYPE_CHECKING:
    from mlflow.entities import Run

_MAX_RUNS = 5000  # newest first
_FINISHED = f"attributes.status = 'FINISHED' AND tags.`{tag.STAGE}` != ''"


@dataclass(frozen=True)
class FinishedRuns:
    """Runs that ended well; or in words why the server did not tell."""

    runs: tuple[Run, ...] = ()
    fault: str | None = None


@dataclass(frozen=True)
class Pipeline:
    """One dvc.yaml: its stages, each with its text, and the names of those that its lock has."""

    dvc_file: DvcFile
    stages: tuple[tuple[Stage, Mapping[str, Any]], ...]
    locked: tuple[str, ...]

    @property
    def file(self) -> str:
        return self.dvc_file.file

    @property
    def lock(self) -> str:
        return lock_path(self.dvc_file.file)


class DoctorContext:
    """``tracking_uri`` is the server to ask, None where nobody has named one.

    With ``is_local`` neither the server nor a DVC remote is to be asked.
    """

    def __init__(
        self, project: Project, tracking_uri: str | None, *, is_local: bool = False
    ) -> None:
        self.project = project
        self.is_local = is_local
        self.tracking_uri = tracking_uri or settings.tracking_uri()

    @property
    def roots(self) -> list[str]:
        """Of the code and of the data."""
        found = (self.project.git_root, self.project.dvc_root)
        return [root for root in dict.fromkeys(found) if root]

    @cached_property
    def code(self) -> GitInspection | None:
        """The repository of the code, if git answers there."""
        return _answering(self.project.git_root)

    @cached_property
    def data(self) -> GitInspection | None:
        """The one that the DVC project lies in, if git answers there and it has a commit."""
        root = self.project.dvc_root
        found = _answering(find_git_root(root) if root else None)
        return found if found and found.has_commit else None

    @cached_property
    def reading(self) -> ProjectReading:
        root = self.project.dvc_root
        return read_project(root) if root else ProjectReading("", None)

    @cached_property
    def pipelines(self) -> tuple[Pipeline, ...]:
        return tuple(map(_pipeline, filter(_is_pipeline, self.reading.dvc_files)))

    @cached_property
    def stages(self) -> list[tuple[Stage, Mapping[str, Any]]]:
        return [pair for pipeline in self.pipelines for pair in pipeline.stages]

    @cached_property
    def hidden(self) -> IgnoreChecker:
        """What ignore rules hide of the DVC project; there must be one."""
        found = IgnoreChecker(self.reading.root)
        found.refresh()
        return found

    @cached_property
    def dvc_files(self) -> list[str]:
        """Those that DVC does not see among them."""
        outs = {out.path for stage in self.reading.stages for out in stage.outs}
        root = self.project.dvc_root
        return dvc_files(root, self.data, outs) if root else []

    @cached_property
    def pushed(self) -> PushStatus:
        root = self.project.dvc_root
        if root is None:
            return PushStatus()
        try:
            return read_push_status(root)
        except (OSError, ValueError) as error:
            return PushStatus(faults=(str(error),))

    @cached_property
    def finished(self) -> FinishedRuns:
        """Runs of this project's stages, the newest first. A store that is not there has none."""
        uri = self.tracking_uri
        store = tracking.store_path(uri) if uri else None
        if uri is None or (store and not os.path.exists(store)):
            return FinishedRuns()
        try:
            with tracking.short_timeouts():
                runs = list(islice(tracking.find_runs(_FINISHED, uri), _MAX_RUNS))
        except TrackingUnavailableError as error:
            return FinishedRuns(fault=error.problem.replace(uri, public_url(uri)))
        return FinishedRuns(tuple(self._of_this_project(runs)))

    def _of_this_project(self, runs: list[Run]) -> Iterator[Run]:
        """A server may have runs of other projects with a stage of the same name."""
        root, stages = self.project.relative_root, {stage.address for stage, _ in self.stages}
        commits = {run.data.tags.get(tag.GIT_SHA, "") for run in runs}
        known = self.data.commits_among(commits) if self.data else commits
        for run in runs:
            tags = run.data.tags
            is_here = tags.get(tag.ROOT, ".") == root and tags.get(tag.STAGE) in stages
            if is_here and tags.get(tag.GIT_SHA, "") in known | {""}:
                yield run

    def absolute(self, path: str) -> str:
        """Of a path relative to the DVC root."""
        return os.path.join(self.project.dvc_root or "", path)


def _answering(root: str | None) -> GitInspection | None:
    found = GitInspection(root) if root else None
    return found if found and found.refusal is None else None


def _is_pipeline(source: DvcFile) -> bool:
    return os.path.basename(source.file) == PIPELINE_FILE


def _pipeline(source: DvcFile) -> Pipeline:
    texts: dict[str, Any] = dict(_stages_in(source.content))
    texts.update(source.answer.stages if source.answer else {})
    stages = ((stage, texts.get(stage.name or "")) for stage in source.stages)
    pairs = tuple((stage, raw if isinstance(raw, Mapping) else {}) for stage, raw in stages)
    return Pipeline(source, pairs, tuple(name for name, _ in _stages_in(source.lock_content)))


def _stages_in(content: bytes | None) -> Iterator[tuple[str, Any]]:
    with suppress(Exception):  # what cannot be read is a finding of its own
        raw = yaml12.parse_yaml(content or b"")
        yield from ((str(name), stage) for name, stage in raw["stages"].items())
