"""What an earlier process read of a project, used again where every file is still as it was then.

A start of a training script costs as much as it costs to look at the time stamps of the project's
DVC files; to read the lock of ten thousand outputs takes a hundred times longer. The first line of
the kept file says what must not have changed, and what was made of it for runs; the second line is
all that was read, for those who need more than tags.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache as once
from pathlib import Path
from typing import Any
from zlib import crc32

from mlflow_dvc import cache
from mlflow_dvc.capture.files import Glimpse, digest_now
from mlflow_dvc.capture.lockfile import Stage
from mlflow_dvc.capture.source import Source
from mlflow_dvc.capture.tree import digest_of_listing
from mlflow_dvc.dvc_backend.resolve import Resolved
from mlflow_dvc.snapshot import DataEntry

_KIND = "projects"
_TOLD_AT_MOST = 16
_OUT_FIELDS = ("path", "algorithm", "hash", "size", "nfiles", "cached", "stage", "source")


@dataclass(frozen=True)
class Content:
    """What the DVC files of a project say. ``params`` holds the parameter files' bytes."""

    sources: tuple[Source, ...]
    faults: tuple[str, ...] = ()
    params: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Witness:
    """Everything that had a say in a reading: files and folders, and where rules come from."""

    places: tuple[str | None, ...]
    glimpses: Mapping[str, Glimpse]

    def holds(self, places: tuple[str | None, ...], *, by_content: bool = False) -> bool:
        """Whether the project would be read just the same now.

        With ``by_content`` a file whose time stamps changed is read for that.
        """
        told_by = _digest_now if by_content else _digest_of_listing
        return places == self.places and all(
            seen.fits(path, told_by) for path, seen in self.glimpses.items()
        )

    @property
    def lasts(self) -> bool:
        """Whether later changes will show; not within the clock's tick of the last one."""
        return all(seen.missing or seen.signature or seen.digest for seen in self.glimpses.values())


@dataclass(frozen=True)
class Told:
    """What a reading was worth to one kind of run: its tags and warnings, without those of git.

    ``run`` is what the process was; ``folders`` are those that were looked at besides.
    """

    run: list[str | None]
    tags: dict[str, str]
    warnings: list[str]
    folders: Mapping[str, Glimpse] = field(default_factory=dict)

    def fits(self, run: list[str | None]) -> bool:
        return run == self.run and all(seen.fits(path) for path, seen in self.folders.items())


@dataclass(frozen=True)
class Memory:
    """One kept reading."""

    witness: Witness
    told: tuple[Told, ...]
    body: bytes = field(repr=False)

    def content(self) -> Content:
        raw = json.loads(self.body)
        return Content(
            tuple(_source(row) for row in raw["sources"]),
            tuple(raw["faults"]),
            {path: _bytes(text) for path, text in raw["params"].items()},
        )


def recall(root: str) -> Memory | None:
    """What was kept of the project at ``root``, if by this very version of the package."""
    kept = cache.read(_KIND, _key(root))
    if kept is None:
        return None
    head, _, body = kept.partition(b"\n")
    try:
        raw = json.loads(head)
        if raw["by"] != _version() or raw["check"] != crc32(body):
            return None
        witness = Witness(tuple(raw["places"]), _glimpses(raw["glimpses"]))
        told = tuple(
            Told(row["run"], row["tags"], row["warnings"], _glimpses(row["folders"]))
            for row in raw["told"]
        )
    except Exception:  # damaged, or of another make: whatever it is, it is no memory
        return None
    return Memory(witness, told, body)


def keep(root: str, memory: Memory) -> None:
    """In place of what was kept of the project before."""
    head = {
        "by": _version(),
        "check": crc32(memory.body),
        "places": memory.witness.places,
        "glimpses": _rows(memory.witness.glimpses),
        "told": [
            {**vars(told), "folders": _rows(told.folders)} for told in memory.told[:_TOLD_AT_MOST]
        ],
    }
    cache.write(_KIND, _key(root), json.dumps(head).encode() + b"\n" + memory.body)


def body_of(content: Content) -> bytes:
    """``content`` as ``Memory`` holds it."""
    raw = {
        "sources": [_row(source) for source in content.sources],
        "faults": content.faults,
        "params": {path: _text(value) for path, value in content.params.items()},
    }
    return json.dumps(raw).encode()


def _row(source: Source) -> dict[str, Any]:
    return {
        "file": source.file,
        "content": _text(source.content),
        "stages": [_stage_row(stage) for stage in source.stages],
        "faults": source.faults,
        "lock_content": None if source.lock_content is None else _text(source.lock_content),
        "answer": asdict(source.answer) if source.answer else None,
    }


def _stage_row(stage: Stage) -> dict[str, Any]:
    outs = [[getattr(out, name) for name in _OUT_FIELDS] for out in stage.outs]
    return {**vars(stage), "outs": outs}


def _source(row: dict[str, Any]) -> Source:
    lock, answer = row["lock_content"], row["answer"]
    return Source(
        file=row["file"],
        content=_bytes(row["content"]),
        stages=tuple(_stage(stage) for stage in row["stages"]),
        faults=tuple(row["faults"]),
        lock_content=None if lock is None else _bytes(lock),
        answer=Resolved(**{**answer, "faults": tuple(answer["faults"])}) if answer else None,
    )


def _stage(row: dict[str, Any]) -> Stage:
    outs = tuple(DataEntry(**dict(zip(_OUT_FIELDS, out, strict=True))) for out in row["outs"])
    deps, params = tuple(row["deps"]), tuple(row["params"])
    locked = {path: tuple(pair) for path, pair in row["locked_deps"].items()}
    return Stage(**{**row, "deps": deps, "params": params, "outs": outs, "locked_deps": locked})


def _rows(glimpses: Mapping[str, Glimpse]) -> dict[str, Any]:
    return {path: [seen.signature, seen.digest, seen.missing] for path, seen in glimpses.items()}


def _glimpses(rows: Mapping[str, Any]) -> dict[str, Glimpse]:
    return {
        path: Glimpse(tuple(signature) if signature else None, digest, missing)
        for path, (signature, digest, missing) in rows.items()
    }


def _digest_now(path: str) -> str:
    return _digest_of_listing(path) or digest_now(path)


def _digest_of_listing(path: str) -> str:
    return digest_of_listing(path) if os.path.isdir(path) else ""


def _key(root: str) -> str:
    return hashlib.sha256(os.fsencode(root)).hexdigest()


@once
def _version() -> str:
    """Of this package's own files: what another one made of a project is not trusted."""
    package = Path(__file__).parents[1]
    files: Iterable[Path] = sorted([*package.glob("*.py"), *package.glob("*/*.py")])
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(stamps).encode()).hexdigest()


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
