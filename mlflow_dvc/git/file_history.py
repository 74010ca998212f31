"""What one file has been, in every commit that git still has.

Those are not only the commits of branches and tags: DVC keeps its experiments below ``refs/exps``,
and what was amended or rebased away stands in reflogs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from mlflow_dvc.git.head import is_sha
from mlflow_dvc.git.pins import TRAILER
from mlflow_dvc.git.run import git_output, run_git

_MAX_COMMITS = 500
_MAX_SECONDS = 120.0
# What was made of a record is no witness of it, see `pins`.
_EVERYWHERE = ("--all", "--reflog", "--invert-grep", "--fixed-strings", f"--grep={TRAILER}")


class Replacement(NamedTuple):
    """What a commit made of a file; None where there was none."""

    commit: str
    before: bytes | None
    after: bytes


class FileHistory:
    """That of the file at ``path``, seen from the root of the repository at ``root``.

    What git does not answer is as if it was not there.
    """

    def __init__(self, root: str, path: str) -> None:
        self.root = root
        self.path = path

    def at(self, sha: str | None) -> bytes | None:
        """The content in the commit; None where it has none, and before the first commit."""
        return self._contents([sha])[0] if sha is not None and is_sha(sha) else None

    def versions(self) -> Iterator[tuple[str, bytes]]:
        """Every commit that changed the file, the newest first, with the content."""
        commits = self._commits(*_EVERYWHERE)
        for commit, content in zip(commits, self._contents(commits), strict=True):
            if content is not None:
                yield commit, content

    def replacements(self, sha: str | None) -> tuple[Replacement, ...]:
        """What commits that are built on ``sha`` made of the file, the newest first.

        So are commits that it was amended to. Before the first commit, all are built on it.
        """
        return tuple(self._replacements(sha))

    def _replacements(self, sha: str | None) -> Iterator[Replacement]:
        yield from self._replacements_after(sha)
        for old, new in _amendments(self.root, sha) if sha else ():
            before, after = self._contents([old, new])
            if after is not None and after != before:
                yield Replacement(new, before, after)
            yield from self._replacements_after(new)

    def _replacements_after(self, sha: str | None) -> Iterator[Replacement]:
        since = ("--ancestry-path", f"^{sha}") if sha else ()
        commits = self._commits("--no-merges", *_EVERYWHERE, *since)
        found = self._contents([*commits, *(f"{commit}^" for commit in commits)])
        after, before = found[: len(commits)], found[len(commits) :]
        for commit, old, new in zip(commits, before, after, strict=True):
            if new is not None:
                yield Replacement(commit, old, new)

    def _commits(self, *words: str) -> list[str]:
        limit = f"--max-count={_MAX_COMMITS}"
        wanted = ("rev-list", "--full-history", limit, *words, "--", f":(top,literal){self.path}")
        return git_output(self.root, *wanted, seconds=_MAX_SECONDS).decode().split()

    def _contents(self, commits: Sequence[str]) -> list[bytes | None]:
        if "\n" in self.path or not commits:
            return [None] * len(commits)
        given = b"".join(os.fsencode(f"{commit}:{self.path}\n") for commit in commits)
        try:
            done = run_git(self.root, "cat-file", "--batch", given=given, seconds=_MAX_SECONDS)
        except OSError:
            return [None] * len(commits)
        return list(_parse_batch(done.stdout, len(commits)))


def _amendments(root: str, sha: str) -> Iterator[tuple[str, str]]:
    """A commit and what it was amended to; then that one, if it was amended as well."""
    words = ("log", "--walk-reflogs", "--format=%H %gs", "HEAD", "--")
    rows = [
        row.split(" ", 1)
        for row in git_output(root, *words).decode("utf-8", "replace").splitlines()
    ]
    found = {
        before[0]: after[0]
        for after, before in pairwise(rows)  # the newest comes first
        if after[-1].startswith("commit (amend)")
    }
    while sha in found:
        after = found.pop(sha)
        yield sha, after
        sha = after


def experiment_commits(root: str, name: str, baseline: str) -> list[str]:
    """The commits that DVC's experiment ``name`` has had, the newest first.

    ``baseline`` is the commit that it began from. An experiment that is run again with the same
    name takes the place of the one before, which a reflog may still have.
    """
    if not is_sha(baseline):
        return []
    ref = f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}"
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    found = git_output(root, *words).decode().split()
    kept = git_output(root, "log", "--walk-reflogs", "--format=%H", ref, "--").decode().split()
    return list(dict.fromkeys((*found, *kept)))


def has_commit(root: str, sha: str) -> bool:
    """Whether the repository around ``root`` has the commit."""
    return is_sha(sha) and _has_commit(root, sha)


@lru_cache(maxsize=1000)
def _has_commit(root: str, sha: str) -> bool:
    return git_output(root, "cat-file", "-t", sha) == b"commit\n"


def _parse_batch(output: bytes, count: int) -> Iterator[bytes | None]:
    """``<id> blob <size>``, the content and a line end; or ``<name> missing``."""
    start = 0
    for _ in range(count):
        end = output.find(b"\n", start)
        words = output[start:end].split() if end >= 0 else []
        start = end + 1
        if len(words) != 3 or words[1] != b"blob" or not words[2].isdigit():
            if len(words) == 3 and words[2].isdigit():  # a folder
                start += int(words[2]) + 1
            yield None
            continue
        size = int(words[2])
        yield output[start : start + size]
        start += size + 1
