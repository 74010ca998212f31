"""Code that differs from the commit in one work tree, less data and less credentials."""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from mlflow_dvc.fingerprint import describe_error
from mlflow_dvc.git.code_files import are_ignores_of_dvc, is_program, is_written_by_dvc
from mlflow_dvc.git.run import GitTimeoutError
from mlflow_dvc.git.secrets import contains_secret, is_secret_name, redact
from mlflow_dvc.git.work_tree import WorkTree

PATCH = "code.patch"
MAX_PATCH_BYTES = 10 * 1024 * 1024
_MAX_PATHS_AT_ONCE = 500

# Folders whose untracked files are not the user's code.
_NOT_CODE_DIRECTORIES = frozenset({
    "wandb", "node_modules", "__pycache__", "site-packages", ".venv",
    "venv", ".ipynb_checkpoints", ".aws", ".ssh", ".gnupg",
})  # fmt: skip


@dataclass(frozen=True)
class Patch:
    """``files``: by their path below ``dvc/``, what turns the commit into the work tree.

    ``omitted`` names what is missing or not certain there, each with the reason. ``dvc_files`` are
    the DVC files that git has, by their path from the root: not part of the patch.
    """

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    omitted: tuple[str, ...] = ()
    dvc_files: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def is_dirty(self) -> bool:
        return bool(self.files or self.omitted)

    @property
    def digest(self) -> str | None:
        """Of all of it; None where nothing has changed, or where something is missing."""
        if self.omitted or not self.files:
            return None
        total = hashlib.md5(usedforsecurity=False)
        for path, content in sorted(self.files.items()):
            total.update(b"%s\0%d\0%s" % (os.fsencode(path), len(content), content))
        return total.hexdigest()


@dataclass
class PatchBudget:
    """Bytes that may still be attached; what has changed."""

    left: int
    changed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PatchOptions:
    """What counts as changed code.

    ``outs`` are the absolute paths of outputs, which are data. With ``untracked``, programs that
    git does not know yet are code as well. ``limit`` is in bytes. What has changed after ``since``,
    in seconds since 1970, is named.
    """

    outs: Set[str] = frozenset()
    untracked: bool = True
    limit: int = MAX_PATCH_BYTES
    since: float | None = None


