"""Finding the DVC files of a project without walking its data."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from functools import cached_property

from mlflow_dvc.dvcfiles.ignored import IGNORE_FILES, IgnoreChecker
from mlflow_dvc.fingerprint import Fingerprint, Signature, is_settled, md5_of, signature_of
from mlflow_dvc.git.run_results import RUN_ID

PIPELINE_FILE = "dvc.yaml"
_MAX_NEW_DIRECTORIES = 200
_MAX_RUN_FOLDERS = 100_000
_run_folders: set[str] = set()
_SKIPPED_DIRECTORIES = frozenset({".git", ".hg", ".dvc"})


@dataclass(frozen=True)
class _Listing:
    signature: Signature
    settled: bool
    directories: tuple[str, ...]
    dvc_files: tuple[str, ...]
    ignore_files: tuple[str, ...]
    is_project: bool

    @property
    def says_something(self) -> bool:
        """Whether DVC reads anything in it, or leaves it out for being a project."""
        return bool(self.dvc_files or self.ignore_files or self.is_project)

    def is_part_of(self, later: _Listing) -> bool:
        """Whether nothing but directories has come into it since."""
        same = (self.dvc_files, self.ignore_files, self.is_project)
        return same == (later.dvc_files, later.ignore_files, later.is_project) and set(
            self.directories
        ) <= set(later.directories)

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

    def passed_over(
        self, directory: str, is_output: Callable[[str], bool]
    ) -> list[tuple[str, Fingerprint]] | None:
        """How ``directory`` and those that came into it look, where DVC reads nothing in these.

        None where something else has changed in it, or where that would take a long walk.
        """
        before = self._listings.get(directory)
        now = self._list(directory) if before else None
        if before is None or now is None or not before.is_part_of(now):
            return None
        found, came = [(directory, now)], set(now.directories) - set(before.directories)
        pending = [f"{directory}{os.sep}{name}" for name in came]
        while pending:
            path = pending.pop()
            if is_output(path) or self.hidden.hides_directory(path):
                continue
            listing = self._list(path)
            if listing is None or listing.says_something or len(found) > _MAX_NEW_DIRECTORIES:
                return None
            found.append((path, listing))
            pending += (f"{path}{os.sep}{name}" for name in listing.directories)
        self._visited += (path for path, _ in found[1:])
        return [(path, listing.fingerprint) for path, listing in found]

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


def _is_of_run(entry: os.DirEntry[str]) -> bool:
    """Whether it is the folder of a run, or of a model, in a tracking store in the project.

    There is one more with each run, and what lies in it are copies.
    """
    if not RUN_ID.fullmatch(entry.name):
        return False
    if entry.path not in _run_folders and os.path.isdir(os.path.join(entry.path, "artifacts")):
        if len(_run_folders) >= _MAX_RUN_FOLDERS:
            _run_folders.clear()
        _run_folders.add(entry.path)
    return entry.path in _run_folders


def _scan(directory: str, status: os.stat_result) -> _Listing:
    started = time.time_ns()
    directories, dvc_files, ignore_files, is_project = [], [], [], False
    with os.scandir(directory) as entries:
        for entry in entries:
            is_project = is_project or entry.name == ".dvc"
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _SKIPPED_DIRECTORIES and not _is_of_run(entry):
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
