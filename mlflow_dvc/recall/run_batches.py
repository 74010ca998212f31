"""Ask the server for something of each of many runs, some at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from mlflow_dvc import tracking
from mlflow_dvc.thread_pool import thread_pool

if TYPE_CHECKING:
    from mlflow.entities import Run

T = TypeVar("T")
_MAX_THREADS = 8


def ask_each(
    runs: Iterable[Run], ask: Callable[[Run], T], together: int
) -> Generator[tuple[Run, T], None, None]:
    """Each run with the answer, in their order; no more than ``together`` are asked for ahead."""
    left = iter(runs)
    with tracking.no_progress_bar(), thread_pool(_MAX_THREADS) as pool:
        while batch := list(islice(left, together)):
            # Over a network one waits; on this machine threads would wait for each other.
            answer = map if all(map(tracking.is_local, batch)) else pool.map
            yield from zip(batch, answer(ask, batch), strict=True)
