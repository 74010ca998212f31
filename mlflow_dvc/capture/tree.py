"""Finding the DVC files of a project without walking its data."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mlflow_dvc.capture.config import last_value
from mlflow_dvc.capture.files import Signature, is_settled, signature_of
from mlflow_dvc.capture.ignore import IgnoreRules, dvc_rules, git_rules
from mlflow_dvc.capture.project import find_git_root

PIPELINE = "dvc.yaml"
_NEVER_ENTERED = frozenset({".git", ".hg", ".dvc"})


@dataclass(frozen=True)
class _Listing:
    signature: Signature
    settled: bool
    directories: tuple[str, ...]
    dvc_files: tuple[str, ...]
    is_project: bool


class Tree:
    """The directories of one DVC root; a directory is listed again only when it changed."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._listings: dict[str, _Listing] = {}

    def dvc_files(self, outs_of: Callable[[str], set[str]]) -> Iterator[str]:
        """Every ``dvc.yaml`` and ``*.dvc`` that DVC itself would read, as absolute paths.

        ``outs_of(file)`` gives the absolute paths of the outputs that the file declares: those
        directories are never entered, nor are ignored ones, nor sub-projects.
        """
        rules = self._rules()
        if any(rule.ignores_tree(self.root) for rule in rules):
            return
        outs: set[str] = set()
        pending = [self.root]
        while pending:
            directory = pending.pop()
            listing = self._list(directory)
            if listing is None or (listing.is_project and directory != self.root):
                continue
            for name in listing.dvc_files:
                path = os.path.join(directory, name)
                if not any(rule.ignores(path, is_dir=False) for rule in rules):
                    outs |= outs_of(path)
                    yield path
            for name in reversed(listing.directories):
                path = os.path.join(directory, name)
                if path in outs or any(rule.ignores(path, is_dir=True) for rule in rules):
                    continue
                if not any(rule.ignores_content(path) for rule in rules):
                    pending.append(path)

    def git_ignores(self, path: str) -> bool:
        """Whether git hides the file at the absolute ``path`` (of a directory that it shows)."""
        return any(rule.ignores(path, is_dir=False) for rule in self._git_rules())

    def dvc_ignores(self, path: str) -> bool:
        """The same of DVC's own rules."""
        return dvc_rules(self.root).ignores(path, is_dir=False)

    def _rules(self) -> list[IgnoreRules]:
        return [dvc_rules(self.root), *self._git_rules()]

    def _git_rules(self) -> list[IgnoreRules]:
        git_root = find_git_root(self.root)
        return [git_rules(git_root)] if git_root and not self._is_without_git() else []

    def _is_without_git(self) -> bool:
        """As ``dvc init --no-scm`` leaves it: DVC then looks at no rule of git's."""
        chosen = None
        for name in ("config", "config.local"):
            path = os.path.join(self.root, ".dvc", name)
            chosen = last_value(path, "core", "no_scm") or chosen
        return chosen is not None and chosen.is_true

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


def _scan(directory: str, status: os.stat_result) -> _Listing:
    started = time.time_ns()
    directories, dvc_files, is_project = [], [], False
    with os.scandir(directory) as entries:
        for entry in entries:
            is_project = is_project or entry.name == ".dvc"
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _NEVER_ENTERED:
                    directories.append(entry.name)
            elif entry.name == PIPELINE or entry.name.endswith(".dvc"):
                dvc_files.append(entry.name)
    return _Listing(
        signature_of(status),
        is_settled(status, started),
        tuple(sorted(directories)),
        tuple(sorted(dvc_files)),
        is_project,
    )
