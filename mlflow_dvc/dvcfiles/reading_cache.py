"""A reading kept for the next process, and used while every file is as it was.

A start of a training script costs as much as it costs to look at the time stamps of the project's
DVC files; to read the lock of ten thousand outputs takes a hundred times longer. The first line of
the kept file says what must not have changed, and what was made of it for runs; the second line is
all that was read, for those who need more than tags.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache as once
from pathlib import Path
from typing import Any
from zlib import crc32

from mlflow_dvc import user_cache
from mlflow_dvc.dvc_backend.templates import ResolvedStages
from mlflow_dvc.dvcfiles.discovery import digest_of_listing
from mlflow_dvc.dvcfiles.dvc_file import DvcFile, ProjectContent
from mlflow_dvc.dvcfiles.locked_dataset import LockedDataset
from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.fingerprint import Fingerprint, small_file_md5
from mlflow_dvc.snapshot import DataEntry

_KIND = "projects"
_MAX_CACHED_TAGS = 16
# What a file says of an output; the rest is decided when a run starts.
_OUT_FIELDS = tuple(
    field.name for field in fields(DataEntry) if field.name not in ("state", "role", "certainty")
)


@dataclass(frozen=True)
class ReadingInputs:
    """Fingerprints of everything that a reading depends on, and where rules come from."""

    config_locations: tuple[str | None, ...]
    fingerprints: Mapping[str, Fingerprint]

    def changed(self, *, by_content: bool = False) -> Iterator[str]:
        """The paths by which the project would be read otherwise now.

        With ``by_content`` a file whose time stamps changed is read for that.
        """
        told_by = _current_digest if by_content else _listing_digest
        return (path for path, seen in self.fingerprints.items() if not seen.fits(path, told_by))

    def with_fingerprints(self, fresh: Iterable[tuple[str, Fingerprint]]) -> ReadingInputs:
        return replace(self, fingerprints={**self.fingerprints, **dict(fresh)})

    @property
    def detects_changes(self) -> bool:
        """Whether later changes will show; not within the clock's tick of the last one."""
        return all(
            seen.missing or seen.signature or seen.digest for seen in self.fingerprints.values()
        )


@dataclass(frozen=True)
class CachedTags:
    """Tags and warnings that one kind of run got from a reading, without those of git.

    ``run`` is what the process was; ``folders`` are the paths that were looked at besides.
    """

    run: list[str | None]
    tags: dict[str, str]
    warnings: list[str]
    folders: Mapping[str, Fingerprint] = field(default_factory=dict)

    def fits(self, run: list[str | None]) -> bool:
        return run == self.run and all(seen.fits(path) for path, seen in self.folders.items())

    def lacks_the_same(self) -> bool:
        """Whether nothing has come where nothing lay."""
        return all(seen.fits(path) for path, seen in self.folders.items() if seen.missing)


@dataclass(frozen=True)
class CachedReading:
    """One kept reading."""

    inputs: ReadingInputs
    tags_by_run: tuple[CachedTags, ...]
    body: bytes = field(repr=False)

    def content(self) -> ProjectContent:
        raw = json.loads(self.body)
        return ProjectContent(
            tuple(_file_from_row(row) for row in raw["sources"]),
            tuple(raw["faults"]),
            {path: _bytes(text) for path, text in raw["params"].items()},
        )


def load_reading(root: str) -> CachedReading | None:
    """What was kept of the project at ``root``, if by this very version of the package."""
    kept = user_cache.read(_KIND, user_cache.folder_key(root))
    if kept is None:
        return None
    head, _, body = kept.partition(b"\n")
    try:
        raw = json.loads(head)
        if raw["by"] != _package_version() or raw["check"] != crc32(body):
            return None
        fingerprints = _fingerprints_from_rows(raw["fingerprints"])
        inputs = ReadingInputs(tuple(raw["config_locations"]), fingerprints)
        told = tuple(
            CachedTags(
                row["run"], row["tags"], row["warnings"], _fingerprints_from_rows(row["folders"])
            )
            for row in raw["tags_by_run"]
        )
    except Exception:  # damaged, or written by another version
        return None
    return CachedReading(inputs, told, body)


