"""Commits: which lead from one to another, and how their code differs. Nothing is checked out."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from mlflow_dvc.git.code_files import are_ignores_of_dvc, is_never_code, is_program_itself
from mlflow_dvc.git.head import is_sha
from mlflow_dvc.git.notebook import SUFFIX, strip_notebook
from mlflow_dvc.git.scratch import ScratchGit
from mlflow_dvc.paths import lies_in

_MAX_SUBJECTS = 50
SameCode = Callable[[bytes, bytes], bool]
# Whatever the user's configuration says, a patch is taken as it is; what is larger is no code.
_RAW_WORDS = ("-c", "apply.whitespace=nowarn", "-c", "apply.ignoreWhitespace=no")
_SIZE_LIMIT_WORDS = ("-c", "core.bigFileThreshold=10m")
_TEXT_WORDS = (
    "-p", "--find-renames", "--no-relative", "--no-ext-diff", "--no-textconv", "--no-color",
    "--unified=3", "--inter-hunk-context=0", "--submodule=short", "--src-prefix=a/",
    "--dst-prefix=b/",
)  # fmt: skip


@dataclass(frozen=True)
class Commit:
    """One commit, with the first line of its message."""

    sha: str
    subject: str


@dataclass(frozen=True)
class CommitRange:
    """The commits that lead to one of two commits and not to the other, newest first.

    ``commits`` are at most the first 50 of ``count``.
    """

    count: int
    commits: tuple[Commit, ...]


@dataclass(frozen=True)
class NoCode:
    """What does not count where two trees are compared; paths are from the root of the repository.

    ``outs`` are data; what is ``shown``, as metrics, is none of it but for programs. ``same_code``
    tells, for files of such a name, whether two contents are one code.
    """

    outs: Set[str] = frozenset()
    shown: Set[str] = frozenset()
    same_code: Mapping[str, SameCode] = field(default_factory=dict)


class GitHistory(ScratchGit):
    """Those of the repository at ``root``; all questions together may take ``seconds``."""

    def __enter__(self) -> GitHistory:
        super().__enter__()
        return self

    def has(self, sha: str) -> bool:
        if not is_sha(sha):
            return False
        asked = self._call("cat-file", "-t", sha)
        return asked.returncode == 0 and asked.stdout == b"commit\n"

    def commits_not_in(self, sha: str, other: str) -> CommitRange:
        """What leads to ``sha`` and not to ``other``."""
        found = f"{other}..{sha}"
        count = int(self._run("rev-list", "--count", found, "--"))
        limit = f"--max-count={_MAX_SUBJECTS}"
        text = self._run("log", "-z", "--no-show-signature", limit, "--format=%H %s", found, "--")
        rows = (row.decode("utf-8", "replace") for row in text.split(b"\0") if row)
        return CommitRange(count, tuple(Commit(*row.partition(" ")[::2]) for row in rows))

    def is_shallow(self) -> bool:
        return self._run("rev-parse", "--is-shallow-repository").strip() == b"true"

    def tree(self, sha: str, patch: bytes | None) -> str:
        """The code of the commit with the patch, as git names it, without what DVC keeps there.

        No commit, an empty text, is a tree without a file.
        Raises OSError, in git's words, where the patch does not fit or is none.
        """
        self._run("read-tree", sha or "--empty")
        if patch:
            self._run(*_RAW_WORDS, "apply", "--cached", "-p1", "-", given=patch)
        paths = map(os.fsdecode, self._run("ls-files", "--cached", "-z").split(b"\0"))
        return self._tree_without(path for path in paths if is_never_code(path))

    def content(self, sha: str, patch: bytes, path: str) -> bytes | None:
        """Of the file at ``path`` in the commit with the patch; None where there is none."""
        try:
            return self._run("cat-file", "blob", f"{self.tree(sha, patch)}:{path}")
        except OSError:
            return None

    def is_folder(self, sha: str, patch: bytes, path: str) -> bool:
        return self._call("cat-file", "-e", f"{self.tree(sha, patch)}:{path}/").returncode == 0

    def diff(self, old: str, new: str, apart: NoCode) -> bytes:
        """Of two trees, less what is no code."""
        if old == new:
            return b""
        data = list(self._data(old, new, apart))
        trees = []
        for tree in (old, new):
            self._run("read-tree", tree)
            trees.append(self._tree_without(data))
        return self._run(*_SIZE_LIMIT_WORDS, "diff-tree", *_TEXT_WORDS, *trees, "--")

    def _tree_without(self, paths: Iterable[str]) -> str:
        """The tree of what is in the index, without these."""
        if given := b"".join(os.fsencode(path) + b"\0" for path in paths):
            self._run("update-index", "--force-remove", "-z", "--stdin", given=given)
        return self._run("write-tree", "--missing-ok").strip().decode()

    def _data(self, old: str, new: str, apart: NoCode) -> Iterator[str]:
        """Each path that has changed and is no code."""
        words = self._run(
            "diff-tree", "-r", "--raw", "-z", "--no-renames", "--no-abbrev", old, new, "--"
        ).split(b"\0")
        for row, name in zip(words[0:-1:2], words[1::2], strict=True):
            path = os.fsdecode(name)
            name_alone = posixpath.basename(path)
            same = _strips_alike if path.endswith(SUFFIX) else apart.same_code.get(name_alone)
            if (
                lies_in(path, apart.outs)
                or (lies_in(path, apart.shown) and not is_program_itself(path))
                or (name_alone == ".gitignore" and self._is_of_dvc(row, path, apart.outs))
                or (same is not None and same(*self._both(row)))
            ):
                yield path

    def _both(self, row: bytes) -> tuple[bytes, bytes]:
        """The contents before and after; nothing where there is no file."""
        old, new = (
            self._run("cat-file", "blob", blob.decode()) if blob.strip(b"0") else b""
            for blob in row.split(b" ")[2:4]
        )
        return old, new

    def _is_of_dvc(self, row: bytes, path: str, outs: Set[str]) -> bool:
        """Whether all that changed in a ``.gitignore`` is lines that DVC keeps for outputs."""
        old, new = (Counter(content.splitlines()) for content in self._both(row))
        return are_ignores_of_dvc(path, [*(old - new), *(new - old)], outs.__contains__)


def _strips_alike(old: bytes, new: bytes) -> bool:
    """Whether two contents of a notebook have the same code."""
    return bool(old) and bool(new) and strip_notebook(new, old) == old
