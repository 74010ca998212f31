"""Data that is being copied: it lies beside its target, and is moved there once it is hashed."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from types import TracebackType
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.readonly_repo import scratch_store
from mlflow_dvc.dvc_backend.storage.stores import ListedFile, copy_object, read_listing
from mlflow_dvc.fingerprint import hash_file
from mlflow_dvc.progress import Work
from mlflow_dvc.thread_pool import thread_pool

PREFIX = ".mlflow-dvc-"  # how the name of a folder begins that is being filled
_MAX_THREADS = 16


class Unfinished:
    """A folder beside ``target``, with None in a new folder; afterwards it is gone.

    Where it is ``resumable`` and interrupted, the files of a folder that are there in whole stay.
    The next call hashes them before it believes them: their names may be anybody's.
    """

    def __init__(
        self, value: str, algorithm: str, target: str | None, work: Work, *, resumable: bool
    ) -> None:
        self._value = value
        self._algorithm = algorithm
        self._target = target
        self._work = work
        self._resumable = resumable and target is not None and value.endswith(".dir")
        self._beside = os.path.dirname(target) if target else ""
        self._folder = ""

    def __enter__(self) -> Unfinished:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        is_interrupted = kind is not None and not issubclass(kind, Exception)
        if self._resumable and is_interrupted and os.path.isdir(self._listed):
            self._clear_rest()
        elif self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            with suppress(OSError):
                os.rmdir(self._beside)  # made for nothing

    @property
    def data(self) -> str:
        """Where the copy goes, if it comes as one."""
        return os.path.join(self._folder, "data")

    @property
    def _listed(self) -> str:
        """Where it goes file by file."""
        return os.path.join(self._folder, "listed")

    @property
    def _parts(self) -> str:
        """Where a file of it lies that is not there in whole."""
        return os.path.join(self._folder, "parts")

    def begin(self) -> None:
        """Before each attempt to copy."""
        if not self._folder:
            self._make()
        self._clear_rest()

    def _make(self) -> None:
        self._beside = self._beside or tempfile.mkdtemp(prefix="mlflow-dvc-data-")
        os.makedirs(self._beside, exist_ok=True)
        if not self._resumable:
            self._folder = tempfile.mkdtemp(prefix=PREFIX, dir=self._beside)
            return
        self._folder = os.path.join(self._beside, f"{PREFIX}{self._value}")
        if not _has_no_links(self._folder):
            _remove(self._folder)
        os.makedirs(self._folder, exist_ok=True)

    def _clear_rest(self) -> None:
        _remove(self.data)
        _remove(self._parts)

    def count(self, size: int) -> None:
        self._work.advance(0, size)

    def copy_listed(self, odb: Any) -> str:
        """A folder out of a store; of what is there already its hash is looked at."""
        rows = read_listing(odb, self._value)
        os.makedirs(self._listed, exist_ok=True)
        os.makedirs(self._parts)

        def copy(numbered: tuple[int, ListedFile]) -> None:
            number, row = numbered
            path = os.path.join(self._listed, row["relpath"])
            if self._is_there(path, row["md5"]):
                return
            part = os.path.join(self._parts, str(number))
            copy_object(odb, row["md5"], part, self.count)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.replace(part, path)

        with thread_pool(_MAX_THREADS) as pool:
            list(pool.map(copy, enumerate(rows)))
        return self._listed

    def _is_there(self, path: str, value: str) -> bool:
        if not os.path.isfile(path) or hash_copy(path, self._algorithm) != value:
            return False
        self.count(os.path.getsize(path))
        return True

    def finish(self, copied: str, name: str) -> str:
        """Where the data lies now. Raises ValueError where it is another."""
        if (found := hash_copy(copied, self._algorithm)) != self._value:
            raise ValueError(f"what lies there has the hash {found}")
        target = self._target or os.path.join(self._beside, name)
        os.rename(copied, target)
        return target


def hash_copy(path: str, algorithm: str) -> str | None:
    """Hash what lies at ``path`` without any cache of hashes."""
    if algorithm == "md5" and os.path.isfile(path):  # DVC's way takes ten times as long for few
        return hash_file(path)
    with scratch_store(algorithm) as store:
        _, _, found = api.build(store, path, api.localfs, algorithm, dry_run=True)
        value: str | None = found.hash_info.value
        return value


def _has_no_links(folder: str) -> bool:
    """A commit may have put one there, and it would be written through."""
    if os.path.islink(folder) or not os.path.isdir(folder):
        return False
    return not any(
        os.path.islink(os.path.join(above, name))
        for above, folders, files in os.walk(folder)
        for name in (*folders, *files)
    )


def _remove(path: str) -> None:
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    else:
        shutil.rmtree(path, ignore_errors=True)
