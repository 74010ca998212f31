"""What is known of one file that was opened."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mlflow_dvc.observe.event import UNKNOWN_PROCESS, Event


@dataclass(frozen=True, slots=True)
class SeenFile:
    """``first`` is when it was found out that it was opened, in ns since 1970.

    ``is_mine`` and ``is_workers`` say who opened it, ``others`` are the ids of further processes,
    ``untold`` is how often one did of which nobody tells the id. ``may_be_workers``: one of these
    is none that is known. ``is_others``: one is no process of this package. ``is_written``: this
    process, or a worker, wrote it. ``was_unchanged``: nobody had changed it yet when it was found
    out. It may stand for many files.
    """

    first: int
    is_mine: bool = False
    is_workers: bool = False
    is_written: bool = False
    was_unchanged: bool = False
    others: frozenset[int] = frozenset()
    untold: int = 0
    may_be_workers: bool = False
    is_others: bool = False

    @property
    def is_read(self) -> bool:
        """By this process or its workers. What one writes one opens as well."""
        return (self.is_mine or self.is_workers) and (self.was_unchanged or not self.is_written)

    def touched(self, event: Event, *, is_mine: bool, is_changed: bool) -> SeenFile:
        """After what this process, or a worker, did; ``is_changed``: somebody has written it."""
        return replace(
            self,
            is_mine=self.is_mine or (is_mine and event.is_open),
            is_workers=self.is_workers or (not is_mine and event.is_open),
            is_written=self.is_written or event.is_write,
            was_unchanged=self.was_unchanged or (event.is_open and not is_changed),
        )

    def opened_by(self, pid: int) -> SeenFile:
        """After another process opened it."""
        if pid == UNKNOWN_PROCESS:
            return replace(self, untold=self.untold + 1)
        return replace(self, others=self.others | {pid})
