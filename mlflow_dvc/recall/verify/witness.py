"""Hold the attached files against git: whoever owns the tracking store does not own git.

The record's own digests prove nothing against him. What git has like this is confirmed; what git
has otherwise, though the record says that it was as committed, is tampered with; of the rest
nobody knows but the record.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.dvcfiles.dvc_file import runs_the_same
from mlflow_dvc.dvcfiles.lock_file import entry_digest, lock_path
from mlflow_dvc.git.commit_files import committed_bytes, files_not_in_commit
from mlflow_dvc.git.file_history import FileHistory, Replacement
from mlflow_dvc.git.history import GitHistory
from mlflow_dvc.git.pins import is_pin
from mlflow_dvc.git.repository import Repository, full_sha_or_none
from mlflow_dvc.paths import is_inside
from mlflow_dvc.recall.lock_memory import Entries, LockMemory
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.recall.verdict import Check, Verdict
from mlflow_dvc.recall.verify.named_hashes import names_hash, parse

_MAX_SECONDS = 600.0
_MAX_NAMED = 3
_NO_COMMIT = "no commit at hand confirms it"
_DENIED = "the commit has another, and the record says that it was as committed"
_UNCONFIRMED = "it was not as in the commit, and no later commit has it"


@dataclass(frozen=True)
class Witness:
    """``repository`` is None where there is none of the run at hand.

    ``memory`` is for all runs that are asked of together. ``named_by`` is the address of a
    repository that only the record names: whoever wrote the record may own it.
    """

    run: StoredRecord
    repository: Repository | None
    memory: LockMemory = field(default_factory=LockMemory, repr=False, compare=False)
    named_by: str = ""

    def lock_verdict(self, path: str) -> tuple[Verdict, str]:
        """Whether git has what the attached lock says of every stage."""
        verdict, reason = self._lock_verdict(path)
        if not self.named_by or verdict == "UNVERIFIED":
            return verdict, reason
        by = f"by {self.named_by}, which the record names"
        return verdict, f"{reason}; {by}" if reason else by

    def _lock_verdict(self, path: str) -> tuple[Verdict, str]:
        differing = self._differing
        if differing is None:
            return "UNVERIFIED", _NO_COMMIT
        if path not in differing:
            return "PASS", ""
        known, attached = self._locked(path)
        commits = self._taken_in(path)
        missing = [name for name, commit in commits.items() if commit is None]
        if self._was_as_committed(path) and not self._may_differ(list(commits), known):
            return "TAMPERED", _DENIED
        if missing or not attached:
            named = ", ".join(missing[:_MAX_NAMED]) or "it"
            return "UNVERIFIED", f"no commit has what it says of {named}: commit {path}"
        confirmed = sorted({commit[:8] for commit in commits.values() if commit})
        return "PASS", f"as in commit {', '.join(confirmed[:_MAX_NAMED])}" if confirmed else ""

    def confirming_commits(self) -> list[str]:
        """The commits after the run's own that confirm a file of it."""
        found: dict[str, None] = {}
        for path in sorted(self._differing or ()):
            is_lock = path.endswith(".lock")
            commits = self._taken_in(path).values() if is_lock else [self._replacing(path)]
            found.update((commit, None) for commit in commits if commit)
        return list(found)

    def _locked(self, path: str) -> tuple[Entries, Entries]:
        """What the lock says in the run's commit, and what the attached one says."""
        known, attached = self._committed(path), self.run.files.get(path)
        return self.memory.entries(known), self.memory.entries(attached)

    def _taken_in(self, path: str) -> dict[str, str | None]:
        """Each stage of which the attached lock says another thing than the run's commit, with the
        commit that took that in.
        """
        known, attached = self._locked(path)
        names = [name for name in attached | known if attached.get(name) != known.get(name)]
        return {name: self._confirming(path, name, known, attached) for name in names}

    def committed(self, path: str) -> bytes | None:
        """The file as the commit has it; None where it has none, or not its bytes."""
        if self._differing is None or self.repository is None or self._sha is None:
            return None
        return committed_bytes(self.repository.root, self._sha, self._inside(path), _MAX_SECONDS)

    def has_hash(self, maker: str, path: str, value: str) -> bool:
        """Whether git has the hash as that of ``path``, which ``maker`` made.

        That is a stage, or a ``.dvc`` file.

        In the commit; and of data that was added after the run, in what a later one put there.
        """
        if self._differing is None:
            return False
        if not maker.endswith(".dvc"):
            file, _, name = maker.rpartition(":")
            lock = self._committed(lock_path(file or PIPELINE_FILE))
            return names_hash(_made(self.memory.entries(lock).get(name)), path, value)
        known = self._committed(maker)
        if known and names_hash(parse(known), path, value):
            return True
        later = (one.after for one in self._replacements(maker) if one.before == known)
        return any(
            value.encode() in text and names_hash(parse(text), path, value) for text in later
        )

    def file_checks(self) -> Iterator[Check]:
        """Of the other files those that git does not confirm."""
        for path in sorted(self._differing or ()):
            if path.endswith(".lock"):
                continue
            verdict, reason = self._file_verdict(path)
            if verdict != "PASS":
                yield Check("file", path, verdict, reason)

    def _file_verdict(self, path: str) -> tuple[Verdict, str]:
        content = self.run.files[path]
        if posixpath.basename(path) == PIPELINE_FILE and self._is_code_known:
            there = self._patched(path)
            if there is not None:
                same = runs_the_same(there, content)
                return ("PASS", "") if same else ("TAMPERED", "it is not the pipeline of the code")
        if self._was_as_committed(path):
            return "TAMPERED", _DENIED
        if self._replacing(path):
            return "PASS", ""
        return "UNVERIFIED", _UNCONFIRMED

    def _replacing(self, path: str) -> str | None:
        """The commit that took in the attached file in place of what the run's commit has."""
        known, content = self._committed(path), self.run.files[path].split()
        for one in self._replacements(path):
            if one.before == known and one.after.split() == content:
                return one.commit
        return None

    def _may_differ(self, names: Sequence[str], known: Mapping[str, Any]) -> bool:
        """Whether the stage of the run was locked in between, in place of what the commit has."""
        snapshot = self.run.snapshot
        if snapshot.sealed_at is None or snapshot.stage is None:
            return False
        own = snapshot.stage.rpartition(":")[2]
        return (
            own not in names
            or snapshot.stage_before is None
            or snapshot.stage_before == entry_digest(known.get(own))
        )

    def _was_as_committed(self, path: str) -> bool:
        """Whether the record says that the file was then as the commit has it."""
        git = self.run.snapshot.git
        return git is not None and git.uncommitted is not None and path not in git.uncommitted

    def _confirming(
        self, path: str, name: str, known: Mapping[str, Any], attached: Mapping[str, Any]
    ) -> str | None:
        """The commit that took in what the lock says of a stage, in place of what was there."""
        replaced = self.memory.replacements(self._history(path), self._sha)
        for commit, before, after in replaced:
            if before.get(name) == known.get(name) and after.get(name) == attached.get(name):
                return commit
        return None

    @property
    def _is_code_known(self) -> bool:
        git = self.run.snapshot.git
        return git is not None and (git.dirty is False or git.changes is not None)

    def _patched(self, path: str) -> bytes | None:
        """What the commit with the patch has."""
        if self.repository is None:
            return None
        with GitHistory(self.repository.root, _MAX_SECONDS) as commits:
            return commits.content(self._sha or "", self.run.patch(), self._inside(path))

    @cached_property
    def _differing(self) -> set[str] | None:
        """The attached files that the commit does not have like this; None without the commit."""
        git = self.run.snapshot.git
        if self.repository is None or git is None:
            return None
        if git.sha is not None and (self._sha is None or not self.repository.has(self._sha)):
            return None
        if self._sha is not None and is_pin(self.repository, self._sha):
            return None  # it was made of a record, maybe of this one
        safe = filter(is_inside, self.run.project_files)
        paths = {self._inside(path): path for path in safe}
        files = {inside: self.run.files[path] for inside, path in paths.items()}
        try:
            found = files_not_in_commit(self.repository.root, self._sha, files, _MAX_SECONDS)
        except OSError:  # git does not tell
            return None
        return {paths[inside] for inside in found}

    @property
    def _sha(self) -> str | None:
        git = self.run.snapshot.git
        return full_sha_or_none(git.sha) if git else None

    def _inside(self, path: str) -> str:
        """Seen from the root of the repository."""
        seen = os.path.normpath(os.path.join(self.run.snapshot.root or ".", path))
        return seen.replace(os.sep, "/")

    def _committed(self, path: str) -> bytes | None:
        return self.memory.at(self._history(path), self._sha)

    def _replacements(self, path: str) -> tuple[Replacement, ...]:
        return self.memory.contents(self._history(path), self._sha)

    def _history(self, path: str) -> FileHistory:
        return FileHistory(self.repository.root if self.repository else "", self._inside(path))


def _made(entry: Any) -> Any:
    """What a stage's entry of a lock says of outputs."""
    return entry.get("outs") if isinstance(entry, Mapping) else None
