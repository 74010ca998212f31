"""Which of the changed files of a work tree are code, the most important first."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property

from mlflow_dvc.fingerprint import describe_error
from mlflow_dvc.git.code_files import is_never_code, is_program, is_program_itself
from mlflow_dvc.git.notebook import (
    MAX_NOTEBOOK_BYTES,
    SUFFIX,
    executed_paths,
    has_same_code,
    strip_notebook,
)
from mlflow_dvc.git.run import GitTimeoutError
from mlflow_dvc.git.run_results import RunResults
from mlflow_dvc.git.work_tree import WorkTree
from mlflow_dvc.paths import parents
from mlflow_dvc.secrets.names import is_secret_name

MAX_PATCH_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class PatchOptions:
    """What counts as changed code.

    ``outs`` and ``params`` are the absolute paths of outputs and of parameter files, which are no
    code; nor is what is ``shown``, as metrics, but for programs. ``loaded`` are those of the
    programs that this process runs, the ``script`` among them, which always are code. With
    ``untracked``, programs that git does not know yet are code as well, if they were there at
    ``began``, in seconds since 1970; without it, those of them that are loaded are omitted.
    ``limit`` is in bytes. What has changed after ``since`` is named. ``same_code`` tells, for files
    of such a name, whether two contents are one code. ``by_content``: git's index is not believed.
    """

    outs: Set[str] = frozenset()
    untracked: bool = True
    limit: int = MAX_PATCH_BYTES
    since: float | None = None
    params: Set[str] = frozenset()
    shown: Set[str] = frozenset()
    loaded: Set[str] = frozenset()
    script: str | None = None
    began: float | None = None
    same_code: Mapping[str, Callable[[bytes, bytes], bool]] = field(default_factory=dict)
    by_content: bool = False


class ChangedCode:
    """What has changed in the work tree at ``root`` since the commit ``sha``, as far as it is code.

    ``notebooks`` are those among ``paths``, as they count: without outputs. ``omitted`` grows.
    """

    def __init__(self, tree: WorkTree, root: str, sha: str, wanted: PatchOptions) -> None:
        self.omitted: list[str] = []
        self.notebooks: dict[str, bytes] = {}
        self._tree = tree
        self._root = root
        self._sha = sha
        self._options = wanted
        self._before = tree.changed(sha)

    @cached_property
    def paths(self) -> dict[str, int]:
        """With the size of each: what runs comes first, then what git tracks, the small first."""
        tracked = {path: max(size, self._size(path)) for path, size in self._before.items()}
        found = dict(self._code(tracked, tracked=True))
        new = {path: size for path, size in self._new().items() if path not in found}
        if self._options.untracked:
            found |= self._within_limit(dict(self._code(new, tracked=False)))
        else:  # what runs makes the code another one, attached or not
            for path in filter(self._is_loaded, new):
                self.omit(path, "git does not know it, and such files are left out")
        ranks = {path: self._rank(path, size) for path, size in found.items()}
        return {path: found[path] for path in sorted(found, key=ranks.__getitem__)}

    def added(self) -> list[str]:
        """Those that git's index does not know, notebooks aside."""
        untracked = set(self._untracked) if self._options.untracked else set()
        return [path for path in self.paths if path in untracked and path not in self.notebooks]

    def is_data(self, path: str) -> bool:
        """Whether DVC tracks ``path``, or a folder that it lies in."""
        return self._is_below(path, self._options.outs)

    def _is_below(self, path: str, places: Set[str]) -> bool:
        return any(self.where(one) in places for one in (path, *parents(path)))

    def _code(self, sizes: Mapping[str, int], *, tracked: bool) -> Iterator[tuple[str, int]]:
        for path, size in sizes.items():
            if not self._may_be_code(path, tracked=tracked):
                continue
            if self.is_file(path) and not os.access(self.where(path), os.R_OK):
                self.omit(path, "it may not be read")
                continue
            try:
                found = self._code_size(path, size, tracked=tracked)
            except OSError as error:  # refused all the same, or gone by now
                if isinstance(error, GitTimeoutError):
                    raise
                self.omit(path, f"it could not be read ({describe_error(error)})")
                continue
            if found is not None and found > self._options.limit:
                self.omit(path, f"too large ({found / 1e6:.0f} MB)")
            elif found is not None:
                yield path, found

    def _code_size(self, path: str, size: int, *, tracked: bool) -> int | None:
        """Of a notebook that of its code. None where the code did not change."""
        if path.endswith(SUFFIX) and size <= MAX_NOTEBOOK_BYTES and self.is_file(path):
            size = self._notebook_size(path, size, tracked=tracked)
        return None if size < 0 or self._is_same(path) else size

    def _may_be_code(self, path: str, *, tracked: bool) -> bool:
        if self._is_loaded(path):
            return not is_secret_name(path) or self.omit(path, _HOLDS_CREDENTIALS)
        if is_never_code(path) or self.is_data(path):
            return False
        if self._is_parameters(path) or self._is_shown(path):
            return False
        if is_secret_name(path):
            return tracked and self.omit(path, _HOLDS_CREDENTIALS)
        return True

    def _is_parameters(self, path: str) -> bool:
        return self.where(path) in self._options.params and not path.endswith(".py")

    def _is_shown(self, path: str) -> bool:
        return not is_program_itself(path) and self._is_below(path, self._options.shown)

    def _new(self) -> dict[str, int]:
        """Programs that git does not know, and were there when the process began."""
        return {
            path: self._size(path)
            for path in self._untracked
            if self._is_loaded(path) or path in self._before or self._is_new_program(path)
        }

    def _is_new_program(self, path: str) -> bool:
        return is_program(path) and not self._results.has(path) and not self._appeared_since(path)

    @cached_property
    def _results(self) -> RunResults:
        return RunResults(self._root, self._tree.folders())

    @cached_property
    def _untracked(self) -> list[str]:
        """The script that runs is among them, though git is told to ignore it."""
        found = self._tree.untracked()
        script = os.path.relpath(self._options.script or self._root, self._root)
        is_known = script.startswith(os.pardir) or script in found or self._tree.has(script)
        if is_known or not self.is_file(script) or self.is_data(script):
            return found
        return [*found, script]

    def _appeared_since(self, path: str) -> bool:
        """Whether the file was put there, or changed, after the process began."""
        if self._options.began is None:
            return False
        try:
            return os.lstat(self.where(path)).st_ctime > self._options.began
        except OSError:
            return True

    def _notebook_size(self, path: str, size: int, *, tracked: bool) -> int:
        """The size of its code; less than nothing where that did not change."""
        content = self.content(path)
        if self._is_execution(path, content, tracked=tracked):
            return -1
        old = self._tree.blob(self._sha, path) if tracked else b""
        stripped = strip_notebook(content, old)
        if tracked and stripped == old:
            return -1
        if stripped == content:
            return size
        self.notebooks[path] = stripped
        return len(stripped)

    def _is_execution(self, path: str, content: bytes, *, tracked: bool) -> bool:
        """Whether papermill made it of another notebook, of which git may have an older result."""
        told = executed_paths(content)
        if told is None or self._is_loaded(path):
            return False
        source, output = map(os.path.normpath, told)
        where = self.where(path)
        # Papermill names both as seen from where it was called.
        called = where.removesuffix(output) if where.endswith(os.sep + output) else self._root
        source = os.path.join(called, source)
        if source == where:
            return False
        is_inside = source.startswith(self._root.rstrip(os.sep) + os.sep)
        return not tracked or (is_inside and self._has_same_code(content, source))

    def _has_same_code(self, content: bytes, source: str) -> bool:
        try:
            return has_same_code(content, self.content(source))
        except OSError:  # nobody can tell
            return False

    def _is_same(self, path: str) -> bool:
        same = self._options.same_code.get(posixpath.basename(path))
        return same is not None and same(self._tree.blob(self._sha, path), self.content(path))

    def _within_limit(self, new: dict[str, int]) -> dict[str, int]:
        """As many new files as all of them are not too large."""
        found: dict[str, int] = {}
        total = 0
        for path in sorted(new, key=lambda path: self._rank(path, new[path])):
            total += new[path]
            if total > self._options.limit:
                self.omit(path, "the new files are too large")
            else:
                found[path] = new[path]
        return found

    def _rank(self, path: str, size: int) -> tuple[bool, bool, int, str]:
        return not self._is_loaded(path), path not in self._before, size, path

    def _is_loaded(self, path: str) -> bool:
        return self.where(path) in self._options.loaded

    def omit(self, path: str, why: str) -> bool:
        self.omitted.append(f"{path}: {why}")
        return False

    def where(self, path: str) -> str:
        return os.path.join(self._root, path)

    def content(self, path: str) -> bytes:
        """What lies there now; nothing where it is no file. Raises OSError."""
        if not self.is_file(path):
            return b""
        with open(self.where(path), "rb") as file:
            return file.read()

    def is_file(self, path: str) -> bool:
        try:
            return stat.S_ISREG(os.lstat(self.where(path)).st_mode)
        except OSError:
            return False

    def _size(self, path: str) -> int:
        try:
            return os.lstat(self.where(path)).st_size
        except OSError:  # deleted
            return 0


_HOLDS_CREDENTIALS = "files of this name hold credentials"
