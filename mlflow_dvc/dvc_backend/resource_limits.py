"""What a process with DVC may use for something that anybody may have written."""

from __future__ import annotations

import time
from contextlib import suppress

from mlflow_dvc.limits import MAX_DVC_BYTES, MAX_DVC_CPU_SECONDS


def limit_resources() -> None:
    """A text of a few megabytes can stand for any amount of memory and of time."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    for kind, most in ((resource.RLIMIT_AS, MAX_DVC_BYTES), (resource.RLIMIT_CPU, _cpu_limit())):
        with suppress(ValueError, OSError):  # not above a limit that is there
            resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def _cpu_limit() -> int:
    """What is used already does not count: where processes are forked, that is anything."""
    return int(time.process_time()) + MAX_DVC_CPU_SECONDS
