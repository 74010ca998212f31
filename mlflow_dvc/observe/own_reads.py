"""Which files processes of this package have opened, to hash them: no run has read these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol
from weakref import WeakSet

pids: set[int] = set()
opens: Counter[str] = Counter()  # by absolute path
_MAX_FILES = 1_000_000


class Journal(Protocol):
    """What such a process tells while it works."""

    def new_notes(self) -> Iterable[int | str]:
        """Since the last call: its own id, and the path of each file that it has opened."""


_followed: WeakSet[Journal] = WeakSet()


def follow(journal: Journal) -> None:
    _followed.add(journal)


def refresh() -> None:
    """Read what the processes have told by now."""
    for journal in list(_followed):
        take(journal)


def take(journal: Journal) -> None:
    for note in journal.new_notes():
        if isinstance(note, int):
            pids.add(note)
        elif len(opens) < _MAX_FILES:
            opens[note] += 1
