"""Every hash that a file of DVC's names in any commit, or in the work tree, told by its text.

So it does not matter whether DVC can read that commit today, in which folder its project lay then,
or of which of several projects in one repository a file is.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mlflow_dvc.git.repository import GitError, Repository

_HASH = re.compile(rb"(?<![0-9a-zA-Z])[0-9a-f]{32}(?:\.dir)?(?![0-9a-zA-Z])")
_PART = re.compile(rb"\s*(deps|outs|params|cmd)\s*:")
_FILES = (":(top,glob)**/*.dvc", ":(top,glob)**/dvc.lock")
_HERE = ("--branches", "--tags", "--remotes")
_EXPERIMENTS = "--glob=refs/exps/*"
_QUEUES = ("refs/exps/celery/stash", "refs/exps/celery/failed")  # their entries are in reflogs
_BATCH = 200  # files that are read together


def hashes_in_commits(
    repository: Repository, *, commits: bool, experiments: bool
) -> Iterator[tuple[str, bool]]:
    """Those of all ``commits`` of branches and tags, and of DVC's ``experiments``, queued ones too:
    each with whether it may be that of an output, as often as a file names it.

    Raises GitError where not every commit is there.
    """
    if commits and repository.git("rev-parse", "--is-shallow-repository").strip() == b"true":
        raise GitError(f"{repository.root} is a shallow clone: its older commits need data, too")
    words: list[str] = []
    if commits:
        words += [*_HERE, *(["HEAD"] if repository.resolve("HEAD") else [])]
    if experiments:
        words += [_EXPERIMENTS, *_queued(repository)]
    blobs = _blobs(repository, words) if words else []
    for start in range(0, len(blobs), _BATCH):
        for text in repository.read_blobs(blobs[start : start + _BATCH]).values():
            yield from _found_in(text)


def hashes_in_work_tree(repository: Repository) -> Iterator[tuple[str, bool]]:
    """The same of what lies in the work tree now, of every project of the repository.

    Raises GitError, and OSError for a file that cannot be read.
    """
    words = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *_FILES)
    for row in set(repository.git(*words).split(b"\0")):
        where = os.path.join(repository.root, os.fsdecode(row))
        if _is_of_dvc(row) and os.path.isfile(where):
            yield from _found_in(Path(where).read_bytes())


def _queued(repository: Repository) -> Iterator[str]:
    """The commits of experiments that wait in DVC's queue."""
    for name in _QUEUES:
        if repository.resolve(name):
            words = ("log", "--walk-reflogs", "--format=%H", name, "--")
            yield from repository.git(*words).decode().split()


def _blobs(repository: Repository, words: list[str]) -> list[str]:
    """The contents that files of DVC's have in these commits and below."""
    found = repository.git("rev-list", "--objects", "--ignore-missing", *words, "--", *_FILES)
    named = (row.partition(b" ") for row in found.splitlines())
    given = b"".join(sorted({name + b"\n" for name, _, path in named if _is_of_dvc(path)}))
    kinds = repository.git("cat-file", "--batch-check=%(objectname) %(objecttype)", given=given)
    rows = (row.split() for row in kinds.decode().splitlines())
    return [name for name, kind in rows if kind != "tree"]  # a folder may be called so


def _is_of_dvc(path: bytes) -> bool:
    name = posixpath.basename(path)
    return name.endswith(b".dvc") or name == b"dvc.lock"


def _found_in(text: bytes) -> Iterator[tuple[str, bool]]:
    """Line by line, as DVC writes its files; what is not told counts as an output."""
    is_output = True
    for line in text.splitlines():
        if match := _PART.match(line):
            is_output = match[1] != b"deps"
        yield from ((value.decode(), is_output) for value in _HASH.findall(line))
