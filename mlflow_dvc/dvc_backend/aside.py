"""A ``Repo`` of DVC that writes nothing into the project.

DVC's own makes ``.dvc/tmp`` and lines in ignore files when it is only opened. What it knows of
hashes already is used, and what is hashed here DVC need not hash again: that is kept outside of
every project.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def repo_aside(root: str) -> Iterator[Any]:
    """The DVC project at ``root``; changes the working directory. DVC's lock is never taken."""
    from dvc.output import Output
    from dvc.repo import Repo

    scratch = tempfile.mkdtemp(prefix="mlflow-dvc-")

    class Aside(Repo):  # type: ignore[misc, unused-ignore]
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

    class Apart(Aside):
        """The same where DVC's memory of hashes cannot be used: a full disk, no permission."""

        site_cache_dir = scratch

    os.chdir(root)
    Output.ignore = lambda self: None
    try:
        try:
            repo = Aside(root)
        except Exception:
            repo = Apart(root)
        try:
            yield repo
        finally:
            repo.state.close()  # all of it would ask git, which may not be there
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
