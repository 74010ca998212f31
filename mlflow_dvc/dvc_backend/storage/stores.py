"""Open the cache and the remotes of a project, and read listings from them."""

from __future__ import annotations

import hashlib
import math
import os
import posixpath
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import describe_dvc_error
from mlflow_dvc.dvc_backend.hash_query import LEGACY
from mlflow_dvc.dvc_backend.trust import is_foreign, why_without_credentials
from mlflow_dvc.foreign_values import read_json
from mlflow_dvc.paths import holds_repository, is_inside
from mlflow_dvc.scratch_folder import scratch_folder

ListedFile = dict[str, str]  # of a folder's listing: ``relpath``, and the file's hash as ``md5``
FILE_HASH = re.compile(r"[0-9a-f]{32}")
Report = Callable[[str], None]
Count = Callable[[int], None]  # of bytes


def open_stores(repo: Any, algorithm: str, tell: Report) -> Iterator[tuple[str, Any]]:
    """The cache of a project and all its remotes, the default one first, each with a name.

    ``tell`` is called, in words, with what cannot be opened.
    """
    cache = repo.cache.legacy if algorithm == LEGACY else repo.cache.local
    if cache is not None:  # a repository from elsewhere need not have one
        yield f"cache {cache.path}", cache
    yield from open_remotes(repo, algorithm, tell)


def open_remotes(repo: Any, algorithm: str, tell: Report) -> Iterator[tuple[str, Any]]:
    """The remotes of a project, the default one first, each with a name."""
    default = repo.config["core"].get("remote")
    for name in dict.fromkeys([*([default] if default else []), *repo.config["remote"]]):
        try:
            odb = repo.cloud.get_remote_odb(name, hash_name=algorithm)
        except Exception as error:
            tell(f"remote {name}: {describe_dvc_error(error)}")
            continue
        anonymous = why_without_credentials(repo.config, name=name)
        yield f"remote {name} ({odb.path})" + (f", {anonymous}" if anonymous else ""), odb


def read_listing(odb: Any, value: str) -> list[ListedFile]:
    """The files of the folder whose hash is ``value``, as the store lists them.

    Raises ValueError where the listing is not the one of that hash, or names a file outside of the
    folder; whatever the store raises where it has none.
    """
    content = read_listing_bytes(odb, value)
    rows: list[ListedFile] = read_json(content, len(content))  # of any size
    if not isinstance(rows, list) or not all(map(_is_row, rows)):
        raise ValueError("what lies there is no list of files")
    check_names([row["relpath"] for row in rows])
    return rows


def check_names(names: Collection[str]) -> None:
    """Raises ValueError where files of these names cannot be written into a folder."""
    odd = [name for name in names if not is_inside(name) or posixpath.normpath(name) == "."]
    if odd:
        raise ValueError(f"it names what is no file inside of it, or one of git's: {odd[0]!r}")
    if holds_repository(names):
        raise ValueError("git would take it for a repository, whose settings name programs")


def _is_row(row: Any) -> bool:
    is_text = isinstance(row, dict) and all(isinstance(value, str) for value in row.values())
    # The hash becomes a path in the store.
    return is_text and "relpath" in row and bool(FILE_HASH.fullmatch(row.get("md5", "")))


def existing_hashes(odb: Any, oids: set[str]) -> set[str]:
    """Those that the store has.

    On a local disk DVC's own way would hash what it finds, and delete what is damaged.
    """
    if odb.fs.protocol == "local":
        return {oid for oid in oids if os.path.isfile(odb.oid_to_path(oid))}
    return set(odb.oids_exist(sorted(oids)))


def read_listing_bytes(odb: Any, value: str) -> bytes:
    """A listing as the JSON that the store has.

    Raises ValueError where it is not the one of that hash; whatever the store raises where it has
    none.
    """
    content = _read_object(odb, value)
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if f"{found}.dir" != value:
        raise ValueError(f"what lies there has the hash {found}.dir")
    return content


def copy_object(odb: Any, oid: str, target: str, count: Count = lambda size: None) -> None:
    """An object, to the file ``target``. What is not the user's says first how large it is.

    ``count`` is told of so many more bytes, again and again: of as many as there are in the end.
    """
    source = odb.oid_to_path(oid)
    size = odb.fs.size(source) if is_foreign(odb.fs) else math.inf
    if size is None or math.inf > size > shutil.disk_usage(os.path.dirname(target)).free:
        raise ValueError(f"it may be too large for this disk ({size} bytes)")
    counted = _counter(count, size)
    odb.fs.get_file(source, target, callback=counted)
    count(os.path.getsize(target) - counted.value)  # a small file, or a link, is not counted


def _read_object(odb: Any, oid: str) -> bytes:
    if not is_foreign(odb.fs):
        content: bytes = odb.fs.cat_file(odb.oid_to_path(oid))
        return content
    with scratch_folder() as folder:
        copy_object(odb, oid, os.path.join(folder, "object"))
        return Path(folder, "object").read_bytes()


def _counter(count: Count, size: float) -> Any:
    """Counts what comes, and stops where that is more than ``size``, which was said."""

    class Counter(api.Callback):  # type: ignore[misc, unused-ignore]
        def relative_update(self, inc: int = 1) -> None:
            super().relative_update(inc)
            count(inc)
            if self.value > size:
                raise ValueError(f"it is larger than the {size} bytes that its server said")

    return Counter()


def read_listing_anywhere(
    repo: Any, algorithm: str, value: str
) -> tuple[list[ListedFile] | None, list[str]]:
    """The files of a folder from whichever store has it, or in words why none does."""
    tried: list[str] = []
    for name, odb in open_stores(repo, algorithm, tried.append):
        try:
            return read_listing(odb, value), tried
        except Exception as error:
            tried.append(f"{name}: {describe_dvc_error(error)}")
    return None, tried
