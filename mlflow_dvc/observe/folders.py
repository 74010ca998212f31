"""The folders of a project that are watched: all but hidden ones, environments and caches."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field

MAX_FOLDERS = 20_000  # each costs some 15 microseconds, and a kilobyte of the kernel's memory
_NEVER = frozenset({"__pycache__", "node_modules", "site-packages", "mlruns", "mlartifacts"})
_ENVIRONMENTS = frozenset({"pyvenv.cfg", "conda-meta"})  # what such a folder has


@dataclass
class FolderWalk:
    """A walk that can be broken off and gone on with.

    ``file_links`` and ``folder_links`` are the links met so far, by what they lead to, ``nfiles``
    the number of files. ``faults`` says in words what is not watched.
    """

    root: str
    nfiles: int = 0
    file_links: dict[str, str] = field(default_factory=dict)
    folder_links: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = deque([self.root])
        self._seen: set[str] = set()
        self._alone: set[str] = set()  # folders of which only single files are data

    @property
    def is_done(self) -> bool:
        return not self._left

    def stop(self) -> None:
        """Nothing more can be watched."""
        self._left.clear()

    def add(self, folder: str) -> bool:
        """A folder outside, or one that is passed over otherwise. Whether it is a new one."""
        if folder in self._seen or folder in self._left:
            return False
        self._left.append(folder)
        return True

    def concerns(self, folder: str, path: str) -> bool:
        """Whether a file is one of those for whose sake its folder is watched."""
        return folder not in self._alone or path in self.file_links

    def add_new(self, folder: str) -> bool:
        """A folder that has come into being; whether it is one to be watched."""
        self._seen.discard(folder)  # another one of that name may have been there
        return _is_watched(os.path.basename(folder)) and self.add(folder)

    def spelt(self, path: str) -> str:
        """``path`` as the project names it, through the link that leads there."""
        if not self.file_links and not self.folder_links:
            return path
        if path in self.file_links:
            return self.file_links[path]
        for target, link in self.folder_links.items():
            if path.startswith(target + os.sep):
                return link + path[len(target) :]
        return path

    def next(self) -> str | None:
        """The next folder, from the top; None at the end. It is to be watched, and then looked
        into: what comes into being in between is seen by one or the other.
        """
        while self._left:
            folder = self._left.popleft()
            if folder in self._seen:
                continue
            if len(self._seen) >= MAX_FOLDERS:
                self._left.clear()
                self.faults = [f"only the first {MAX_FOLDERS} folders are watched"]
                break
            self._seen.add(folder)
            return folder
        return None

    def look_into(self, folder: str) -> None:
        """Find the folders below, unless only single files of this one are data."""
        if folder not in self._alone:
            self._look_into(folder)

    def _look_into(self, folder: str) -> None:
        below = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name in _ENVIRONMENTS and folder != self.root:
                        return
                    if entry.is_dir(follow_symlinks=False):
                        below.append(entry)
                        continue
                    self.nfiles += 1
                    if entry.is_symlink():
                        self._note_link(entry)
        except OSError:  # it is gone, or not for us: then it cannot be read by name either
            return
        self._left.extend(entry.path for entry in below if _is_watched(entry.name))

    def _note_link(self, entry: os.DirEntry[str]) -> None:
        """What is opened by a link is seen in the folder where it lies."""
        target = os.path.realpath(entry.path)
        if entry.is_dir():
            self._left.append(target)
            self.folder_links[target] = entry.path
        else:
            folder = os.path.dirname(target)
            if folder not in self._seen and folder not in self._left:
                self._alone.add(folder)
                self._left.append(folder)
            self.file_links[target] = entry.path


def _is_watched(name: str) -> bool:
    return not name.startswith(".") and name not in _NEVER
