"""The datasets of a dvc.yaml (``dvc dataset add``), each with its version in dvc.lock.

The rules are those of ``dvc/repo/datasets.py``. A stage reads one as ``ds://NAME``, and the version
is the one in dvc.lock: nothing of it need lie on disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mlflow_dvc.fingerprint import md5_of
from mlflow_dvc.paths import DATASET_SCHEME
from mlflow_dvc.secrets.urls import public_url
from mlflow_dvc.snapshot import SIZES, DataEntry

Raw = Mapping[str, Any]

_HASHES = frozenset({"md5", "etag", "checksum", "version_id"})
_DATACHAIN = ("dc", "dvcx")  # the second one in DVC 3.50
_REV = re.compile(r"[0-9a-f]{4,64}")
_NOT_LOCKED = "{lock} has no version of it: `dvc dataset update {name}`"
_OUT_OF_SYNC = "{lock} is of another definition of it: `dvc dataset update {name}`"


@dataclass(frozen=True)
class LockedDataset:
    """One dataset. ``hash`` is its locked version, None where ``fault`` says why there is none.

    ``algorithm`` says what the version is: ``rev`` of a git repository (``rev:PATH`` of a part of
    it), ``version`` of DataChain, ``lock`` for a digest of all that the lock says of files at an
    address, ``sizes`` for one of nothing but their sizes. ``is_pinned``: nobody can change
    what lies behind the version.
    """

    name: str
    algorithm: str = "lock"
    hash: str | None = None
    source: str | None = None
    is_pinned: bool = False
    fault: str | None = None

    def entry(self, path: str) -> DataEntry:
        """As an input of a run. What is pinned needs no look: the version is the data."""
        return DataEntry(
            path,
            self.algorithm,
            self.hash,
            cached=False,
            source=self.source,
            state="clean" if self.hash and self.is_pinned else "unverified",
            role="input",
            certainty="disk" if self.hash else "locked",
        )


def dataset_name(path: str) -> str | None:
    """The name in ``ds://NAME``; None for every other path."""
    return urlsplit(path).netloc if path.startswith(DATASET_SCHEME) else None


def parse_datasets(lock_file: str, specs: Any, locked: Any) -> Iterator[LockedDataset]:
    """The datasets that a dvc.yaml defines; ``locked`` is what its lock says of datasets."""
    rows = {row["name"]: row for row in _rows(locked)}
    for spec in _rows(specs):
        name, row = spec["name"], rows.get(spec["name"])
        words = {"lock": lock_file, "name": name}
        if row is None:
            yield LockedDataset(name, fault=_NOT_LOCKED.format(**words))
        elif _definition(row) != _definition(spec) or locked_version(row)[1] is None:
            yield LockedDataset(name, fault=_OUT_OF_SYNC.format(**words))
        else:
            yield locked_dataset(row)


def locked_dataset(info: Raw) -> LockedDataset:
    """A dataset as a lock has it: in its datasets, or with a dependency of a stage."""
    algorithm, version = locked_version(info)
    return LockedDataset(
        str(info.get("name")), algorithm, version, _source(info, version), _is_pinned(info)
    )


def locked_version(info: Raw) -> tuple[str, str | None]:
    """What kind of version a lock has of a dataset, and the version.

    Together they are equal exactly where the data is: the same revision of another part of the
    repository is other data.
    """
    kind, url = info.get("type"), public_url(str(info.get("url")))
    if kind == "dvc":
        part, rev = info.get("path"), info.get("rev_lock")
        return f"rev:{part}" if part else "rev", str(rev) if _REV.fullmatch(str(rev)) else None
    if kind in _DATACHAIN:
        number = info.get("version")
        known = isinstance(number, int) and not isinstance(number, bool)
        return f"version:{url}:{info.get('created_at')}", str(number) if known else None
    if kind == "url" and isinstance(info.get("meta"), Mapping):
        said = {**info, "url": url, "name": None}
        has_hashes = all(_HASHES & meta.keys() for meta in _metas(info))
        digest = md5_of(json.dumps(said, sort_keys=True, default=str).encode())
        return "lock" if has_hashes else SIZES, digest
    return "lock", None


def find_dataset(path: str, known: Iterable[LockedDataset]) -> LockedDataset:
    """What ``path``, ``ds://NAME``, means in a project; with a fault where that is not known."""
    name = dataset_name(path) or ""
    found = [one for one in known if one.name == name]
    if not found:
        return LockedDataset(name, fault="no dvc.yaml defines a dataset of this name")
    if any(one != found[0] for one in found):
        return LockedDataset(name, fault="several dvc.yaml define a dataset of this name")
    return found[0]


def _rows(raw: Any) -> Iterator[Raw]:
    for row in raw if isinstance(raw, list) else ():
        if isinstance(row, Mapping) and isinstance(row.get("name"), str):
            yield row


def _definition(row: Raw) -> tuple[Any, ...]:
    """What dvc.yaml says of a dataset; the lock repeats it."""
    common = (row.get("name"), row.get("url"), row.get("type"))
    return (*common, row.get("path") or "", row.get("rev")) if row.get("type") == "dvc" else common


def _source(info: Raw, version: str | None) -> str:
    url = public_url(str(info.get("url")))
    if version is None or info.get("type") == "url":
        return url
    if info.get("type") in _DATACHAIN:
        return f"{url.partition('@v')[0]}@v{version}"
    return f"{url}@{version}"


def _is_pinned(info: Raw) -> bool:
    """Of files at an address: whether the lock names the version of each."""
    if info.get("type") != "url":
        return True
    return all(meta.get("version_id") for meta in _metas(info))


def _metas(info: Raw) -> list[Raw]:
    """What a lock says of each file of a dataset at an address."""
    rows = info.get("files") or [info]
    metas = [row.get("meta") for row in rows if isinstance(row, Mapping)]
    return [meta if isinstance(meta, Mapping) else {} for meta in metas]
