"""DVC data as the source of a dataset; the entry point ``mlflow.dataset_source`` names it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlflow.data.dataset_source import DatasetSource

from mlflow_dvc import settings
from mlflow_dvc.capture import workspace
from mlflow_dvc.datasets.description import SOURCE_TYPE, describe_source
from mlflow_dvc.dvc_backend import hashing
from mlflow_dvc.dvc_backend.hash_query import HashQuery
from mlflow_dvc.dvc_backend.schema_cache import SchemaCache
from mlflow_dvc.dvc_backend.storage import fetch
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.dvcfiles.remotes import default_remote
from mlflow_dvc.errors import (
    DataNotFoundError,
    NoDvcProjectError,
    UnreadableSourceError,
    UntrackedPathError,
)
from mlflow_dvc.foreign_values import Check, as_line, as_name, checked, optional, read_json
from mlflow_dvc.git import head
from mlflow_dvc.guard import guard
from mlflow_dvc.observe.loaded import LoadedData, note_loaded
from mlflow_dvc.paths import parents
from mlflow_dvc.project import Project, find_project, find_running_project, relative
from mlflow_dvc.secrets.urls import public_url
from mlflow_dvc.snapshot import DataEntry

_SCHEME = "dvc://"
_MAX_FILES = 10_000
_OPTIONAL = optional(as_line)
_FIELDS: dict[str, Check] = {
    "path": as_name, "algorithm": as_line, "hash": as_line, "repo": _OPTIONAL, "rev": _OPTIONAL,
    "remote": _OPTIONAL, "subdir": _OPTIONAL, "endpoint": _OPTIONAL,
}  # fmt: skip
_RARE = ("subdir", "endpoint")  # in the source's JSON only where they say something


class DvcDatasetSource(DatasetSource):  # type: ignore[misc, unused-ignore]
    """One file or folder that DVC tracks, by its hash.

    ``path`` is relative to the DVC root. The rest says where to look: a git repository at a
    revision, the URL of a DVC remote, the folder of the repository that is the DVC root, the
    address of the server that has the remote's bucket.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the keys of the source's JSON
        self,
        path: str,
        algorithm: str,
        hash: str,  # noqa: A002 - as it stands in the source's JSON
        repo: str | None = None,
        rev: str | None = None,
        remote: str | None = None,
        subdir: str | None = None,
        endpoint: str | None = None,
    ) -> None:
        self.path = path
        self.algorithm = algorithm
        self.hash = hash
        self.repo = repo
        self.rev = rev
        self.remote = remote
        self.subdir = subdir
        self.endpoint = endpoint

    @property
    def uri(self) -> str:
        """``dvc://PATH@REV``, as it can be given to MLflow inside the project."""
        return f"{_SCHEME}{self.path}" + (f"@{self.rev}" if self.rev else "")

    def load(self, dst_path: str | None = None) -> str:
        """The path of exactly these bytes: from the work tree, the cache, a remote, the repository.

        In the folder ``dst_path``, where nothing is overwritten; without it in the work tree of the
        project around the working directory if it lies there, else in a new folder. What is
        returned was hashed before. Raises :class:`~mlflow_dvc.DataNotFoundError`.
        """
        target = os.path.join(os.path.abspath(dst_path), self._name) if dst_path else None
        wanted = fetch.FetchRequest(
            self.path, self.algorithm, self.hash, find_project().dvc_root,
            self.repo, self.rev, self.remote, self.subdir, self.endpoint,
        )  # fmt: skip
        found, tried = fetch.fetch(wanted, target)
        if found is None:
            raise DataNotFoundError(self.path, self.hash, tried)
        note_loaded(LoadedData(self.path, self.hash))
        return found

    @property
    def _name(self) -> str:
        return os.path.basename(self.path.rstrip("/"))

    @staticmethod
    def _get_source_type() -> str:
        return SOURCE_TYPE

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        if not isinstance(raw_source, str | os.PathLike) or not settings.is_enabled():
            return False
        with guard("tell whether DVC tracks a dataset's source"):
            text = os.fspath(raw_source)
            return isinstance(text, str) and (
                text.startswith(_SCHEME) or _tracked_here(text) is not None
            )
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> DvcDatasetSource:
        text = os.fspath(raw_source)
        if not text.startswith(_SCHEME):
            return resolve_source(text)[0]
        path = text.removeprefix(_SCHEME)
        head, at, rev = path.rpartition("@")
        return resolve_source(head, rev=rev)[0] if at and head else resolve_source(path)[0]

    def to_dict(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if value or key not in _RARE}

    @classmethod
    def from_json(cls, source_json: str) -> DvcDatasetSource:
        """Raises UnreadableSourceError where it is none."""
        try:
            raw = read_json(source_json.encode("utf-8", "replace"))
        except ValueError as error:
            raise UnreadableSourceError(str(error)) from error
        return cls.from_dict(raw)

    @classmethod
    def from_dict(cls, source_dict: Mapping[str, Any]) -> DvcDatasetSource:
        """Raises UnreadableSourceError where it is none: it comes from a shared server."""
        try:
            return cls(**checked(_FIELDS, source_dict))
        except (ValueError, TypeError) as error:
            raise UnreadableSourceError(str(error)) from error


