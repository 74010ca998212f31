"""Whether a tracking store on this machine lies among the outputs that DVC tracks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.snapshot import DataEntry


def outputs_at(reading: ProjectReading, paths: Iterable[str]) -> Iterator[DataEntry]:
    """The outputs that something written to one of ``paths`` would change.

    These are absolute. A path may be an output, lie in one, or be a folder that holds one; of one
    that holds the whole project nothing can be said.
    """
    places = [os.path.realpath(path) for path in paths]
    folders = [place for place in places if not _holds(place, reading.root)]
    for stage in reading.stages:
        for out in stage.outs:
            if "://" in out.path:
                continue
            where = os.path.realpath(os.path.join(reading.root, out.path))
            if any(_holds(where, place) for place in places) or any(
                _holds(folder, where) for folder in folders
            ):
                yield out


def outputs_around(reading: ProjectReading, path: str) -> Iterator[DataEntry]:
    """The outputs that are the absolute ``path``, or that it lies in."""
    place = os.path.realpath(path)
    for out in outputs_at(reading, [path]):
        if _holds(os.path.realpath(os.path.join(reading.root, out.path)), place):
            yield out


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
