"""How the code of two runs differs: commits between them, and their patches."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.dvcfiles.dvc_file import runs_the_same
from mlflow_dvc.git.head import is_sha
from mlflow_dvc.git.history import CommitRange, GitHistory, NoCode
from mlflow_dvc.snapshot import GitState

_MAX_SECONDS = 120.0
_SAME_CODE = {PIPELINE_FILE: runs_the_same}
_MAX_OMITTED_SHOWN = 20
_PROGRAMS_ALONE = "one run was before the first commit: of its code only programs are attached"
_MAX_TEXT_LINES = 40_000  # where few of them differ, to compare these takes seconds
_MAX_TEXT_BYTES = 1_000_000  # bytes of two patches that are compared line by line


@dataclass(frozen=True)
class RunCode:
    """What a run has of its code.

    ``others`` are the paths of attached files beside the patch: what it cannot carry. ``outs`` and
    ``shown`` are as in :class:`~mlflow_dvc.git.history.NoCode`.
    """

    git: GitState | None
    patch: bytes | None = None
    others: tuple[str, ...] = ()
    outs: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()

    @property
    def names_state(self) -> bool:
        """Whether it names a commit, or was before the first one, with its code attached."""
        sha = self.git.sha if self.git else None
        return is_sha(sha) or (sha is None and self.is_known)

    @property
    def is_known(self) -> bool:
        """Whether at least most of it is there, so that what differs from it is another code."""
        if self.git is None or self.git.dirty is None:
            return False
        return not self.git.dirty or bool(self.patch or self.others or self.git.omitted)

    @property
    def gaps(self) -> Iterator[str]:
        """In words, what of the code is not in the commit and the patch, or may not be."""
        if self.git is None or not self.names_state:
            yield "it names no commit"
            return
        if self.git.dirty is None:
            yield "whether its code was all committed is not known"
        elif not self.is_known:
            yield "its uncommitted code is not attached"
        yield from (f"omitted: {line}" for line in self.git.omitted[:_MAX_OMITTED_SHOWN])
        if (more := len(self.git.omitted) - _MAX_OMITTED_SHOWN) > 0:
            yield f"omitted: {more} more"
        yield from (f"not compared: {path}" for path in self.others[:_MAX_OMITTED_SHOWN])
        if (more := len(self.others) - _MAX_OMITTED_SHOWN) > 0:
            yield f"not compared: {more} more files"


@dataclass(frozen=True)
class CodeDiff:
    """``differs`` is about the code alone, not about the commits; None where it is not known.

    ``text`` is a unified diff of the ``code``, each commit with the patch of its run; or of the
    ``patches`` as texts, where the code is not at hand. What DVC writes is data, and not in it.
    ``gained`` and ``lost`` are the commits behind only the new run and only the old one, None where
    they are not known. ``notes`` say in words what could not be compared.
    """

    old: GitState | None
    new: GitState | None
    differs: bool | None
    gained: CommitRange | None = None
    lost: CommitRange | None = None
    text: str = ""
    text_of: Literal["code", "patches"] | None = None
    notes: tuple[str, ...] = ()


def compare_code(old: RunCode, new: RunCode, root: str | None) -> CodeDiff:
    """``root`` is a git repository that may have the commits."""
    notes = tuple(f"{name}: {gap}" for name, code in _named(old, new) for gap in code.gaps)
    found = CodeDiff(old.git, new.git, None, notes=notes)
    if not (old.names_state and new.names_state):
        return found
    if _is_same(old, new):
        nothing = CommitRange(0, ())
        return replace(found, differs=False, gained=nothing, lost=nothing)
    try:
        with GitHistory(_require_root(root), _MAX_SECONDS) as commits:
            _require(commits, old, new)
            found = _with_commits(commits, found, _sha(old), _sha(new))
            trees = [_tree(commits, name, code) for name, code in _named(old, new)]
            apart = NoCode(old.outs | new.outs, old.shown | new.shown, _SAME_CODE)
            diff = commits.diff(trees[0], trees[1], apart)
    except (OSError, ValueError) as error:
        return _with_patches(found, f"the code cannot be compared: {error}", old, new)
    if diff and bool(_sha(old)) != bool(_sha(new)):
        return replace(
            found, notes=(*found.notes, _PROGRAMS_ALONE), text=_decode(diff), text_of="code"
        )
    differs = None if notes else bool(diff)
    if diff and old.is_known and new.is_known:
        differs = True
    return replace(found, differs=differs, text=_decode(diff), text_of="code")


def _decode(diff: bytes) -> str:
    return diff.decode("utf-8", "replace")


def _named(old: RunCode, new: RunCode) -> tuple[tuple[str, RunCode], tuple[str, RunCode]]:
    return ("old", old), ("new", new)


def _is_same(old: RunCode, new: RunCode) -> bool:
    """Whether it is one commit, with nothing or all the same on top of it."""
    if old.git is None or new.git is None or old.git.sha != new.git.sha:
        return False
    if old.git.dirty is False and new.git.dirty is False:
        return True
    return old.git.changes is not None and old.git.changes == new.git.changes


def _require_root(root: str | None) -> str:
    if root is None:
        raise OSError("there is no git repository at or above the directory")
    return root


def _with_commits(commits: GitHistory, found: CodeDiff, old: str, new: str) -> CodeDiff:
    """Before the first commit, nothing leads from one to the other."""
    notes = found.notes
    if not old or not new:
        return found
    if commits.is_shallow():
        notes += ("the repository is shallow: there may be more commits between the two",)
    gained, lost = commits.commits_not_in(new, old), commits.commits_not_in(old, new)
    return replace(found, gained=gained, lost=lost, notes=notes)


def _require(commits: GitHistory, old: RunCode, new: RunCode) -> None:
    for name, code in _named(old, new):
        if _sha(code) and not commits.has(_sha(code)):
            raise OSError(
                f"the repository here does not have the {name} commit {_sha(code)[:12]};"
                " `git fetch` may bring it"
            )


def _tree(commits: GitHistory, name: str, code: RunCode) -> str:
    try:
        return commits.tree(_sha(code), code.patch)
    except OSError as error:
        raise OSError(f"the patch of the {name} run does not fit its commit ({error})") from error


def _sha(code: RunCode) -> str:
    return (code.git.sha if code.git else None) or ""


def _with_patches(found: CodeDiff, why: str, old: RunCode, new: RunCode) -> CodeDiff:
    """As much as the attached patches tell without the commits that they belong to."""
    notes = (*found.notes, why)
    texts = (old.patch or b"", new.patch or b"")
    if texts[0] == texts[1]:
        return replace(found, notes=notes)
    # On one commit two patches are two states of the code. What git refuses tells nothing.
    tells = _sha(old) == _sha(new) and found.gained is None and not found.notes
    differs = True if tells else None
    count = sum(text.count(b"\n") for text in texts)
    if sum(map(len, texts)) > _MAX_TEXT_BYTES or count > _MAX_TEXT_LINES:
        notes += ("the patches differ, and are too large to be compared as texts",)
        return replace(found, differs=differs, notes=notes)
    lines = [text.decode("utf-8", "replace").splitlines(keepends=True) for text in texts]
    rows = difflib.unified_diff(lines[0], lines[1], "old/dvc/code.patch", "new/dvc/code.patch")
    text = "".join(row if row.endswith("\n") else f"{row}\n" for row in rows)
    return replace(found, differs=differs, text=text, text_of="patches", notes=notes)