def resolve_source(
    path: str, *, rev: str | None = None, repo: str | None = None
) -> tuple[DvcDatasetSource, DataEntry]:
    """The data at ``path`` of the project around the working directory, or of ``repo``, at ``rev``.

    Without ``rev`` and ``repo`` as it lies on disk; what does not, as DVC's files say. ``path`` may
    also be the ``url@rev`` of imported data. Raises
    :class:`~mlflow_dvc.UntrackedPathError`, and NoDvcProjectError outside of any.
    """
    project = find_running_project()
    root = project.dvc_root
    if root is None and repo is None:
        raise NoDvcProjectError(project.directory)
    if repo is not None or rev is not None:
        shown = path if repo or root is None else _inside(path, root)
        found = fetch.locate(shown, root, repo, rev)
        where = f"{repo or root}" + (f"@{rev}" if rev else "")
        if isinstance(found, str):
            raise UntrackedPathError(path, where, reason=found)
        entry = DataEntry(found.path, found.algorithm, found.hash, found.size, found.nfiles)
        if repo is not None:
            shown_repo = public_url(repo)
            return DvcDatasetSource(entry.path, entry.algorithm, found.hash, shown_repo, rev), entry
        return _source(entry, project, rev), entry
    reading = workspace.read_project(root or "")
    tracked = _tracked(path, reading)
    if tracked is None:
        every = [out.path for stage in reading.stages for out in stage.outs]
        nearest = difflib.get_close_matches(_inside(path, reading.root), every, 1, 0.5)
        raise UntrackedPathError(path, reading.root, nearest[0] if nearest else None)
    entry = _on_disk(tracked, reading.root)
    return _source(entry, project, None), entry


def _source(entry: DataEntry, project: Project, rev: str | None) -> DvcDatasetSource:
    root = project.dvc_root or ""
    state = head.read_head(project.git_root)[0] if project.git_root else None
    raw = describe_source(entry, state, default_remote(root), project.relative_root)
    return DvcDatasetSource.from_dict({**raw, "rev": rev or raw["rev"]})


def _tracked_here(text: str) -> DataEntry | None:
    root = find_running_project().dvc_root
    return _tracked(text, workspace.read_cached(root)) if root else None


def _tracked(text: str, reading: ProjectReading) -> DataEntry | None:
    """An output, something inside of one, or what was imported from the address ``text``."""
    outs = {out.path: out for stage in reading.stages for out in stage.outs}
    for out in outs.values():
        if out.source == text:
            return out
    path = _inside(text, reading.root)
    if path in outs:
        return outs[path]
    if any(folder in outs for folder in parents(path)) and os.path.lexists(
        os.path.join(reading.root, path)
    ):
        return DataEntry(path, "md5", None)
    return None


def _inside(text: str, root: str) -> str:
    """A path as the project spells it: given from the working directory, or from the DVC root."""
    if "://" in text:
        return text
    given = os.path.abspath(text)
    folder, name = os.path.split(given)
    seen = relative(os.path.join(os.path.realpath(folder), name), root)
    if os.path.isabs(text) or (not seen.startswith("../") and os.path.lexists(given)):
        return seen
    return os.path.normpath(text).replace(os.sep, "/")


def _on_disk(entry: DataEntry, root: str) -> DataEntry:
    """With the hash of what lies there, where that can be told."""
    if "://" in entry.path or not entry.algorithm.startswith("md5"):
        return entry
    question = HashQuery(entry.path, entry.algorithm, entry.hash)
    known = hashing.cached_hashes(root, [question], _MAX_FILES) or {}
    found = known.get(question.key)
    if found is None or (found.hash and SchemaCache(root).lacks(entry.path, found.hash)):
        found = hashing.hash_now(root, [question]).get(question.key)
    if found is None or found.hash is None:
        if entry.hash is None or (found and not found.missing):
            raise UntrackedPathError(entry.path, root, reason="DVC cannot hash what lies there")
        return entry
    return replace(
        entry, algorithm=found.algorithm, hash=found.hash, size=found.size, nfiles=found.nfiles
    )
