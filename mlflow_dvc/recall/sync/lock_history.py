"""The versions of a lock in git's history."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from mlflow_dvc.git.head import is_sha
from mlflow_dvc.git.run import git_output

_MAX_COMMITS = 500


def committed_locks(root: str, path: str) -> Iterator[bytes]:
    """Every committed version of the lock at ``path`` on the way to HEAD, newest first."""
    words = ("log", f"--max-count={_MAX_COMMITS}", "--format=%H", "--", path)
    for sha in git_output(root, *words).decode().split():
        yield git_output(root, "show", f"{sha}:./{path}")


@lru_cache(maxsize=1000)
def has_commit(root: str, sha: str) -> bool:
    """Whether the repository around ``root`` has the commit."""
    return is_sha(sha) and git_output(root, "cat-file", "-t", sha) == b"commit\n"
