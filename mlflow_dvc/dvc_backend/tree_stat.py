"""Whether a file, or anything in a directory, changed since it was looked at last."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


class TooManyFilesError(Exception):
    """A folder holds more than was allowed to be looked at."""


@dataclass(frozen=True)
class TreeStat:
    """How a path looked. ``digest`` covers name, size, times and inode of every file in it.

    ``written`` and ``changed`` are the newest mtime and ctime, in nanoseconds since 1970; those of
    folders count, as a file that is gone shows in its folder alone. ``size`` is in bytes.
    """

    digest: str
    written: int
    changed: int
    size: int
    nfiles: int


def stat_tree(path: str, max_files: int | None = None) -> TreeStat | None:
    """Of what lies at ``path`` now; None where nothing does.

    Raises OSError for what cannot be looked at, TooManyFilesError for more than ``max_files``.
    """
    try:
        top = link = os.lstat(path)
        if stat.S_ISLNK(link.st_mode):
            top = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISREG(link.st_mode):  # most of all: a data file
        if max_files == 0:
            raise TooManyFilesError(path)
        digest = _digest([_row("", top)])
        return TreeStat(digest, top.st_mtime_ns, top.st_ctime_ns, top.st_size, 1)
    rows: list[bytes] = []
    written = changed = size = nfiles = 0
    if stat.S_ISLNK(link.st_mode):  # it may be made to point elsewhere, at what is older
        rows.append(_row("", link))
        written, changed = link.st_mtime_ns, link.st_ctime_ns
    found: Iterable[tuple[str, os.stat_result]]
    found = _walk(path, "", top, set()) if stat.S_ISDIR(top.st_mode) else [("", top)]
    for name, status in found:
        rows.append(_row(name, status))
        written = max(written, status.st_mtime_ns)
        changed = max(changed, status.st_ctime_ns)
        if not stat.S_ISDIR(status.st_mode) and not name.endswith("\0"):
            size += status.st_size
            nfiles += 1
            if max_files is not None and nfiles > max_files:
                raise TooManyFilesError(path)
    return TreeStat(_digest(sorted(rows)), written, changed, size, nfiles)


def parent_mtime(path: str) -> int:
    """When something was last made or removed in the nearest folder above ``path`` that is there.

    In nanoseconds since 1970: what is missing now was missing since then.
    """
    while (above := os.path.dirname(path)) != path:
        path = above
        try:
            status = os.stat(path)
        except OSError:
            continue
        return max(status.st_mtime_ns, status.st_ctime_ns)
    return 0


def _walk(
    path: str, name: str, status: os.stat_result, above: set[tuple[int, int]]
) -> Iterator[tuple[str, os.stat_result]]:
    """A folder and all in it; links are followed, as DVC does, but not round and round."""
    yield name, status
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(path) as entries:
        for entry in entries:
            inside = f"{name}/{entry.name}"
            try:
                found = entry.stat()
            except FileNotFoundError:  # a broken link; DVC refuses those
                found = entry.stat(follow_symlinks=False)
            if entry.is_symlink():
                yield f"{inside}\0", entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                yield from _walk(entry.path, inside, found, above | {here})
            else:
                yield inside, found


def _row(name: str, status: os.stat_result) -> bytes:
    facts = (
        status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino,
        status.st_dev,
    )  # fmt: skip
    return os.fsencode(name) + b"\0" + repr(facts).encode()


def _digest(rows: list[bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for row in rows:
        digest.update(b"%d:" % len(row) + row)
    return digest.hexdigest()
