"""The files of a commit: listed, and some of them read, with nothing checked out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlflow_dvc.git.run import fault_line, run_git

_LIST = ("ls-tree", "-r", "-z", "-l", "--full-tree")
_MODE_OF_FILES = b"100"


@dataclass(frozen=True)
class CommittedFile:
    """A file of a commit: ``blob`` names its content, ``size`` is in bytes."""

    path: str
    blob: str
    size: int


def list_files(root: str, sha: str, seconds: float) -> dict[str, CommittedFile]:
    """Every file of the commit by its path; no link, no submodule. Raises OSError."""
    found = {}
    for row in _ask(root, *_LIST, sha, seconds=seconds).split(b"\0"):
        head, _, name = row.partition(b"\t")
        if head.startswith(_MODE_OF_FILES):
            _, _, blob, size = head.split()
            path = os.fsdecode(name)
            found[path] = CommittedFile(path, blob.decode(), int(size))
    return found


def read_files(
    root: str, files: Sequence[CommittedFile], seconds: float
) -> Iterator[tuple[str, bytes]]:
    """The path and the content of each, all in one go. Raises OSError."""
    given = "".join(f"{file.blob}\n" for file in files).encode()
    answer = _ask(root, "cat-file", "--batch", given=given, seconds=seconds) if files else b""
    at = 0
    for file in files:
        start = answer.index(b"\n", at) + 1  # after `<id> blob <size>`
        if not answer.startswith(f"{file.blob} blob {file.size}\n".encode(), at):
            raise OSError(f"git does not have {file.path}, which its commit names")
        at = start + file.size + 1
        yield file.path, answer[start : start + file.size]


def _ask(root: str, *words: str, seconds: float, given: bytes = b"") -> bytes:
    done = run_git(root, *words, given=given, seconds=seconds)
    if done.returncode:
        raise OSError(fault_line(done.stderr) or f"git {words[0]} failed")
    return done.stdout
