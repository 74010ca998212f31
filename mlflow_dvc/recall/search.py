"""Find the runs that saw some data."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.guard import warn_once
from mlflow_dvc.recall.files_read import relations_to_file
from mlflow_dvc.recall.lineage.directories import DirectoryHit, find_directories_containing
from mlflow_dvc.recall.query import (
    Query,
    Scope,
    candidate_runs,
    is_in_scope,
    matching_data,
    parse_query,
)
from mlflow_dvc.recall.relation import Relation, is_by_tags, related_data
from mlflow_dvc.recall.run_batches import ask_each
from mlflow_dvc.recall.stored_record import load_snapshots
from mlflow_dvc.snapshot import DataEntry, Snapshot
from mlflow_dvc.tracking.runs import iso_time

if TYPE_CHECKING:
    from mlflow.entities import Run

_BATCH_RUNS = 16
_MD5_DIGITS = 32
_USES = ("read", "made")
_Seen = tuple["Run", tuple["SeenData", ...]]


@dataclass(frozen=True)
class SeenData(DataEntry):
    """Data of a run's record, and how the run stands to it.

    ``relation`` is ``read``: the run was seen to read it, or its stage declares it, a part of it or
    a folder around it, as a dependency; ``made``: the stage made it; ``lay there``: DVC tracked it
    in the project, and nothing of that is known; ``missing``: DVC's files named it, and it did not
    lie on disk; ``committed``: the run's commit has it, and the run was not recorded
    (:func:`~mlflow_dvc.backfill`). None where the record does not tell. Of a file in a folder it is
    ``read`` where the run was seen to open it, and None where not all that it opened was seen.
    """

    relation: Relation | None = None


@dataclass(frozen=True)
class Match:
    """One run that saw the data. ``data`` holds the entries that were asked for.

    ``started`` is ISO 8601 in UTC, empty where MLflow does not know it; ``status`` is MLflow's
    word, as in :class:`~mlflow_dvc.RunRecord`. ``stage`` is DVC's address of the run's stage.
    ``data_version`` is equal for runs that read the same data. An entry stands in ``data`` twice
    where the run both made and read it. ``reconstructed`` is the commit that a record was read from
    after its run, which may have seen other data; None for a record that the run made itself.
    """

    run_id: str
    run_name: str
    experiment: str
    started: str
    status: str
    git_sha: str | None
    git_branch: str | None
    stage: str | None
    data_version: str | None
    data: tuple[SeenData, ...]
    reconstructed: str | None = None


def search(  # noqa: PLR0913 - the command has these options
    what: str,
    *,
    read: bool = False,
    made: bool = False,
    experiment: str | None = None,
    stage: str | None = None,
    limit: int | None = None,
    tracking_uri: str | None = None,
) -> list[Match]:
    """The runs of every experiment that saw ``what``, newest first; none is an empty list.

    ``what`` is a hash or the beginning of one (4 hex digits at least), the path of a tracked
    output, of a file in one, a dataset of dvc.yaml (``ds://NAME``), the address of a dependency,
    ``path@hash``, or a file on disk that DVC does not track, which is looked for by its content. A
    path is seen from the working directory, or from the root of its DVC project.

    With ``read`` only runs that read the data, with ``made`` only those whose stage made it, with
    both those of either kind; see :class:`~mlflow_dvc.SeenData`. Of a file in a folder the runs of
    which nothing tells whether they read it are among them, with the relation None.
    ``experiment`` is a name, or an id; ``stage`` is DVC's address of a stage that the run was
    of. ``limit`` is the number of runs at most, the newest ones. ``tracking_uri`` is the MLflow
    server, by default the one that MLflow itself would use.

    Raises :class:`~mlflow_dvc.ExperimentNotFoundError` or
    :class:`~mlflow_dvc.TrackingUnavailableError`, :class:`~mlflow_dvc.MlflowDvcError` where
    ``what`` is empty, and ValueError for a ``limit`` below 1.

    >>> [match.run_name for match in mlflow_dvc.search("data/raw/train.csv@5afc23b9")]
    ['chill-tern-184']
    >>> [match.stage for match in mlflow_dvc.search("data/raw/train.csv", read=True, limit=1)]
    ['train']
    """
    if not what.strip():
        raise MlflowDvcError("there is nothing to search for", "Name a path, a hash or both: a@b")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}: it must be 1 at least")
    only = {word for word, asked in (("read", read), ("made", made)) if asked}
    id_ = tracking.get_experiment_id(experiment, tracking_uri) if experiment is not None else None
    scope = Scope(tracking_uri, id_, stage)
    with tracking.one_client(tracking_uri):
        found = _find(what, scope, only, limit)
    names = tracking.experiment_names({run.info.experiment_id for run, _ in found}, tracking_uri)
    return [_match(run, names, entries) for run, entries in found]


def _find(what: str, scope: Scope, only: set[str], limit: int | None) -> list[_Seen]:
    """By the first meaning of ``what`` that a run of the scope saw, whatever it did with it."""
    for query in parse_query(what):
        is_meant = False
        found: list[_Seen] = []
        with closing(_seen(query, scope)) as runs:
            for run, entries in runs:
                is_meant = True
                if kept := tuple(one for one in entries if not only or one.relation in only):
                    found.append((run, kept))
                if len(found) == limit:
                    break
        if is_meant:
            return found
    return _find_in_folders(what, scope, only, limit)


def _find_in_folders(what: str, scope: Scope, only: set[str], limit: int | None) -> list[_Seen]:
    """The runs that saw a folder with the file; those of which nothing tells whether they read it
    are among them, whatever is asked for.
    """
    found: dict[str, _Seen] = {}
    for query in parse_query(what):
        is_whole = query.hash is not None and len(query.hash) == _MD5_DIGITS
        if query.paths and query.hash is None:
            inside = find_directories_containing(None, scope.tracking_uri, paths=query.paths)
        elif is_whole and not query.paths:
            inside = find_directories_containing(None, scope.tracking_uri, md5=query.hash)
        else:
            continue
        for warning in inside.warnings:
            warn_once(warning)
        for hit in inside.hits:
            for run, _ in hit.seen:
                if is_in_scope(run, scope):
                    entries = tuple(_in_folder(run, hit, only, scope.tracking_uri))
                    before = found.get(run.info.run_id, (run, ()))[1]
                    found[run.info.run_id] = run, tuple(dict.fromkeys((*before, *entries)))
        if found:
            break
    by_id = {id_: seen for id_, seen in found.items() if seen[1]}
    runs = tracking.newest_first([run for run, _ in by_id.values()])
    return [by_id[run.info.run_id] for run in runs][:limit]


def _in_folder(
    run: Run, hit: DirectoryHit, only: set[str], tracking_uri: str | None
) -> Iterator[SeenData]:
    folder, value = hit.folder.path, hit.folder.hash or ""
    for md5, inside in hit.files:
        for relation in relations_to_file(run, folder, value, inside, tracking_uri):
            if not only or relation is None or relation in only:
                entry = DataEntry(f"{folder}/{inside}", hit.folder.algorithm, md5)
                yield _as_seen(entry, relation)


def _seen(query: Query, scope: Scope) -> Generator[_Seen, None, None]:
    """Each run that saw it, newest first. Tags do not tell the relation: records are read for it,
    some at a time, so that no more are read than are wanted.
    """

    def find(run: Run) -> tuple[SeenData, ...]:
        return _seen_data(run, query, scope.tracking_uri)

    with closing(ask_each(candidate_runs(query, scope), find, _BATCH_RUNS)) as answers:
        yield from ((run, entries) for run, entries in answers if entries)


def _seen_data(run: Run, query: Query, tracking_uri: str | None) -> tuple[SeenData, ...]:
    """What of the run's data answers the query: by its records, else by its tags."""
    snapshots = load_snapshots(run, tracking_uri)
    for fault in filter(None, map(tracking.find_fault, snapshots)):
        warn_once(f"run {run.info.run_id}: {fault}; found by its tags alone")
    found = [one for snapshot in snapshots for one in _related(snapshot, run) if query.matches(one)]
    if not found:
        told = {(one.path, one.hash): one for one in _related(tag.from_tags(run.data.tags), run)}
        by_tags = matching_data(run, query, tracking_uri)
        found = [told.get((one.path, one.hash)) or _as_seen(one, None) for one in by_tags]
    used = {(one.path, one.hash) for one in found if one.relation in _USES}
    kept: dict[tuple[str, str | None, str | None], SeenData] = {}
    for one in found:
        if one.relation in _USES or (one.path, one.hash) not in used:
            kept.setdefault((one.path, one.hash, one.relation), one)
    return tuple(kept.values())


def _related(snapshot: Snapshot, run: Run) -> Iterator[SeenData]:
    for entry, relation in related_data(snapshot):
        # Tags do not tell in which of its stages a run saw what.
        is_open = is_by_tags(snapshot) and tag.STAGES in run.data.tags and relation == "lay there"
        yield _as_seen(entry, None if is_open else relation)


def _as_seen(entry: DataEntry, relation: Relation | None) -> SeenData:
    return SeenData(**vars(entry), relation=relation)


def _match(run: Run, names: dict[str, str], entries: tuple[SeenData, ...]) -> Match:
    tags = run.data.tags
    return Match(
        run_id=run.info.run_id,
        run_name=run.info.run_name or "",
        experiment=names[run.info.experiment_id],
        started=iso_time(run.info.start_time),
        status=str(run.info.status),
        git_sha=tags.get(tag.GIT_SHA),
        git_branch=tags.get(tag.GIT_BRANCH),
        stage=tags.get(tag.STAGE) or tags.get(tag.SCRIPT_STAGE),
        data_version=tags.get(tag.DATA_VERSION),
        data=entries,
        reconstructed=tag.from_tags(tags).reconstructed,
    )
