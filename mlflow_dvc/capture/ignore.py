"""Which paths ``.gitignore`` and ``.dvcignore`` files hide, by the rules of git."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache

import pathspec

from mlflow_dvc.capture import git
from mlflow_dvc.capture.project import relative


class IgnoreRules:
    """The ignore files named ``name`` at and below ``root``, and the patterns in ``extra`` files.

    Ask only about paths whose parents are not ignored: what lies in an ignored directory is never
    looked at.
    """

    def __init__(self, root: str, name: str, extra: Iterable[str] = ()) -> None:
        self.root = root
        self._name = name
        self._extra = [spec for spec in map(_spec, extra) if spec]

    def ignores(self, path: str, *, is_dir: bool) -> bool:
        """Whether the absolute ``path`` is hidden; the file nearest to it has the last word."""
        directory = os.path.dirname(path)
        while True:
            spec = _spec(os.path.join(directory, self._name))
            if spec and (verdict := _verdict(spec, path, directory, is_dir)) is not None:
                return verdict
            if directory == self.root or len(directory) <= len(self.root):
                break
            directory = os.path.dirname(directory)
        for spec in self._extra:
            if (verdict := _verdict(spec, path, self.root, is_dir)) is not None:
                return verdict
        return False

    def ignores_tree(self, directory: str) -> bool:
        """Whether ``directory`` or one above it, up to the root, is hidden."""
        parts = relative(directory, self.root).split("/")
        steps = [os.path.join(self.root, *parts[: i + 1]) for i in range(len(parts))]
        return parts != ["."] and any(self.ignores(step, is_dir=True) for step in steps)


def git_rules(git_root: str) -> IgnoreRules:
    """``.gitignore`` files, then ``.git/info/exclude``, then the user's own excludes file."""
    extra = [_user_excludes()]
    with suppress(OSError, ValueError):  # a broken .git has none; reading HEAD names the fault
        extra.insert(0, os.path.join(git.find_git_dir(git_root), "info", "exclude"))
    return IgnoreRules(git_root, ".gitignore", extra)


def dvc_rules(dvc_root: str) -> IgnoreRules:
    return IgnoreRules(dvc_root, ".dvcignore")


def _user_excludes() -> str:
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(home, "git", "ignore")


def _verdict(spec: pathspec.GitIgnoreSpec, path: str, base: str, is_dir: bool) -> bool | None:
    name = relative(path, base) + ("/" if is_dir else "")
    return spec.check_file(name).include


def _spec(path: str) -> pathspec.GitIgnoreSpec | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return _parsed(path, status.st_mtime_ns, status.st_size, status.st_ino)


@lru_cache(maxsize=4096)
def _parsed(path: str, mtime_ns: int, size: int, inode: int) -> pathspec.GitIgnoreSpec | None:
    """None for a file without rules, or one that cannot be read: git passes over it as well."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.rstrip("\n") for line in file]
    except OSError:
        return None
    rules = [line for line in lines if line.strip() and not line.startswith("#")]
    return pathspec.GitIgnoreSpec.from_lines(rules) if rules else None
