"""Pins: tags of git, each of a commit with the exact code and DVC files of one run.

The commit is built on the run's own and on those that confirm its record, so that git keeps these
too; and nothing is built on it, so that no branch and no ``git describe`` leads to it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlflow_dvc.git.repository import GitError, Repository
from mlflow_dvc.git.scratch import objects_apart
from mlflow_dvc.scratch_folder import scratch_folder

FOLDER = "mlflow-dvc/"
# What is taken from a record confirms no record: such commits are no witness.
TRAILER = "Pinned-by: mlflow-dvc"
_FILE, _LINK, _MODULE = "100644", "120000", "160000"


@dataclass(frozen=True)
class Pin:
    """The tag ``name`` is of the commit ``sha``, which has ``tree``."""

    name: str
    sha: str
    tree: str


def find_pin(repository: Repository, name: str) -> Pin | None:
    """The one of that name; None where there is none."""
    # Of many runs git is asked once, see `keep_answers`.
    words = ("for-each-ref", "--format=%(refname:strip=2)", f"refs/tags/{FOLDER}")
    if name not in repository.git(*words).decode("utf-8", "replace").splitlines():
        return None
    sha = repository.resolve(f"refs/tags/{name}")
    if sha is None:  # it is of no commit
        return None
    return Pin(name, sha, repository.git("rev-parse", f"{sha}^{{tree}}").decode().strip())


def is_pin(repository: Repository, sha: str) -> bool:
    """Whether the commit was made to pin a run."""
    return TRAILER in repository.git("cat-file", "commit", sha).decode("utf-8", "replace")


def build_tree(
    repository: Repository, sha: str, patch: bytes, files: Mapping[str, bytes], *, is_kept: bool
) -> tuple[str, list[str]]:
    """The tree of the commit with the patch and, by their paths from its root, with ``files``.

    Without a commit, an empty text, it begins empty. A file is left out, and named, where a link or
    a repository lies. Only if it ``is_kept`` it is written into the repository. Raises GitError
    where the patch does not apply.
    """
    with scratch_folder() as folder:
        index = {"GIT_INDEX_FILE": os.path.join(folder, "index")}
        if not is_kept:
            index |= objects_apart(repository.root, folder)
        repository.read_code(sha, patch, index)
        modes = _modes(repository, index)
        rows, left_out = [], []
        for path, content in sorted(files.items()):
            if modes.get(path, _FILE) in (_LINK, _MODULE):
                left_out.append(path)
                continue
            blob = _write_blob(repository, content, index)
            rows.append(f"{modes.get(path, _FILE)} {blob}\t".encode() + os.fsencode(path) + b"\0")
        repository.git("update-index", "-z", "--index-info", given=b"".join(rows), env=index)
        return repository.git("write-tree", env=index).decode().strip(), left_out


def _write_blob(repository: Repository, content: bytes, index: dict[str, str]) -> str:
    words = ("hash-object", "-w", "--stdin")
    return repository.git(*words, given=content, env=index).decode().strip()


def _modes(repository: Repository, index: dict[str, str]) -> dict[str, str]:
    rows = repository.git("ls-files", "--stage", "-z", env=index).split(b"\0")
    split = (row.partition(b"\t") for row in rows if row)
    return {os.fsdecode(path): facts.split(b" ")[0].decode() for facts, _, path in split}


def create_pin(
    repository: Repository, name: str, tree: str, parents: Sequence[str], message: str
) -> Pin:
    """Raises GitError, as where git does not know who the user is."""
    above = [word for parent in parents for word in ("-p", parent)]
    text = f"{message}\n\n{TRAILER}\n".encode()
    sha = repository.git("commit-tree", tree, *above, "-F", "-", given=text).decode().strip()
    repository.git("update-ref", "--no-deref", f"refs/tags/{name}", sha, "0" * len(sha))
    return Pin(name, sha, tree)


def push_pin(repository: Repository, pin: Pin, remote: str) -> None:
    """Raises GitError, in git's words."""
    if remote not in repository.remotes():
        raise GitError(f"{remote} is no remote of {repository.root}")
    repository.push(remote, f"refs/tags/{pin.name}:refs/tags/{pin.name}")
