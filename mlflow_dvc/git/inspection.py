"""What `doctor` asks git about a repository. Nothing is written or fetched."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from shlex import quote

from mlflow_dvc.git.head import is_sha
from mlflow_dvc.git.run import run_git

_MAX_SECONDS = 60
_DVC_FILES = (":(glob)**/dvc.yaml", ":(glob)**/dvc.lock", ":(glob)**/*.dvc")
# The description is absent where nothing is checked out.
_SUBMODULE = re.compile(r"(?P<state>.)[0-9a-f]+ (?P<path>.+?)(?: \([^()]*\))?")


@dataclass(frozen=True)
class IgnoreRule:
    """A line of a file of ignore rules, which is counted from 1. ``file`` is absolute."""

    file: str
    line: int
    pattern: str


class GitInspection:
    """The one whose work tree is at ``root``. Paths are relative to that, with slashes."""

    def __init__(self, root: str) -> None:
        self.root = root

    @cached_property
    def refusal(self) -> str | None:
        """In git's words why it does not answer; None where it does."""
        try:
            done = self._run("rev-parse", "--git-dir")
        except FileNotFoundError:
            return "there is no git on the PATH"
        except OSError as error:
            return str(error)
        if done.returncode == 0:
            return None
        text = os.fsdecode(done.stderr).strip() or f"exit code {done.returncode}"
        return text.splitlines()[0].removeprefix("fatal: ")

    @cached_property
    def has_commit(self) -> bool:
        return bool(self._answer("rev-parse", "--quiet", "--verify", "HEAD^{commit}"))

    def commit_command(self, path: str) -> str:
        """The commands that commit it, wherever one is."""
        return f"{self._git} add {quote(path)} && {self._git} commit"

    def remove_command(self, path: str) -> str:
        """The command that removes it, wherever one is, with what git knows of it."""
        return f"{self._git} rm {quote(path)}"

    @property
    def _git(self) -> str:
        if os.path.realpath(os.curdir) == os.path.realpath(self.root):
            return "git"
        return f"git -C {quote(self.root)}"

    @cached_property
    def is_on_branch(self) -> bool:
        return bool(self._answer("symbolic-ref", "--quiet", "HEAD"))

    @cached_property
    def is_shallow(self) -> bool:
        return self._answer("rev-parse", "--is-shallow-repository").strip() == b"true"

    @cached_property
    def remotes(self) -> list[str]:
        return os.fsdecode(self._answer("remote")).split()

    @property
    def is_pushed(self) -> bool:
        """Whether a branch of a remote, as it was when git last spoke to it, contains HEAD."""
        words = ("--contains", "HEAD", "--count=1", "--format=%(refname)", "refs/remotes")
        return bool(self._answer("for-each-ref", *words))

    @cached_property
    def dvc_files(self) -> list[str]:
        """Those that git has in its index."""
        return self._paths("ls-files", "-z", "--", *_DVC_FILES)

    @cached_property
    def changed_dvc_files(self) -> set[str]:
        """Those that differ from HEAD, new ones and removed ones included."""
        words = ("--name-only", "--no-renames", "--no-ext-diff", "--ignore-submodules=all")
        return set(self._paths("diff", *words, "-z", "HEAD", "--", *_DVC_FILES))

    def commits_among(self, names: Iterable[str]) -> set[str]:
        """Those of ``names``, whatever they are, that are commits here."""
        asked = sorted(filter(is_sha, names))
        given = "".join(f"{name}\n" for name in asked).encode()
        rows = self._answer("cat-file", "--batch-check=%(objecttype)", given=given).splitlines()
        return {name for name, row in zip(asked, rows, strict=False) if row == b"commit"}

    def ignore_rule(self, path: str) -> IgnoreRule | None:
        """The one that hides the absolute ``path``, whether or not git tracks it."""
        words = ("check-ignore", "--verbose", "--no-index", "--stdin", "-z")
        row = os.fsdecode(self._answer(*words, given=os.fsencode(path) + b"\0")).split("\0")
        if len(row) < 4 or row[2].startswith("!"):
            return None
        return IgnoreRule(os.path.join(self.root, row[0]), int(row[1]), row[2])

    def submodules(self) -> list[tuple[str, str]]:
        """Each with git's sign for its state: ``-`` not checked out, ``+`` at another commit."""
        if not os.path.exists(os.path.join(self.root, ".gitmodules")):
            return []
        lines = os.fsdecode(self._answer("submodule", "status")).splitlines()
        matches = map(_SUBMODULE.fullmatch, lines)
        return [(match["state"], match["path"]) for match in matches if match]

    def _paths(self, *words: str) -> list[str]:
        return [os.fsdecode(path) for path in self._answer(*words).split(b"\0") if path]

    def _answer(self, *words: str, given: bytes = b"") -> bytes:
        """Empty where git has none."""
        if self.refusal is not None:
            return b""
        try:
            done = self._run(*words, given=given)
        except OSError:
            return b""
        return done.stdout if done.returncode == 0 else b""

    def _run(self, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return run_git(self.root, *words, given=given, seconds=_MAX_SECONDS)
