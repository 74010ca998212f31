"""Paths with slashes: which are addresses, what lies above one, and which of a record are safe.

A record is other people's input: no path of it leaves the folder that it belongs to.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Iterator, Set


def safe_join(root: str, path: str) -> str | None:
    """Where ``path`` lies below ``root``; None if it leads elsewhere, or is or crosses a link."""
    if not is_inside(path):
        return None
    home = os.path.realpath(root)
    target = os.path.normpath(os.path.join(home, path))
    return target if os.path.realpath(target) == target else None


DATASET_SCHEME = "ds://"


def is_address(path: str) -> bool:
    """Whether ``path`` is a URL, such as that of a bucket, and no path of the project."""
    return "://" in path


def parents(path: str) -> Iterator[str]:
    """Every folder above ``path``, nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def lies_in(path: str, places: Set[str]) -> bool:
    """Whether ``path``, or a folder that it lies in, is one of ``places``."""
    return path in places or any(folder in places for folder in parents(path))


# What git takes for its own folder on some file system or other, whatever it is on this one
# (``verify_path`` in git's read-cache.c): macOS ignores some characters, Windows what comes after a
# name and has short ones. What lies there is read by programs, and so is DVC's folder.
_UNSEEN = "[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]*"
_STEERING = re.compile(
    "|".join(
        rf"{_UNSEEN}{_UNSEEN.join((re.escape('.'), *name))}{_UNSEEN}[ .]*(?::.*)?"
        rf"|{name}~1[ .]*(?::.*)?"
        for name in ("git", "dvc")
    ),
    re.IGNORECASE | re.DOTALL,
)
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?: *\..*)?|.*[:<>\"|?*].*", re.IGNORECASE)


def is_inside(path: str) -> bool:
    """Whether ``path`` stays in the folder that it is of, and is no part of git's or DVC's own.

    This is the one check of names for all that is written from a record, by whatever road it comes.
    """
    if not path or "\0" in path or "\\" in path or os.path.isabs(path):
        return False
    parts = posixpath.normpath(path).split("/")
    if parts[0] == os.pardir or any(map(_STEERING.fullmatch, parts)):
        return False
    return os.name != "nt" or not any(map(_DEVICE.fullmatch, parts))


def holds_repository(paths: Collection[str]) -> bool:
    """Whether files at these paths would make git take a folder for a repository of its own.

    A bare one needs no ``.git``, and its settings name programs that git runs.
    """
    heads = (path.removesuffix("HEAD") for path in paths if path.rpartition("/")[2] == "HEAD")
    return any(
        all(any(one.startswith(f"{home}{part}/") for one in paths) for part in ("objects", "refs"))
        for home in heads
    )


def leads_out(path: str, destination: str) -> bool:
    """Whether a link at ``path`` with this destination may lead out of the tree, or into git."""
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(path), destination))
    # What goes up behind a name may go up from where another link leads.
    goes_up_again = os.pardir in destination.lstrip("./").split("/")
    return goes_up_again or (inside != "." and not is_inside(inside))
