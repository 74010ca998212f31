"""Which versions of which directories hold a single file, and which runs saw those."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_dvc import tags as tag
from mlflow_dvc import tracking
from mlflow_dvc.dvc_backend.storage.directory_search import DirectoryMatches, search_directories
from mlflow_dvc.enumeration import first_of
from mlflow_dvc.paths import parents
from mlflow_dvc.project import find_project
from mlflow_dvc.recall.query import Query, Seen, matching_data
from mlflow_dvc.snapshot import DataEntry

if TYPE_CHECKING:
    from mlflow.entities import Run

_MAX_NAMED = 5


@dataclass(frozen=True)
class DirectoryHit:
    """A folder, as runs saw it, with the files asked for: their hashes, and paths within it."""

    folder: DataEntry
    files: tuple[tuple[str, str], ...]
    seen: tuple[Seen, ...]


@dataclass(frozen=True)
class DirectorySearch:
    """What was found inside folders; ``warnings`` names those that could not be looked into."""

    hits: tuple[DirectoryHit, ...] = ()
    warnings: tuple[str, ...] = ()


def find_directories_containing(
    project: str | None,
    tracking_uri: str | None,
    *,
    md5: str | None = None,
    paths: Sequence[str] = (),
) -> DirectorySearch:
    """The folders that recorded runs saw, with a file of the content ``md5``, or else at ``paths``.

    ``project`` is where to look for the DVC project whose cache and remotes list the folders.
    """
    runs = _runs_with_folders(tracking_uri)
    if md5 is None:
        wanted = dict(_at_paths(runs.values(), paths))
    else:
        wanted = {one: "" for run in runs.values() for one in _folders_of(run)}
    if not wanted:
        return DirectorySearch()
    inside = _ask(project, wanted, md5)
    hits = [
        holder
        for value, files in inside.found.items()
        for holder in _holders(value, files, runs.values(), tracking_uri)
    ]
    return DirectorySearch(tuple(hits), tuple(_unknown(inside)))


def _runs_with_folders(tracking_uri: str | None) -> dict[str, Run]:
    found: dict[str, Run] = {}
    for number in range(1, tag.MAX_HASH_TAGS + 1):
        query = f"tags.`{tag.hashes_key(number)}` LIKE '%.dir%'"
        found |= {run.info.run_id: run for run in tracking.find_runs(query, tracking_uri)}
    return found


def _folders_of(run: Run) -> set[str]:
    return {value for value in tag.hashes_in(run.data.tags) if value.endswith(".dir")}


def _at_paths(runs: Iterable[Run], paths: Iterable[str]) -> Iterable[tuple[str, str]]:
    """By the hash of each folder above one of the paths: where in it the file would be."""
    above = {folder: path for path in paths for folder in parents(path)}
    for run in runs:
        told = tag.from_tags(run.data.tags)
        for entry in (*told.data, *told.deps):
            if entry.path in above and entry.hash and entry.hash.endswith(".dir"):
                yield entry.hash, posixpath.relpath(above[entry.path], entry.path)


def _ask(project: str | None, wanted: Mapping[str, str], md5: str | None) -> DirectoryMatches:
    root = find_project(project).dvc_root
    if root is None:
        why = "there is no DVC project here whose cache or remotes could be asked"
        return DirectoryMatches({}, dict.fromkeys(wanted, why))
    paths = {} if md5 else wanted
    try:
        return search_directories(root, sorted(wanted), md5=md5, paths=paths)
    except (OSError, ValueError) as error:
        return DirectoryMatches({}, dict.fromkeys(wanted, str(error)))


def _holders(
    value: str,
    files: Iterable[tuple[str, str]],
    runs: Iterable[Run],
    tracking_uri: str | None,
) -> Iterable[DirectoryHit]:
    """The folder of one hash, at each path where runs saw it."""
    at: dict[str, tuple[DataEntry, list[Seen]]] = {}
    for run in runs:
        if value in tag.hashes_in(run.data.tags):
            for entry in matching_data(run, Query(hash=value), tracking_uri):
                at.setdefault(entry.path, (entry, []))[1].append((run, (entry,)))
    for entry, seen in at.values():
        yield DirectoryHit(entry, tuple(files), tuple(seen))


def _unknown(inside: DirectoryMatches) -> Iterable[str]:
    by_reason: dict[str, list[str]] = {}
    for value, reason in sorted(inside.unknown.items()):
        by_reason.setdefault(reason, []).append(value)
    for reason, values in by_reason.items():
        named = first_of(values, _MAX_NAMED)
        yield f"could not be looked into, and may have it: {named} ({reason})"
