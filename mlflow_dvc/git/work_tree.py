"""What changed in a work tree, by git; the user's index and objects are not touched."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property

from mlflow_dvc.git.head import find_git_dir
from mlflow_dvc.git.run import GitTimeoutError
from mlflow_dvc.git.scratch import ScratchGit
from mlflow_dvc.paths import parents

_DIFF_WORDS = (
    "diff",
    "--no-renames",
    "--no-relative",
    "--ignore-submodules=dirty",
    "--no-ext-diff",
)
_PATCH_WORDS = (
    "--binary", "--full-index", "--no-textconv", "--no-color", "--unified=3",
    "--inter-hunk-context=0", "--submodule=short", "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip
_SUBMODULE_MODE = "160000"  # the mode of a submodule
_FILE_MODE = "100644"


class WorkTree(ScratchGit):
    """The one at ``root``; all questions together may take ``seconds``.

    ``by_content``: every file is read, whatever time stamps git's index has.
    """

    def __init__(self, root: str, seconds: float, *, by_content: bool = False) -> None:
        super().__init__(root, seconds)
        self._by_content = by_content

    def __enter__(self) -> WorkTree:
        super().__enter__()
        try:
            with suppress(FileNotFoundError):  # nothing was ever checked out or added
                shutil.copy2(os.path.join(find_git_dir(self._root), "index"), self._index)
            if self._by_content:
                self._forget_time_stamps()
            self._look_again()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def changed(self, sha: str) -> dict[str, int]:
        """The paths that differ from the commit, with the size that each has there."""
        raw = ("--raw", "--no-abbrev", "-z", sha, "--")
        try:
            words = self._run(*_DIFF_WORDS, *raw).split(b"\0")
        except GitTimeoutError:
            raise
        except OSError:  # a filter is missing: then by time stamps alone
            words = self._run("diff-index", "--ignore-submodules=dirty", *raw).split(b"\0")
        sizes: dict[str, int] = {}
        blobs: dict[str, bytes] = {}
        # `:100644 100644 <blob> <blob> M`, then the path.
        for row, path in zip(words[0:-1:2], words[1::2], strict=True):
            mode, _, blob, *_ = row.removeprefix(b":").split(b" ")
            name = os.fsdecode(path)
            sizes[name] = 0
            if mode != _SUBMODULE_MODE.encode() and blob.strip(b"0"):
                blobs[name] = blob
        given = b"".join(blob + b"\n" for blob in blobs.values())
        rows = self._run("cat-file", "--batch-check=%(objectsize)", given=given).splitlines()
        found = zip(blobs, rows, strict=True)
        return sizes | {name: int(row) if row.isdigit() else 0 for name, row in found}

    def empty_tree(self) -> str:
        """What git names the tree without a file by: that of HEAD before the first commit."""
        return self._run("hash-object", "-t", "tree", "--stdin").decode().strip()

    def folders(self) -> set[str]:
        """Every folder in which git has a file, at any depth."""
        return {folder for _, _, path in self._entries for folder in parents(path)}

    def has(self, path: str) -> bool:
        """Whether git has it, in its index."""
        return any(path == known for _, _, known in self._entries)

    def untracked(self) -> list[str]:
        return self._paths("ls-files", "--others", "--exclude-standard", "-z")

    def repositories(self) -> list[str]:
        """Where other repositories belong: submodules, declared or not."""
        return [path for _, mode, path in self._entries if mode == _SUBMODULE_MODE]

    def dvc_files(self) -> tuple[str, ...]:
        """Every dvc.yaml and ``*.dvc`` that git has."""
        paths = (path for _, mode, path in self._entries if mode != _SUBMODULE_MODE)
        return tuple(
            path
            for path in paths
            if path.endswith(".dvc") or posixpath.basename(path) == "dvc.yaml"
        )

    def add(self, paths: list[str]) -> Iterator[tuple[str, OSError]]:
        """To the copy of the index, so that a diff shows them; those which git refuses."""
        try:
            self._update_index(["--add", "--replace"], paths)
        except GitTimeoutError:
            raise
        except OSError as error:
            if len(paths) == 1:
                yield paths[0], error
            for path in paths if len(paths) > 1 else ():
                yield from self.add([path])

    def put(self, path: str, content: bytes) -> None:
        """Into the copy of the index, in place of what lies on disk."""
        name = self._run("hash-object", "-w", "--stdin", "--no-filters", given=content)
        mode = next((mode for _, mode, known in self._entries if known == path), _FILE_MODE)
        row = b"%s %s\t%s\0" % (mode.encode(), name.strip(), os.fsencode(path))
        self._run("update-index", "--add", "--replace", "-z", "--index-info", given=row)

    def diff(self, sha: str, paths: list[str], *options: str) -> list[bytes]:
        """The patch of these paths, file by file."""
        if not paths:
            return []
        words = (*_DIFF_WORDS, *options, *_PATCH_WORDS, sha, "--", *paths)
        text = self._run("--literal-pathspecs", *words)
        return [part for part in re.split(rb"^(?=diff --git )", text, flags=re.MULTILINE) if part]

    def blob(self, sha: str, path: str) -> bytes:
        """What the commit has at ``path``; nothing where it has nothing."""
        try:
            return self._run("cat-file", "blob", f"{sha}:{path}")
        except OSError:
            return b""

    def filtered(self, paths: list[str]) -> list[tuple[str, str]]:
        """Those whose bytes git changes when it takes them in, each with the filter that does."""
        named = [path for path in paths if "\n" not in path]
        if not named:
            return []
        plain = self._hashes(named, "--no-filters")
        drivers = self._drivers(named)
        others = [path for path in named if path not in drivers]
        stored = self._hashes(others) if others else []
        by_path = dict(zip(others, stored, strict=True))
        return [
            (path, drivers.get(path, ""))
            for path, bare in zip(named, plain, strict=True)
            if path in drivers or by_path[path] != bare
        ]

    def _hashes(self, paths: list[str], *words: str) -> list[bytes]:
        """What git names the files by; with the bytes as it would store them, unless told else."""
        # With `./` no path begins with a quote, which git would take for a quoted one.
        given = b"".join(os.fsencode(f"./{path}\n") for path in paths)
        return self._run("hash-object", *words, "--stdin-paths", given=given).split()

    def _drivers(self, paths: list[str]) -> dict[str, str]:
        given = b"".join(os.fsencode(path) + b"\0" for path in paths)
        words = self._run("check-attr", "-z", "--stdin", "filter", given=given).split(b"\0")
        rows = zip(words[0::3], words[2::3], strict=False)
        return {
            os.fsdecode(path): value.decode("utf-8", "replace")
            for path, value in rows
            if value not in (b"unspecified", b"unset", b"set")
        }

    def _forget_time_stamps(self) -> None:
        rows = self._run("ls-files", "--stage", "-z")
        os.unlink(self._index)
        self._run("update-index", "-z", "--index-info", given=rows)

    @property
    def is_looked_at(self) -> bool:
        """Whether git itself looks at every file that it has."""
        return not any(tag == "S" or tag.islower() for tag, _, _ in self._entries)

    def _look_again(self) -> None:
        """Also at files that the user told git not to look at."""
        unseen = [
            path
            for tag, _, path in self._entries
            if (tag == "S" or tag.islower()) and os.path.lexists(os.path.join(self._root, path))
        ]
        if unseen:
            self._update_index(["--no-assume-unchanged"], unseen)
            self._update_index(["--no-skip-worktree"], unseen)

    @cached_property
    def _entries(self) -> list[tuple[str, str, str]]:
        """Of the index: how git looks at it, the mode, the path."""
        rows = self._run("ls-files", "-v", "--stage", "-z").split(b"\0")
        pairs = (row.partition(b"\t") for row in rows if row)
        return [
            (head[:1].decode(), head[2:8].decode(), os.fsdecode(path)) for head, _, path in pairs
        ]

    def _update_index(self, words: list[str], paths: list[str]) -> None:
        if names := b"".join(os.fsencode(path) + b"\0" for path in paths):
            self._run("update-index", *words, "-z", "--stdin", given=names)

    def _paths(self, *words: str) -> list[str]:
        return [os.fsdecode(path) for path in self._run(*words).split(b"\0") if path]
