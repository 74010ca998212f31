"""Where a project keeps data by its hash: the cache, and the remotes."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from collections.abc import Callable, Iterator
from typing import Any

from mlflow_dvc.dvc_backend.check import LEGACY
from mlflow_dvc.dvc_backend.child import words

_STEERING = frozenset({".git", ".dvc"})  # what lies there is read by programs
Row = dict[str, str]  # of a folder's listing: ``relpath``, and the file's hash as ``md5``
Tell = Callable[[str], None]


def stores(repo: Any, algorithm: str, tell: Tell) -> Iterator[tuple[str, Any]]:
    """The cache of a project and all its remotes, the default one first, each with a name.

    ``tell`` is called, in words, with what cannot be opened.
    """
    cache = repo.cache.legacy if algorithm == LEGACY else repo.cache.local
    if cache is not None:  # a repository from elsewhere need not have one
        yield f"cache {cache.path}", cache
    yield from remotes(repo, algorithm, tell)


def remotes(repo: Any, algorithm: str, tell: Tell) -> Iterator[tuple[str, Any]]:
    """The same without the cache."""
    default = repo.config["core"].get("remote")
    for name in dict.fromkeys([*([default] if default else []), *repo.config["remote"]]):
        try:
            odb = repo.cloud.get_remote_odb(name, hash_name=algorithm)
        except Exception as error:
            tell(f"remote {name}: {words(error)}")
            continue
        yield f"remote {name} ({odb.path})", odb


def rows_of(odb: Any, value: str) -> list[Row]:
    """The files of the folder whose hash is ``value``, as the store lists them.

    Raises ValueError where the listing is not the one of that hash, or names a file outside of the
    folder; whatever the store raises where it has none.
    """
    rows: list[Row] = json.loads(listed(odb, value))
    if not isinstance(rows, list):
        raise ValueError("what lies there is no list of files")
    for row in rows:
        if not is_inside(row["relpath"]):
            raise ValueError(f"it names a file outside of itself, or of git's: {row['relpath']}")
    return rows


def is_inside(path: str) -> bool:
    """Whether ``path`` stays in the folder that it is of, and is no part of git's or DVC's own."""
    if not path or "\0" in path or "\\" in path or os.path.isabs(path):
        return False
    parts = posixpath.normpath(path).split("/")
    return parts[0] != os.pardir and not any(part.lower() in _STEERING for part in parts)


def present(odb: Any, oids: set[str]) -> set[str]:
    """Those that the store has.

    On a local disk DVC's own way would hash what it finds, and delete what is damaged.
    """
    if odb.fs.protocol == "local":
        return {oid for oid in oids if os.path.isfile(odb.oid_to_path(oid))}
    return set(odb.oids_exist(sorted(oids)))


def listed(odb: Any, value: str) -> bytes:
    """The same as the JSON that the store has.

    Raises ValueError where it is not the one of that hash; whatever the store raises where it has
    none.
    """
    content: bytes = odb.fs.cat_file(odb.oid_to_path(value))
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if f"{found}.dir" != value:
        raise ValueError(f"what lies there has the hash {found}.dir")
    return content


def listing(repo: Any, algorithm: str, value: str) -> tuple[list[Row] | None, list[str]]:
    """The files of a folder from whichever store has it, or in words why none does."""
    tried: list[str] = []
    for name, odb in stores(repo, algorithm, tried.append):
        try:
            return rows_of(odb, value), tried
        except Exception as error:
            tried.append(f"{name}: {words(error)}")
    return None, tried
