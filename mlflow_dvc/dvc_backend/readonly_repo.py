"""A ``Repo`` of DVC that writes nothing into the project.

DVC's own makes ``.dvc/tmp`` and lines in ignore files when it is only opened. What it knows of
hashes already is used, and what is hashed here DVC need not hash again: that is kept outside of
every project.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlflow_dvc.dvc_backend import api

# What may be said of a remote by a commit that anybody may have made. Files that are named there,
# such as AWS's configuration, can name programs.
_ALLOWED_REMOTE_OPTIONS = frozenset(
    {"url", "endpointurl", "region", "version_aware", "worktree", "jobs"}
)


def strip_remote_config(repo: Any, trusted: Mapping[str, Any] | None = None) -> None:
    """Keep the allowed options of each remote of ``repo``, then add what the user configured.

    That is in the user's own settings of DVC, and in those of a project of theirs, ``trusted``.
    """
    own = [repo.config.load_one(level)["remote"] for level in ("system", "global")]
    for name, settings in repo.config["remote"].items():
        said = {key: settings[key] for key in settings.keys() & _ALLOWED_REMOTE_OPTIONS}
        settings.clear()
        for source in (said, *(remotes.get(name, {}) for remotes in (*own, trusted or {}))):
            settings.update(source)


@contextmanager
def scratch_store(algorithm: str, state: Any = None) -> Iterator[Any]:
    """A store of objects that is thrown away: to hash a folder by an old kind of hash, DVC adds the
    listing of the folder to the store that it is given.

    With DVC's ``state`` what is hashed is known to DVC as well.
    """
    with tempfile.TemporaryDirectory(prefix="mlflow-dvc-") as folder:
        known = {"state": state} if state is not None else {}
        yield api.get_odb(api.localfs, folder, hash_name=algorithm, **known)


@contextmanager
def open_read_only(root: str, *, untrusted: bool = False) -> Iterator[Any]:
    """The DVC project at ``root``; changes the working directory. DVC's lock is never taken.

    What a ``untrusted`` one has in its configuration is not trusted.
    """
    scratch = tempfile.mkdtemp(prefix="mlflow-dvc-")

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
        try:
            repo = (ReadOnlyRepoWithoutState if untrusted else ReadOnlyRepo)(root)
        except Exception:
            repo = ReadOnlyRepoWithoutState(root)
        if untrusted:
            strip_remote_config(repo)
        try:
            yield repo
        finally:
            repo.state.close()  # repo.close() would open git as well, which may not be there
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
