"""The patch of a work tree that is as it was for an earlier run of this process.

To make one takes five calls of git. One call names what differs from the commit; if that is what it
was, and each of these files looks as it did, the patch is the same.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mlflow_dvc.fingerprint import Fingerprint
from mlflow_dvc.git.changed_code import PatchOptions
from mlflow_dvc.git.code_files import is_never_code, is_program
from mlflow_dvc.git.head import find_git_dir
from mlflow_dvc.git.patch import MAX_PATCH_SECONDS, make_patch
from mlflow_dvc.git.run import run_git
from mlflow_dvc.git.uncommitted import Patch

_STATUS = (
    "status", "--porcelain=v2", "-z", "--untracked-files=all", "--ignore-submodules=none",
    "--no-renames",
)  # fmt: skip
_FIELDS = {b"1": 8, b"u": 10}  # before the path; the third says what a submodule is
_MAX_FILES = 5000  # to look at more takes longer than to ask git


@dataclass(frozen=True)
class _Look:
    """What git says of each file that may count, and how these and git's index look."""

    rows: tuple[bytes, ...]
    files: Mapping[str, Fingerprint]

    def tells_no_change(self, before: _Look | None, since: float | None) -> bool:
        """Whether everything is as it was, and ``since`` then; not where that cannot be told."""
        if before is None or self.rows != before.rows or self.files != before.files:
            return False
        latest = 0 if since is None else int(since * 1e9)
        return all(
            one.missing or (one.signature is not None and not 0 < latest < max(one.signature[:2]))
            for one in self.files.values()
        )


@dataclass(frozen=True)
class _Known:
    root: str
    sha: str | None
    wanted: PatchOptions
    patch: Patch
    look: _Look | None  # None until it was asked for twice


_last: _Known | None = None


def find_patch(root: str, sha: str | None, wanted: PatchOptions) -> Patch:
    """What :func:`~mlflow_dvc.git.patch.make_patch` returns, and raises."""
    global _last
    alike = replace(wanted, since=None)
    last, look = _last, None
    if last and (last.root, last.sha, last.wanted) == (root, sha, alike) and last.patch.is_plain:
        look = _look(root, wanted)
        if look is not None and look.tells_no_change(last.look, wanted.since):
            return last.patch
    found = make_patch(root, sha, wanted)
    # What changed between the look and the patch shows at the next look.
    _last = _Known(root, sha, alike, found, look)
    return found


def _look(root: str, wanted: PatchOptions) -> _Look | None:
    """None where git does not tell, or where files are not all that counts."""
    if wanted.by_content:
        return None
    done = run_git(root, *_STATUS, seconds=MAX_PATCH_SECONDS)
    if done.returncode:
        return None
    rows: list[bytes] = []
    paths = {os.path.join(find_git_dir(root), "index")}
    for row in filter(None, done.stdout.split(b"\0")):
        kind = row[:1]
        if kind in _FIELDS:
            *fields, path = row.split(b" ", _FIELDS[kind])
            if not fields[2].startswith(b"N"):
                return None  # a submodule has changes of its own
            rows.append(row)
            paths.add(os.path.join(root, os.fsdecode(path)))
        elif kind == b"?":
            name = os.fsdecode(row[2:])
            where = os.path.join(root, name)
            if where in wanted.loaded or (is_program(name) and not is_never_code(name)):
                rows.append(row)
                paths.add(where)
        else:
            return None
    if wanted.script:
        paths.add(wanted.script)
    if len(paths) > _MAX_FILES:
        return None
    return _Look(tuple(rows), {path: Fingerprint.of(path) for path in paths})
