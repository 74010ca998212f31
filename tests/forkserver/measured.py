"""Coverage in processes that are forked, or that are not left to end by themselves."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ASKS = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")  # what coverage looks at after a fork


def keep() -> bool:
    """Write what was measured until now, and measure no more; whether anything was measured."""
    coverage = sys.modules.get("coverage")
    measuring = None if coverage is None else coverage.Coverage.current()
    if measuring is None:
        return False
    measuring.stop()
    measuring.save()
    return True


@contextmanager
def unless(nothing_of_ours: bool) -> Iterator[None]:
    """Fork in here; a child that runs nothing of the package is twice as fast if not measured."""
    asked = {name: os.environ.pop(name) for name in ASKS if name in os.environ and nothing_of_ours}
    yield
    os.environ.update(asked)
