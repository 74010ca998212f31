"""Which runs saw this data."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.capture.project import find_dvc_root, relative
from mlflow_dvc.snapshot import DataEntry

if TYPE_CHECKING:
    from mlflow.entities import Run

_HEX = re.compile(r"[0-9a-f]{4,32}(?:\.(?:d(?:ir?)?)?)?")
_SAFE = re.compile(r"[\w.\-+=]+")  # what may stand in a hash of any kind, and in MLflow's filter
Seen = tuple["Run", tuple[DataEntry, ...]]


@dataclass(frozen=True)
class Query:
    """What is searched for. ``paths`` are spellings of one path, as tags may have it."""

    paths: tuple[str, ...] = ()
    hash: str | None = None

    def matches(self, entry: DataEntry) -> bool:
        return (
            entry.hash is not None
            and (not self.paths or entry.path in self.paths)
            and (self.hash is None or entry.hash.startswith(self.hash))
        )


@dataclass(frozen=True)
class Match:
    """One run that saw the data. ``data`` holds the entries that were asked for."""

    run_id: str
    run_name: str
    experiment: str
    started: str
    status: str
    git_sha: str | None
    git_branch: str | None
    stage: str | None
    data_version: str | None
    data: tuple[DataEntry, ...]


def search(what: str, *, tracking_uri: str | None = None) -> list[Match]:
    """The runs of every experiment that saw ``what``, newest first.

    ``what`` is a hash or the beginning of one (4 digits at least), the path of a tracked output,
    ``path@hash``, or a file on disk that DVC does not track, which is looked for by its content.
    Raises :class:`~mlflow_dvc.errors.TrackingUnavailableError`.
    """
    found: list[Seen] = []
    for query in understood(what):
        if found := seen_by(query, tracking_uri):
            break
    names = tracking.experiment_names({run.info.experiment_id for run, _ in found}, tracking_uri)
    return [_match(run, names, entries) for run, entries in found]


def seen_by(query: Query, tracking_uri: str | None = None) -> list[Seen]:
    """The runs whose record answers ``query``, newest first, each with the data that does."""
    found: dict[str, Seen] = {}
    for run in _candidates(query, tracking_uri):
        if run.info.run_id not in found and (entries := seen_in(run, query, tracking_uri)):
            found[run.info.run_id] = (run, entries)
    return sorted(found.values(), key=lambda pair: -(pair[0].info.start_time or 0))


def understood(what: str) -> Iterator[Query]:
    """What ``what`` may mean; each meaning counts only where no run has the one before."""
    path, at, digest = what.rpartition("@")
    if at and path and _HEX.fullmatch(digest):
        yield Query(_spellings(path), digest)
    elif _HEX.fullmatch(what):
        yield Query(hash=what)
    yield Query(_spellings(what))
    if os.path.isfile(what):
        yield Query(hash=md5_of(what))
    if _SAFE.fullmatch(what) and not _HEX.fullmatch(what):
        yield Query(hash=what)  # an ETag, say


def _candidates(query: Query, tracking_uri: str | None) -> Iterator[Run]:
    """Every run that can match, by the tags; some that cannot are among them."""
    for filter_string in dict.fromkeys(_filters(query)):
        yield from tracking.find_runs(filter_string, tracking_uri)


def _filters(query: Query) -> Iterator[str]:
    like = f"{query.hash}%" if query.hash else "%"
    for path in query.paths:
        yield from (f"tags.`{key}` LIKE '{like}'" for key in _keys(path))
    if query.hash:
        for number in range(1, tag.HASH_TAGS + 1):
            yield f"tags.`{tag.hashes_key(number)}` LIKE '% {like}'"


def _keys(path: str) -> Iterator[str]:
    """The tags in which a run may say that it saw ``path``."""
    for prefix in (tag.OUT, tag.DEP):
        for suffixed in (False, True):
            yield tag.path_key(prefix, path, suffixed=suffixed)


def seen_in(run: Run, query: Query, tracking_uri: str | None) -> tuple[DataEntry, ...]:
    """What of the run's data answers the query: by its tags, else by what it has attached."""
    tags = run.data.tags
    told = tag.from_tags(tags)
    by_tag = (*told.data, *told.deps)
    spelt = tuple(
        key.removeprefix(tag.OUT).removeprefix(tag.DEP)
        for path in query.paths
        for key in _keys(path)
    )
    shown = Query((*query.paths, *spelt), query.hash)
    matching = {entry.path: entry for entry in reversed(by_tag) if shown.matches(entry)}
    found = tuple(entry for entry in by_tag if matching.get(entry.path) is entry)
    if not _has_more(tags, query, found, by_tag):
        return found
    attached = [tracking.load_snapshot(run, tracking_uri)]
    attached += tracking.load_resumed(run, tracking_uri)
    entries = [entry for snapshot in attached for entry in snapshot.saw if query.matches(entry)]
    if entries or found or query.paths:
        return tuple(dict.fromkeys(entries)) or found
    hashes = sorted(value for value in tag.hashes_in(tags) if value.startswith(query.hash or ""))
    return tuple(DataEntry("", "md5", value) for value in hashes)


def _has_more(
    tags: Mapping[str, str],
    query: Query,
    found: tuple[DataEntry, ...],
    by_tag: tuple[DataEntry, ...],
) -> bool:
    """Whether only the attached files can tell: there are more outputs than tags, or a hash came
    when the run was resumed.
    """
    if tag.OUTS in tags or tag.DEPS in tags:
        return True
    if found or not query.hash:
        return False
    named = {entry.hash for entry in by_tag}
    return any(value.startswith(query.hash) and value not in named for value in tag.hashes_in(tags))


def _match(run: Run, names: dict[str, str], entries: Iterable[DataEntry]) -> Match:
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
        data=tuple(entries),
    )


def iso_time(milliseconds: int | None) -> str:
    """MLflow's time stamp as ISO 8601 in UTC; empty where there is none."""
    if milliseconds is None:
        return ""
    moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _spellings(path: str) -> tuple[str, ...]:
    """``path`` as given, and as seen from the DVC root when it was given from a directory below."""
    given = posixpath.normpath(path.replace(os.sep, "/"))
    spellings = [given]
    if (root := find_dvc_root(os.path.realpath(os.curdir))) and "://" not in path:
        # Only the folder is resolved: the output itself may be a link into DVC's cache.
        folder, name = os.path.split(os.path.abspath(path))
        inside = relative(os.path.join(os.path.realpath(folder), name), root)
        if not inside.startswith("../") and os.path.lexists(path):
            spellings.insert(0, inside)
    return tuple(dict.fromkeys(spellings))


def md5_of(path: str) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