def save_reading(root: str, cached: CachedReading) -> None:
    """In place of what was kept of the project before."""
    head = {
        "by": _package_version(),
        "check": crc32(cached.body),
        "config_locations": cached.inputs.config_locations,
        "fingerprints": _fingerprints_to_rows(cached.inputs.fingerprints),
        "tags_by_run": [
            {**vars(told), "folders": _fingerprints_to_rows(told.folders)}
            for told in cached.tags_by_run[:_MAX_CACHED_TAGS]
        ],
    }
    user_cache.write(
        _KIND, user_cache.folder_key(root), json.dumps(head).encode() + b"\n" + cached.body
    )


def serialize(content: ProjectContent) -> bytes:
    """``content`` as a :class:`CachedReading` holds it."""
    raw = {
        "sources": [_file_to_row(dvc_file) for dvc_file in content.dvc_files],
        "faults": content.faults,
        "params": {path: _text(value) for path, value in content.params.items()},
    }
    return json.dumps(raw).encode()


def _file_to_row(dvc_file: DvcFile) -> dict[str, Any]:
    return {
        "file": dvc_file.file,
        "content": _text(dvc_file.content),
        "stages": [_stage_to_row(stage) for stage in dvc_file.stages],
        "faults": dvc_file.faults,
        "datasets": [vars(one) for one in dvc_file.datasets],
        "lock_content": None if dvc_file.lock_content is None else _text(dvc_file.lock_content),
        "answer": asdict(dvc_file.answer) if dvc_file.answer else None,
    }


def _stage_to_row(stage: Stage) -> dict[str, Any]:
    outs = [[getattr(out, name) for name in _OUT_FIELDS] for out in stage.outs]
    return {**vars(stage), "outs": outs}


def _file_from_row(row: dict[str, Any]) -> DvcFile:
    lock, answer = row["lock_content"], row["answer"]
    return DvcFile(
        file=row["file"],
        content=_bytes(row["content"]),
        stages=tuple(_stage_from_row(stage) for stage in row["stages"]),
        faults=tuple(row["faults"]),
        datasets=tuple(LockedDataset(**one) for one in row["datasets"]),
        lock_content=None if lock is None else _bytes(lock),
        answer=ResolvedStages(**{**answer, "faults": tuple(answer["faults"])}) if answer else None,
    )


def _stage_from_row(row: dict[str, Any]) -> Stage:
    outs = tuple(DataEntry(**dict(zip(_OUT_FIELDS, out, strict=True))) for out in row["outs"])
    deps, params = tuple(row["deps"]), tuple(row["params"])
    locked = {path: tuple(pair) for path, pair in row["locked_deps"].items()}
    return Stage(**{**row, "deps": deps, "params": params, "outs": outs, "locked_deps": locked})


def _fingerprints_to_rows(fingerprints: Mapping[str, Fingerprint]) -> dict[str, Any]:
    return {
        path: [seen.signature, seen.digest, seen.missing] for path, seen in fingerprints.items()
    }


def _fingerprints_from_rows(rows: Mapping[str, Any]) -> dict[str, Fingerprint]:
    return {
        path: Fingerprint(tuple(signature) if signature else None, digest, missing)
        for path, (signature, digest, missing) in rows.items()
    }


def _current_digest(path: str) -> str:
    return _listing_digest(path) or small_file_md5(path)


def _listing_digest(path: str) -> str:
    return digest_of_listing(path) if os.path.isdir(path) else ""


@once
def _package_version() -> str:
    """Of this package's own files: what another one made of a project is not trusted."""
    package = Path(__file__).parents[1]
    stats = [(file, file.stat()) for file in sorted(package.rglob("*.py"))]
    stamps = [
        (file.relative_to(package).as_posix(), stat.st_size, stat.st_mtime_ns)
        for file, stat in stats
    ]
    return hashlib.sha256(repr(stamps).encode()).hexdigest()


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