class UncommittedCode:
    """What has changed in one work tree; ``omitted`` grows as it is found out."""

    def __init__(
        self, tree: WorkTree, root: str, sha: str, wanted: PatchOptions, budget: PatchBudget
    ) -> None:
        self.tree = tree
        self.root = root
        self.sha = sha
        self.omitted: list[str] = []
        self._options = wanted
        self._budget = budget

    def patch(self) -> Patch:
        before = self.tree.changed(self.sha)
        new = self._new() if self._options.untracked else {}
        sizes = {path: max(size, self._size(path)) for path, size in before.items()}
        code = {
            path: size
            for path, size in {**sizes, **new}.items()
            if self._is_code(path, size, tracked=path in before)
        }
        self._budget.changed += code
        added = [path for path in new if path in code]
        for path, error in self.tree.add(added):
            self._omit(path, f"git cannot take it in ({describe_error(error)})")
        text = b"".join(self._clean(part) for part in self._diff_chunks(code))
        self._budget.left -= len(text)
        files = dict(self._filtered_files([path for path in code if self._is_file(path)]))
        self._note_edits_after_start(code)
        return Patch({PATCH: text, **files} if text else files, tuple(self.omitted))

    def _new(self) -> dict[str, int]:
        """Programs that git does not know, as far as all of them are not too large."""
        found: dict[str, int] = {}
        total = 0
        for path in self.tree.untracked():
            if not is_program(path) or not _NOT_CODE_DIRECTORIES.isdisjoint(path.split("/")):
                continue
            if is_secret_name(path):
                continue  # where it belongs: neither in git nor here
            size = self._size(path)
            total += size if size <= self._options.limit else 0
            if total > self._options.limit:
                self._omit(path, "the new files are too large")
            else:
                found[path] = size
        return found

    def _is_code(self, path: str, size: int, *, tracked: bool) -> bool:
        if is_written_by_dvc(path) or self._is_data(path):
            return False
        if tracked and is_secret_name(path):
            return self._omit(path, "files of this name hold credentials")
        if size > self._options.limit:
            return self._omit(path, f"too large ({size / 1e6:.0f} MB)")
        where = os.path.join(self.root, path)
        if self._is_file(path) and not os.access(where, os.R_OK):
            return self._omit(path, "it may not be read")
        return True

    def _is_data(self, path: str) -> bool:
        """Whether DVC tracks ``path``, or a folder that it lies in."""
        where = os.path.join(self.root, path)
        while len(where) > len(self.root):
            if where in self._options.outs:
                return True
            where = os.path.dirname(where)
        return False

    def _diff_chunks(self, sizes: Mapping[str, int]) -> Iterator[bytes]:
        """The patch, file by file; broken off when it is too large."""
        left = self._budget.left
        for paths in _split_into_batches(sizes, self._options.limit):
            for part in self._diff(paths):
                yield part
                left -= len(part)
            if left < 0:
                return

    def _diff(self, paths: list[str]) -> Iterator[bytes]:
        """A file that git cannot tell of, as for want of a filter, does not cost the others."""
        try:
            yield from self.tree.diff(self.sha, paths)
        except GitTimeoutError:
            raise
        except OSError as error:
            if len(paths) == 1:
                self._omit(paths[0], f"git cannot tell how it changed ({describe_error(error)})")
                return
            for path in paths:
                yield from self._diff([path])

    def _clean(self, part: bytes) -> bytes:
        """Less what is DVC's own, and less credentials."""
        path = _path_of_chunk(part)
        if posixpath.basename(path) == ".gitignore" and self._is_of_dvc(part, path):
            return b""
        if b"\nGIT binary patch\n" in part:
            old, new = self.tree.blob(self.sha, path), self._content(path)
            if contains_secret(old) or contains_secret(new):
                self._omit(path, "it holds credentials")
                return b""
            return part
        lines = part.splitlines(keepends=True)
        kept = b"".join(line for line in lines if not line.startswith(b"+"))
        if redact(part) is None or redact(kept) != kept:
            self._omit(path, "it holds credentials")
            return b""
        clean = b"".join((redact(line) or b"") if line.startswith(b"+") else line for line in lines)
        if clean != part:
            self._omit(path, "credentials were taken out")
        return clean

    def _is_of_dvc(self, part: bytes, path: str) -> bool:
        """Whether all that changed in a ``.gitignore`` is lines that DVC keeps for outputs."""
        body = part.partition(b"\n@@")[2].splitlines()
        changed = [line[1:] for line in body if line.startswith((b"+", b"-"))]
        return are_ignores_of_dvc(path, changed, self._is_data)

    def _filtered_files(self, paths: list[str]) -> Iterator[tuple[str, bytes]]:
        """Files whose bytes a patch does not carry, as git changes the ends of their lines.

        What a filter makes of a file is not attached: it may be what the filter is there to hide.
        """
        for path, driver in self.tree.filtered(paths):
            if driver:
                self._omit(path, f"attached as the filter {driver!r} stores it")
                continue
            content = self._content(path)
            self._budget.left -= len(content)
            if self._budget.left < 0:
                return
            if contains_secret(content):
                self._omit(path, "it holds credentials")
            else:
                yield f"code/{path}", content

    def _note_edits_after_start(self, paths: Iterable[str]) -> None:
        since = self._options.since
        for path in paths if since is not None else ():
            try:
                status = os.lstat(os.path.join(self.root, path))
            except OSError:
                continue
            if max(status.st_mtime, status.st_ctime) > (since or 0.0):
                self._omit(path, "changed after the run began")

    def _omit(self, path: str, why: str) -> bool:
        self.omitted.append(f"{path}: {why}")
        return False

    def _is_file(self, path: str) -> bool:
        try:
            return stat.S_ISREG(os.lstat(os.path.join(self.root, path)).st_mode)
        except OSError:
            return False

    def _size(self, path: str) -> int:
        try:
            return os.lstat(os.path.join(self.root, path)).st_size
        except OSError:  # deleted
            return 0

    def _content(self, path: str) -> bytes:
        where = Path(self.root, path)
        return where.read_bytes() if self._is_file(path) else b""


def _split_into_batches(sizes: Mapping[str, int], limit: int) -> Iterator[list[str]]:
    """The paths in groups that neither a command line nor the memory is too small for."""
    group: list[str] = []
    total = 0
    for path, size in sizes.items():
        if group and (len(group) >= _MAX_PATHS_AT_ONCE or total + size > 2 * limit):
            yield group
            group, total = [], 0
        group.append(path)
        total += size
    if group:
        yield group


def _path_of_chunk(part: bytes) -> str:
    """The path that a part of a patch is about."""
    head = part.partition(b"\n")[0].removeprefix(b"diff --git ")
    # `a/PATH b/PATH`, both the same, as renames are not looked for; in quotes where it is odd.
    half = head[: len(head) // 2]
    return half.strip(b'"').removeprefix(b"a/").decode("utf-8", "surrogateescape")
