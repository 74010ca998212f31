"""Whether files are as a commit has them, told by their content.

Not by git's index: in the copies in which DVC runs experiments, git takes a changed file for an
unchanged one, as the index there has the time stamps of the change.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence

from mlflow_dvc.git.run import fault_line, run_git

_LIST = ("--literal-pathspecs", "ls-tree", "-z", "--full-tree")
_MAX_PATHS_AT_ONCE = 200  # on one command line; on Windows that has 32,767 characters
_CONVERSIONS = ("filter", "ident", "working-tree-encoding")
_PLAIN = frozenset({b"unspecified", b"unset"})


def files_not_in_commit(
    root: str, sha: str | None, files: Mapping[str, bytes], seconds: float
) -> list[str]:
    """Those of ``files``, by their path from ``root``, that the commit does not have like this.

    None of them is in no commit. Lines may end as git stores them. Raises OSError where git does
    not tell.
    """
    if sha is None:
        return list(files)
    inside = [path for path in files if not os.path.isabs(path) and ".." not in path.split("/")]
    stored: dict[str, str] = {}
    for start in range(0, len(inside), _MAX_PATHS_AT_ONCE):
        batch = inside[start : start + _MAX_PATHS_AT_ONCE]
        stored |= _stored(root, sha, batch, seconds)
    return [path for path, text in files.items() if stored.get(path) not in blob_names(text)]


def _stored(root: str, sha: str, paths: Sequence[str], seconds: float) -> dict[str, str]:
    """What git names the content of each path by. Of these alone: a tree may have a million."""
    done = run_git(root, *_LIST, sha, "--", *paths, seconds=seconds)
    if done.returncode:
        raise OSError(fault_line(done.stderr) or "git does not tell what the commit has")
    rows = (row.partition(b"\t") for row in done.stdout.split(b"\0") if row)
    # `100644 blob <id>`, then the path.
    return {os.fsdecode(path): head.split()[-1].decode() for head, _, path in rows}


def committed_bytes(root: str, sha: str, path: str, seconds: float) -> bytes | None:
    """The file ``path`` in a commit, as it lies in a checkout but for ends of lines.

    None where the commit has no such file, a link, or where git stores other bytes than it lays
    out: by a filter, in another encoding, with its own name filled in.
    """
    row = run_git(root, *_LIST, sha, "--", path, seconds=seconds).stdout
    mode, _, blob = row.partition(b"\t")[0].partition(b" ")
    words = ("check-attr", "-z", *_CONVERSIONS, "--", path)
    asked = run_git(root, *words, seconds=seconds).stdout
    if not mode.startswith(b"100") or not _PLAIN.issuperset(asked.split(b"\0")[2::3]):
        return None
    done = run_git(root, "cat-file", "blob", blob.split()[-1].decode(), seconds=seconds)
    return done.stdout if done.returncode == 0 else None


def blob_names(content: bytes) -> set[str]:
    """What git names this content by, of either kind, as it is and with plain ends of lines."""
    return {
        algorithm(b"blob %d\0%s" % (len(text), text), usedforsecurity=False).hexdigest()
        for text in (content, content.replace(b"\r\n", b"\n"))
        for algorithm in (hashlib.sha1, hashlib.sha256)
    }
