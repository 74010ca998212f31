"""How far a command has come: lines that move on a terminal, a sentence when interrupted."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from mlflow_dvc.progress import Progress
from mlflow_dvc.report.labels import size_in_words
from mlflow_dvc.visible_text import escape_hidden

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_MIN_BAR, _MAX_BAR, _BESIDE_BAR = 5, 30, 70  # columns of a terminal


class ProgressBar:
    """``show`` is told of all work; it is drawn on the ``console``, and nowhere without one.

    A line for the command, which does what ``doing`` says, stands there until work has begun.
    """

    def __init__(self, doing: str, console: Console | None) -> None:
        self._doing = doing
        self._active: dict[str, Progress] = {}
        self._last: Progress | None = None
        self._bars = None if console is None else _bars(console)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> ProgressBar:
        if self._bars:
            self._bars.start()
            self._draw(Progress("", self._doing, ""))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars:
            self._bars.stop()

    def show(self, progress: Progress) -> None:
        if progress.is_over:
            self._active.pop(progress.id, None)
            self._last = progress if progress.kept else self._last
        else:
            self._active[progress.id] = progress
        if self._bars:
            self._draw(progress)
            self._bars.update(self._tasks[""], visible=not self._active)

    def tell_interruption(self, kept: str) -> str:
        """What was done when it was interrupted, in a sentence; ``kept`` is what becomes of it."""
        begun = next(iter(self._active.values()), self._last)
        if begun is None:
            return _sentence(f"interrupted while {self._doing}", kept)
        counted = ", ".join(filter(None, (_count(begun), _bytes(begun))))
        done = f"{begun.doing}: {counted}" if counted else begun.doing
        return _sentence(f"interrupted while {done}", begun.kept or kept)

    def _draw(self, progress: Progress) -> None:
        bars = self._bars
        if bars is None:
            return
        if progress.is_over:
            if progress.id in self._tasks:
                bars.remove_task(self._tasks.pop(progress.id))
            return
        if progress.id not in self._tasks:
            first = bars.add_task(progress.doing, total=None, count="", bytes="", visible=False)
            self._tasks[progress.id] = first
        is_bytes = progress.bytes_total is not None
        bars.update(
            self._tasks[progress.id],
            description=escape_hidden(progress.doing),
            total=progress.bytes_total if is_bytes else progress.total,
            completed=progress.bytes_done if is_bytes else progress.done,
            count=_count(progress),
            bytes=_bytes(progress),
            visible=True,
        )


def _bars(console: Console) -> Bars:
    """Each line: what is done, how much of it, and how long the rest takes; gone at the end."""
    from rich import progress

    width = max(_MIN_BAR, min(_MAX_BAR, console.width - _BESIDE_BAR))
    return progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}", markup=False),  # a remote may be called so
        progress.BarColumn(width),
        progress.TextColumn("{task.fields[count]}"),
        progress.TextColumn("{task.fields[bytes]}"),
        progress.TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        redirect_stdout=False,
    )


def _count(progress: Progress) -> str:
    if not progress.unit:
        return ""
    of_all = f" of {progress.total:,}" if progress.total else ""
    return f"{progress.done:,}{of_all} {progress.unit}"


def _bytes(progress: Progress) -> str:
    if not (progress.bytes_done or progress.bytes_total):
        return ""
    of_all = f" of {size_in_words(progress.bytes_total)}" if progress.bytes_total else ""
    return f"{size_in_words(progress.bytes_done)}{of_all}"


def _sentence(done: str, kept: str) -> str:
    return f"{done}; {kept}" if kept else done
