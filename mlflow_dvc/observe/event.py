"""What a machine tells of a file, and what a way to be told of files can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

UNKNOWN_PROCESS = 0


class Event(NamedTuple):
    """Files of a folder that were opened, or written, by the process ``pid``; 0: it is not told.

    ``is_write``: they were changed, closed after they were open to be written, or moved there.
    ``is_new_folder``: they are folders that were made, or moved there.
    """

    folder: str
    names: Sequence[str]
    pid: int
    is_open: bool = False
    is_write: bool = False
    is_new_folder: bool = False


class Source(Protocol):
    """A way to be told of files that are opened in folders.

    ``fault`` says in words what it cannot see; None where it sees all. ``tells_who``: whether it
    tells what this process has opened from what others have.
    """

    name: str
    fault: str | None
    tells_who: bool
    has_overflown: bool

    @property
    def has_fresh(self) -> bool:
        """Whether something was taken that :meth:`events` has not given out yet."""

    def watch(self, folder: str) -> None:
        """From now on. Raises OSError where that is not allowed, or not possible."""

    def drain(self) -> None:
        """Take what waits, as cheap as can be."""

    def events(self) -> Iterator[Event]:
        """What was taken since the last call; of this process each kind of event once."""

    def close(self) -> None: ...
