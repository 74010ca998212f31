"""Which files processes of this package have opened, to hash them: no run has read these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

pids: set[int] = set()
opens: Counter[str] = Counter()  # by absolute path
_MAX_FILES = 1_000_000


def note_opened(pid: int, files: Iterable[str]) -> None:
    pids.add(pid)
    if len(opens) < _MAX_FILES:
        opens.update(files)
