"""Every hash that a file of DVC's names in any commit, told by its text.

So it does not matter whether DVC can read that commit today, in which folder its project lay then,
or of which of several projects in one repository a file is.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from mlflow_dvc.git.run import fault_line, run_git

_HASH = re.compile(rb"(?<![0-9a-zA-Z])[0-9a-f]{32}(?:\.dir)?(?![0-9a-zA-Z])")
_PART = re.compile(rb"\s*(deps|outs|params|cmd)\s*:|[0-9a-f]+ blob ")
_FILES = (":(top,glob)**/*.dvc", ":(top,glob)**/dvc.lock")
_HERE = ("HEAD", "--branches", "--tags", "--remotes")
_EXPERIMENTS = ("--glob=refs/exps/*",)
_QUEUES = ("refs/exps/celery/stash", "refs/exps/celery/failed")  # their entries are in reflogs
_BATCH = 200  # files that are read together
_MAX_SECONDS = 3600.0


def hashes_in_commits(root: str, *, commits: bool, experiments: bool) -> dict[str, bool]:
    """Those of all ``commits`` of branches and tags, and of DVC's ``experiments``, queued ones too:
    each with whether it is that of an output, and not of a dependency alone.

    ``root`` is in a git repository. Raises OSError where not every commit is there.
    """
    if commits and _ask(root, "rev-parse", "--is-shallow-repository").strip() == b"true":
        raise OSError(f"{root} is a shallow clone: its older commits need data, too")
    words = [*(_HERE if commits else ()), *(_EXPERIMENTS if experiments else ())]
    words += _queued(root) if experiments else ()
    if not words:
        return {}
    if "HEAD" in words and run_git(root, "rev-parse", "--verify", "--quiet", "HEAD").returncode:
        words.remove("HEAD")  # before the first commit
    rows = _ask(root, "rev-list", "--objects", "--ignore-missing", *words, "--", *_FILES)
    named = (row.partition(b" ") for row in rows.splitlines())
    blobs = sorted({blob for blob, _, path in named if _is_of_dvc(path)})
    found: dict[str, bool] = {}
    for text in _read(root, blobs):
        for value, is_output in _found_in(text):
            found[value] = found.get(value, False) or is_output
    return found


def _queued(root: str) -> list[str]:
    """The commits of experiments that wait in DVC's queue."""
    found = (
        run_git(root, "log", "--walk-reflogs", "--format=%H", name, "--", seconds=_MAX_SECONDS)
        for name in _QUEUES
    )
    return [sha for done in found for sha in done.stdout.decode().split()]


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


def _read(root: str, blobs: list[bytes]) -> Iterator[bytes]:
    """The contents, many in one text."""
    for start in range(0, len(blobs), _BATCH):
        given = b"".join(blob + b"\n" for blob in blobs[start : start + _BATCH])
        content = _ask(root, "cat-file", "--batch", given=given)
        if b" missing\n" in content:
            raise OSError(f"{root} does not have all files of its commits: fetch them")
        yield content


def _ask(root: str, *words: str, given: bytes = b"") -> bytes:
    done = run_git(root, *words, given=given, seconds=_MAX_SECONDS)
    if done.returncode:
        raise OSError(fault_line(done.stderr) or f"git {words[0]} failed in {root}")
    return done.stdout
