"""Finding the DVC files of a project without walking its data."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from functools import cached_property

from mlflow_dvc.dvcfiles.ignored import IGNORE_FILES, IgnoreChecker
from mlflow_dvc.fingerprint import Fingerprint, Signature, is_settled, md5_of, signature_of

PIPELINE_FILE = "dvc.yaml"
_SKIPPED_DIRECTORIES = frozenset({".git", ".hg", ".dvc"})


@dataclass(frozen=True)
class _Listing:
    signature: Signature
    settled: bool
    directories: tuple[str, ...]
    dvc_files: tuple[str, ...]
    ignore_files: tuple[str, ...]
    is_project: bool

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """The digest is of what counts in it: data files come and go."""
        names = (self.directories, self.dvc_files, self.ignore_files, self.is_project)
        digest = md5_of(repr(names).encode("utf-8", "surrogateescape"))
        return Fingerprint(self.signature if self.settled else None, digest)


class DvcFileFinder:
    """The directories of one DVC root; a directory is listed again only when it changed."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.hidden = IgnoreChecker(root)
        self._listings: dict[str, _Listing] = {}
        self._visited: list[str] = []

    def dvc_files(self, outs_of: Callable[[str], Set[str]]) -> Iterator[str]:
        """Every ``dvc.yaml`` and ``*.dvc`` that DVC itself would read, as absolute paths.

        ``outs_of(file)`` gives the absolute paths of the outputs that the file declares: those
        directories are never entered, nor are ignored ones, nor sub-projects.
        """
        hidden = self.hidden
        hidden.refresh()
        self._visited.clear()
        if hidden.hides_project():
            return
        outs: set[str] = set()
        pending = [self.root]
        while pending:
            directory = pending.pop()
            self._visited.append(directory)
            listing = self._list(directory)
            if listing is None or (listing.is_project and directory != self.root):
                continue
            for name in listing.ignore_files:
                hidden.watch(f"{directory}{os.sep}{name}")
            for name in listing.dvc_files:
                path = f"{directory}{os.sep}{name}"
                if not hidden.hides_file(path):
                    outs |= outs_of(path)
                    yield path
            for name in reversed(listing.directories):
                path = f"{directory}{os.sep}{name}"
                if path not in outs and not hidden.hides_directory(path):
                    pending.append(path)

    def config_locations(self) -> tuple[str | None, ...]:
        return self.hidden.config_locations()

    def fingerprints(self) -> Iterator[tuple[str, Fingerprint]]:
        """Every directory of the last walk, as it was then, and every file of rules."""
        yield from self.hidden.fingerprints()
        for directory in self._visited:
            listing = self._listings.get(directory)
            # One that could not be listed is told by its time stamps.
            yield directory, listing.fingerprint if listing else Fingerprint.of(directory)

    def _list(self, directory: str) -> _Listing | None:
        """None for a directory that is gone or may not be read: DVC passes over it as well."""
        try:
            status = os.stat(directory)
            kept = self._listings.get(directory)
            if kept and kept.settled and kept.signature == signature_of(status):
                return kept
            listing = _scan(directory, status)
        except OSError:
            self._listings.pop(directory, None)
            return None
        self._listings[directory] = listing
        return listing


def digest_of_listing(directory: str) -> str:
    """As ``DvcFileFinder.fingerprints`` has it, of the directory as it is now. Empty if it cannot
    be listed.
    """
    try:
        return _scan(directory, os.stat(directory)).fingerprint.digest
    except OSError:
        return ""


def _scan(directory: str, status: os.stat_result) -> _Listing:
    started = time.time_ns()
    directories, dvc_files, ignore_files, is_project = [], [], [], False
    with os.scandir(directory) as entries:
        for entry in entries:
            is_project = is_project or entry.name == ".dvc"
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _SKIPPED_DIRECTORIES:
                    directories.append(entry.name)
            elif entry.name == PIPELINE_FILE or entry.name.endswith(".dvc"):
                dvc_files.append(entry.name)
            elif entry.name in IGNORE_FILES:
                ignore_files.append(entry.name)
    return _Listing(
        signature_of(status),
        is_settled(status, started),
        tuple(sorted(directories)),
        tuple(sorted(dvc_files)),
        tuple(sorted(ignore_files)),
        is_project,
    )
