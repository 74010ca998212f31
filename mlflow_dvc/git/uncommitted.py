"""Code that differs from the commit in one work tree, less data and less credentials."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlflow_dvc.fingerprint import describe_error
from mlflow_dvc.git.changed_code import ChangedCode, PatchOptions
from mlflow_dvc.git.code_files import are_ignores_of_dvc
from mlflow_dvc.git.patch_secrets import SecretFilter
from mlflow_dvc.git.run import GitTimeoutError
from mlflow_dvc.git.work_tree import WorkTree

PATCH = "code.patch"
_MAX_PATHS_AT_ONCE = 500
_TOO_LARGE = "the patch is too large"


@dataclass(frozen=True)
class Patch:
    """``files``: by their path below ``dvc/``, what turns the commit into the work tree.

    ``omitted`` names what is missing or not certain there, each with the reason. ``dvc_files`` are
    the DVC files that git has, by their path from the root: not part of the patch. ``is_plain``:
    what git says of the work tree's files tells all of it, whenever they were written.
    """

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    omitted: tuple[str, ...] = ()
    dvc_files: tuple[str, ...] = field(default=(), compare=False, repr=False)
    is_plain: bool = field(default=False, compare=False)

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
    """Bytes that may still be attached."""

    left: int

    def take(self, size: int) -> bool:
        """Whether there is room for ``size`` bytes, which are taken then."""
        if size > self.left:
            return False
        self.left -= size
        return True


class UncommittedCode:
    """The patch of one work tree; ``omitted`` grows as it is made."""

    def __init__(
        self, tree: WorkTree, root: str, sha: str, wanted: PatchOptions, budget: PatchBudget
    ) -> None:
        self.tree = tree
        self.root = root
        self.sha = sha
        self.changed = ChangedCode(tree, root, sha, wanted)
        self.omitted = self.changed.omitted
        self._options = wanted
        self._budget = budget

    def patch(self) -> Patch:
        paths, notebooks = self.changed.paths, self.changed.notebooks
        for path, error in self.tree.add(self.changed.added()):
            self._omit(path, f"git cannot take it in ({describe_error(error)})")
        for path, content in notebooks.items():
            self.tree.put(path, content)
        found = SecretFilter(self._omit)
        found.parts |= self._fitting_parts(paths)
        found.contents |= self._binary_contents(found.parts)
        plain = [path for path in paths if path not in notebooks and self.changed.is_file(path)]
        found.files |= self._filtered_files(plain)
        parts, whole = found.clean()
        text = b"".join(parts[path] for path in sorted(parts))
        files = {f"code/{path}": content for path, content in whole.items()}
        is_plain = self.tree.is_looked_at and not self._note_edits_after_start(paths)
        files = {PATCH: text, **files} if text else files
        return Patch(files, tuple(self.omitted), is_plain=is_plain)

    def _fitting_parts(self, paths: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
        """The patch of each path, in this order, as far as there is room."""
        for batch in _split_into_batches(paths, self._options.limit):
            if self._budget.left <= 0:
                for path in batch:
                    self._omit(path, _TOO_LARGE)
                continue
            found: dict[str, bytes] = {}
            for part in self._diff(batch):  # a file that becomes a link has two
                path = _path_of_chunk(part)
                found[path] = found.get(path, b"") + part
            for path in batch:
                part = self._less_data(found.get(path, b""), path)
                if part and self._budget.take(len(part)):
                    yield path, part
                elif part:
                    self._omit(path, _TOO_LARGE)

    def _diff(self, paths: list[str]) -> Iterator[bytes]:
        """A file that git cannot tell of, as for want of a filter, does not cost the others."""
        notebooks = [path for path in paths if path in self.changed.notebooks]
        try:
            yield from self.tree.diff(
                self.sha, [path for path in paths if path not in self.changed.notebooks]
            )
            yield from self.tree.diff(self.sha, notebooks, "--cached")
        except GitTimeoutError:
            raise
        except OSError as error:
            if len(paths) == 1:
                self._omit(paths[0], f"git cannot tell how it changed ({describe_error(error)})")
                return
            for path in paths:
                yield from self._diff([path])

    def _less_data(self, part: bytes, path: str) -> bytes:
        """Less what is DVC's own."""
        is_ignore = posixpath.basename(path) == ".gitignore"
        return b"" if is_ignore and self._is_of_dvc(part, path) else part

    def _binary_contents(self, parts: Mapping[str, bytes]) -> Iterator[tuple[str, Any]]:
        """What stands in files of which a patch is no text; without those that cannot be read."""
        for path in [path for path, part in parts.items() if b"\nGIT binary patch\n" in part]:
            new = self._content(path)
            yield path, (self.tree.blob(self.sha, path), new or b"")

    def _is_of_dvc(self, part: bytes, path: str) -> bool:
        """Whether all that changed in a ``.gitignore`` is lines that DVC keeps for outputs."""
        body = part.partition(b"\n@@")[2].splitlines()
        changed = [line[1:] for line in body if line.startswith((b"+", b"-"))]
        return are_ignores_of_dvc(path, changed, self.changed.is_data)

    def _filtered_files(self, paths: list[str]) -> Iterator[tuple[str, bytes]]:
        """Files whose bytes a patch does not carry, as git changes the ends of their lines.

        What a filter makes of a file is not attached: it may be what the filter is there to hide.
        """
        for path, driver in self.tree.filtered(paths):
            if driver:
                self._omit(path, f"attached as the filter {driver!r} stores it")
                continue
            content = self._content(path)
            if content is None:
                continue
            if self._budget.take(len(content)):
                yield path, content
            else:
                self._omit(path, _TOO_LARGE)

    def _content(self, path: str) -> bytes | None:
        """None, and said, where it cannot be read by now."""
        try:
            return self.changed.content(path)
        except OSError as error:
            self._omit(path, f"it could not be read ({describe_error(error)})")
            return None

    def _note_edits_after_start(self, paths: Iterable[str]) -> bool:
        """Whether there are any."""
        since, found = self._options.since, False
        for path in paths if since is not None else ():
            try:
                status = os.lstat(os.path.join(self.root, path))
            except OSError:
                continue
            if max(status.st_mtime, status.st_ctime) > (since or 0.0):
                self._omit(path, "changed after the run began")
                found = True
        return found

    def _omit(self, path: str, why: str) -> None:
        self.changed.omit(path, why)


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
    if half.startswith(b'"'):
        half = half[1:-1].decode("unicode_escape").encode("latin-1")
    return os.fsdecode(half.removeprefix(b"a/"))
