"""Write the record of a run as its commit tells it, beside what the run has, and never over it.

Files come first, ``snapshot.json`` the first of them, and of the tags the seal comes last. So
whatever an interruption leaves is marked, is known for what it is, and can be completed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.capture.committed_project import (
    CommittedProject,
    NotReconstructibleError,
    RunOrigin,
)
from mlflow_dvc.capture.run_capture import RunCapture
from mlflow_dvc.errors import (
    AmbiguousRunError,
    MlflowDvcError,
    RunNotFoundError,
    TrackingUnavailableError,
    UnreadableRecordError,
)
from mlflow_dvc.git.head import common_dir, find_git_dir, remote_url
from mlflow_dvc.guard import first_line
from mlflow_dvc.recall.backfill.candidate import judge_tags, origin_of, result_of
from mlflow_dvc.recall.backfill.result import BackfillResult
from mlflow_dvc.recall.tracked_store import outputs_at
from mlflow_dvc.report.pages import record_pages
from mlflow_dvc.snapshot import read_snapshot

if TYPE_CHECKING:
    from mlflow.entities import Run

    from mlflow_dvc.dvcfiles.reading import ProjectReading

T = TypeVar("T")
_SNAPSHOT = "snapshot.json"
_OURS = "dvc."


class _LeftAloneError(Exception):
    """Why a run gets no record, in words."""


class Reconstruction:
    """Fills in runs one after the other; ``recorded`` are those with a record already.

    ``tracked`` is what DVC tracks in the project here, in which the runs themselves may lie.
    """

    def __init__(
        self,
        git_root: str,
        recorded: Iterable[Run],
        tracked: ProjectReading | None,
        tracking_uri: str | None,
        *,
        dry_run: bool,
    ) -> None:
        self._git_dir = common_dir(find_git_dir(git_root))
        self._identities = {run.info.run_id: tag.identity(run.data.tags) for run in recorded}
        self._tracked = tracked
        self._uri = tracking_uri
        self._dry_run = dry_run
        self._files: dict[tuple[RunOrigin, str], dict[str, bytes]] = {}

    def fill(self, run: Run, commit: CommittedProject) -> BackfillResult:
        """Raises TrackingUnavailableError where the server does not answer at all."""
        try:
            return self._fill(run, commit)
        except (NotReconstructibleError, _LeftAloneError) as error:
            return result_of(run, "left", str(error))
        except (RunNotFoundError, AmbiguousRunError, UnreadableRecordError) as error:
            return result_of(run, "left", error.problem)
        except TrackingUnavailableError as error:
            tracking.get_run(run.info.run_id, self._uri)  # else it is the server, and not this run
            return result_of(run, "left", error.problem)

    def _fill(self, run: Run, commit: CommittedProject) -> BackfillResult:
        if not self._dry_run:  # somebody may have gone on with it since
            run = tracking.get_run(run.info.run_id, self._uri)
            if (judged := judge_tags(run)) is not None:
                return judged
        origin = origin_of(run, remote_url(self._git_dir, run.data.tags.get(tag.MLFLOW_GIT_BRANCH)))
        capture = commit.capture(origin)
        tags = _tags_to_add(run, capture.tags)
        files = self._files_to_add(run, origin, capture, {**run.data.tags, **tags})
        if files is None:
            return result_of(run, "recorded")
        if out := self._store_output(run):
            raise _LeftAloneError(out)
        if not self._dry_run:
            first = {path: files[path] for path in files if path == _SNAPSHOT}
            others = {path: files[path] for path in files if path not in first}
            _ask_store(lambda: tracking.add_record(run, (first, others), tags, self._uri))
            self._identities[run.info.run_id] = tag.identity({**run.data.tags, **tags})
        data = capture.data
        return replace(
            result_of(run, "reconstructed"),
            stage=data.script_stage,
            data=sum(entry.is_fact for entry in data.data),
            changed=not self._dry_run,
        )

    def _files_to_add(
        self, run: Run, origin: RunOrigin, capture: RunCapture, tags: Mapping[str, str]
    ) -> dict[str, bytes] | None:
        """What is not attached yet; nothing to a child whose parent has the same record, and None
        where the run has a record of code alone.
        """
        there = _ask_store(lambda: tracking.list_attached(run, self._uri))
        if not there and self._is_as_parent(run, tags):
            return {}
        files = self._artifacts(origin, capture, run.info.experiment_id)
        if not there:
            return files
        named = [path.removeprefix(f"{tracking.FOLDER}/") for path in there]
        known = {path: tracking.read_attached(run, path, self._uri) for path in named}
        lacking = {path: files[path] for path in files if known.get(path) != files[path]}
        content = known.get(_SNAPSHOT)
        if content is None:
            raise _LeftAloneError(f"files lie in its folder {tracking.FOLDER}/: {there[0]}")
        if files[_SNAPSHOT].startswith(content):  # which was not written to its end, maybe
            for path in sorted(lacking.keys() & known.keys()):
                begun = known[path]
                if begun is None or not files[path].startswith(begun):
                    raise _LeftAloneError(f"its {tracking.FOLDER}/{path} is another")
            return lacking
        try:
            snapshot = read_snapshot(content)
        except ValueError as error:
            reason = f"its {tracking.FOLDER}/{_SNAPSHOT} cannot be read: {error}"
            raise _LeftAloneError(reason) from error
        # An interrupted call of another version of this package has written other files.
        return lacking if snapshot.reconstructed == origin.sha else None

    def _artifacts(
        self, origin: RunOrigin, capture: RunCapture, experiment: str
    ) -> dict[str, bytes]:
        """All that is attached; of the runs of one commit mostly the same."""
        key = (origin, experiment)
        if key not in self._files:
            if any(known.sha != origin.sha for known, _ in self._files):
                self._files.clear()
            pages = record_pages(capture.snapshot, capture.shown_files, experiment)
            self._files[key] = {**tracking.pack_record(capture.all_files), **pages}
        return self._files[key]

    def _is_as_parent(self, run: Run, tags: Mapping[str, str]) -> bool:
        parent = self._identities.get(run.data.tags.get(tag.MLFLOW_PARENT, ""))
        return parent is not None and parent == tag.identity(tags)

    def _store_output(self, run: Run) -> str:
        """Why nothing may be written to the run; empty if it may."""
        if self._tracked is None:
            return ""
        places = tracking.written_places(run, self._uri)
        out = next(outputs_at(self._tracked, places), None)
        if out is None:
            return ""
        return f"it is kept in {out.path}, an output of {out.stage}: to write there would change it"


def _ask_store(ask: Callable[[], T]) -> T:
    """What is asked of the artifacts of a run: stores of clouds raise errors of their own."""
    try:
        return ask()
    except MlflowDvcError:
        raise
    except Exception as error:
        raise _LeftAloneError(f"its artifacts cannot be had: {first_line(error)}") from error


def _tags_to_add(run: Run, wanted: Mapping[str, str]) -> dict[str, str]:
    """In the order in which they are to be written: first the mark, the seal last.

    A tag of the code that the run has keeps its value, whose ever it is.
    """
    for key, value in tag.own_tags(run.data.tags).items():
        if key.startswith(_OURS) and wanted.get(key) != value:
            raise _LeftAloneError(f"it has a tag {key} of another record, or of your own")
    apart = (tag.RECONSTRUCTED, tag.SEAL)
    between = [key for key in wanted if key not in apart]
    ordered = {key: wanted[key] for key in (tag.RECONSTRUCTED, *between, tag.SEAL)}
    return {key: ordered[key] for key in ordered if key not in run.data.tags}
