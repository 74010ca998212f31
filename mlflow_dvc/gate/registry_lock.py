"""A lock that the processes of one server share: who judges a version, and who moves its name."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow_dvc.user_cache import folder_key, path_of

_PAUSE_SECONDS = 0.02


@contextmanager
def registry_lock(registry_uri: str, deadline: float, *, moves: bool) -> Iterator[None]:
    """``moves``: alone, as what stands at a name is another one afterwards; else with others.

    Raises TimeoutError at ``deadline``, of ``time.monotonic``, and OSError where there can be no
    lock.
    """
    import fcntl  # not on Windows, which has no server with several processes either

    path = path_of("gate", folder_key(registry_uri))
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = (fcntl.LOCK_EX if moves else fcntl.LOCK_SH) | fcntl.LOCK_NB
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, kind)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError("the registry is busy") from None
                time.sleep(_PAUSE_SECONDS)
        yield
    finally:
        os.close(handle)
