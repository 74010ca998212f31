"""What DVC's run cache keeps of a stage: the outcome of each of its executions.

DVC makes an entry when it locks a stage that has run, and keeps it when the lock is written anew:
https://doc.dvc.org/user-guide/pipelines/run-cache. Not of every stage: not where an output is not
cached, or is kept (``persist``), or a dependency lies at an address.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
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


def saved_outcomes(
    root: str, file: str, name: str, entry: Mapping[str, Any]
) -> list[Outcome] | None:
    """The outcomes of the stage ``name`` of the dvc.yaml ``file``, with what ``entry`` read.

    That is an entry of a lock; its command, dependencies and parameters count. None of a stage of
    which DVC keeps no outcome. Raises OSError where DVC cannot be asked.
    """
    request = {"root": root, "file": file, "name": name, "entry": dict(entry)}
    answer = call_dvc(run_outcomes, request, _MAX_SECONDS)
    return None if answer is None else [Outcome(found, saved) for found, saved in answer]


@api.task("repo", "run cache")
def run_outcomes(
    root: str, file: str, name: str, entry: dict[str, Any]
) -> list[tuple[Any, float]] | None:
    """The task of the child process. It imports DVC and changes the working directory."""
    with open_read_only(root) as repo:
        stage = repo.stage.load_one(os.path.join(root, file), name)
        found = _outcomes(repo, entry)
        if _are_kept(stage):
            return found
        return [] if found else None  # those of `dvc commit`, which keeps more


def _are_kept(stage: Any) -> bool:
    """Whether DVC keeps the outcome when it has run the stage."""
    lie_here = all(dep.protocol == "local" for dep in stage.deps) and all(
        out.protocol == "local" and out.is_in_repo and not out.persist for out in stage.outs
    )
    shown = (out for out in stage.outs if not (out.is_metric or out.is_plot))
    is_cached = all(out.use_cache for out in shown)
    return bool(stage.deps and lie_here and is_cached and not stage.always_changed)


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
