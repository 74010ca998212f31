"""A ``Repo`` of DVC that writes nothing into the project.

DVC's own makes ``.dvc/tmp`` and lines in ignore files when it is only opened. What it knows of
hashes already is used, and what is hashed here DVC need not hash again: that is kept outside of
every project.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.trust import trust_only
from mlflow_dvc.scratch_folder import scratch_folder


@contextmanager
def scratch_store(algorithm: str, state: Any = None) -> Iterator[Any]:
    """A store of objects that is thrown away: to hash a folder by an old kind of hash, DVC adds the
    listing of the folder to the store that it is given.

    With DVC's ``state`` what is hashed is known to DVC as well.
    """
    with scratch_folder() as folder:
        known = {"state": state} if state is not None else {}
        yield api.get_odb(api.localfs, folder, hash_name=algorithm, **known)


@contextmanager
def open_read_only(
    root: str, *, foreign: bool = False, config: Mapping[str, Any] | None = None
) -> Iterator[Any]:
    """The DVC project at ``root``; changes the working directory. DVC's lock is never taken.

    In a ``foreign`` one, that a record names, settings are not the user's: ``config`` is what
    they are for it.
    """
    if foreign:
        trust_only(None)
    with scratch_folder() as scratch:
        yield from _open(root, foreign, config, scratch)


def _open(
    root: str, foreign: bool, config: Mapping[str, Any] | None, scratch: str
) -> Iterator[Any]:
    class ReadOnlyRepo(api.Repo):  # type: ignore[misc, unused-ignore]
        tmp_dir = scratch

        @property
        def _btime(self) -> float | None:
            """DVC finds its memory of hashes by the age of this file."""
            try:
                return os.path.getmtime(os.path.join(root, ".dvc", "tmp", "btime"))
            except OSError:
                return None

        def _ignore(self) -> None:
            pass

    class ReadOnlyRepoWithoutState(ReadOnlyRepo):
        """For where DVC's memory of hashes cannot be used: a full disk, no permission."""

        site_cache_dir = scratch

    os.chdir(root)
    api.Output.ignore = lambda self: None
    try:
        repo = (ReadOnlyRepoWithoutState if foreign else ReadOnlyRepo)(root, config=config)
    except Exception:
        repo = ReadOnlyRepoWithoutState(root, config=config)
    try:
        yield repo
    finally:
        repo.state.close()  # repo.close() would open git as well, which may not be there
