"""Folders that are thrown away, by the process that has made them.

``tempfile.TemporaryDirectory`` is removed by a forked child as well, if that ends by ``sys.exit``
while a thread of its parent still writes there.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

PREFIX = "mlflow-dvc-"

_there: set[str] = set()


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A new folder, for its owner alone, and as long as the block lasts."""
    folder = tempfile.mkdtemp(prefix=PREFIX)
    _there.add(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _there.discard(folder)


def remove_scratch_folders() -> None:
    """What a thread uses that the end of the process has overtaken."""
    for folder in tuple(_there):
        shutil.rmtree(folder, ignore_errors=True)


atexit.register(remove_scratch_folders)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_there.clear)
