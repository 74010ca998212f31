"""What DVC's run cache keeps of a stage: the outcome of each of its executions.

DVC makes an entry when it locks a stage that has run, and keeps it when the lock is written anew:
https://doc.dvc.org/user-guide/pipelines/run-cache
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import call_dvc
from mlflow_dvc.dvc_backend.readonly_repo import open_read_only

_MAX_SECONDS = 120.0


@dataclass(frozen=True)
class Outcome:
    """What an execution made: its entry as a lock has it, and when DVC first saved such a one.

    ``saved`` is in seconds since 1970.
    """

    entry: Mapping[str, Any]
    saved: float


def saved_outcomes(root: str, entries: Sequence[Mapping[str, Any]]) -> list[list[Outcome]]:
    """For each entry of a lock the outcomes of equal commands, dependencies and parameters.

    None where DVC keeps none. Raises OSError where DVC cannot be asked.
    """
    answer = call_dvc(run_outcomes, {"root": root, "entries": list(entries)}, _MAX_SECONDS)
    return [[Outcome(entry, saved) for entry, saved in found] for found in answer]


@api.task("repo", "run cache")
def run_outcomes(root: str, entries: list[dict[str, Any]]) -> list[list[tuple[Any, float]]]:
    """The task of the child process. It imports DVC and changes the working directory."""
    with open_read_only(root) as repo:
        return [_outcomes(repo, entry) for entry in entries]


def _outcomes(repo: Any, entry: dict[str, Any]) -> list[tuple[Any, float]]:
    key = api.get_cache_hash(dict(entry), key=True)
    folder = api.StageCache(repo)._get_cache_dir(key)
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        path = os.path.join(folder, name)
        with open(path, encoding="utf-8") as file:
            found.append((api.parse_yaml(file.read(), path), os.stat(path).st_mtime))
    return found
