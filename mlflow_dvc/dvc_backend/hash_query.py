"""A question for the hash of a path, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlflow_dvc.dvc_backend.tree_stat import parent_mtime

LEGACY = "md5-dos2unix"


@dataclass(frozen=True)
class HashQuery:
    """What is the hash of ``path``, relative to the DVC root? ``hash`` is what is claimed of it."""

    path: str
    algorithm: str
    hash: str | None = None

    @property
    def key(self) -> str:
        # DVC keeps md5-dos2unix only as long as the file matches it.
        claim = self.hash if self.algorithm == LEGACY else ""
        return f"{self.algorithm} {claim} {self.path}"


@dataclass(frozen=True)
class HashResult:
    """What lies there. ``hash`` is None for what is missing, and for what cannot be hashed.

    ``changed`` is when any of it was last touched, in nanoseconds since 1970; of what is missing,
    when the folder was in which it should be.
    """

    algorithm: str
    hash: str | None
    size: int | None = None
    nfiles: int | None = None
    changed: int = 0
    missing: bool = False

    @classmethod
    def of_missing(cls, query: HashQuery, where: str) -> HashResult:
        return cls(query.algorithm, None, changed=parent_mtime(where), missing=True)


Answer = Mapping[str, HashResult]


ALGORITHMS = ("md5", "md5-dos2unix")
