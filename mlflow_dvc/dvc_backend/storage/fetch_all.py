"""Fetch all data of a run into a restored tree."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import call_dvc
from mlflow_dvc.dvc_backend.readonly_repo import strip_remote_config
from mlflow_dvc.dvc_backend.storage.availability import Origin
from mlflow_dvc.dvc_backend.storage.fetch import UNFINISHED, FetchRequest, OpenStores, fetch_into

_MAX_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True)
class FetchOrder:
    """Bring the data of this hash to ``target``, an absolute path that must not exist."""

    path: str
    algorithm: str
    hash: str
    target: str
    origin: Origin | None = None


def fetch_all(
    root: str, project: str | None, orders: Iterable[FetchOrder]
) -> list[list[str] | None]:
    """For each order: None when its data is at the target, else why each place failed.

    ``root`` is the DVC project of the tree. It is made to share the cache and the remotes of
    ``project``, a checkout of the same on this machine. Raises OSError where DVC cannot be asked.
    """
    request = {"root": root, "project": project, "orders": [asdict(order) for order in orders]}
    answer: list[list[str] | None] = call_dvc(run_fetch_all, request, _MAX_SECONDS)
    return answer


@api.task("repo", "hash", "stores", "share")
def run_fetch_all(
    root: str, project: str | None, orders: Sequence[Mapping[str, Any]]
) -> list[list[str] | None]:
    """The task of the child process. It imports DVC and changes the working directory."""
    with OpenStores(untrusted=True) as sources:
        sources.enter_context(_exclusive(root))
        trusted = _share(root, project) if project else {}
        strip_remote_config(sources.project(root), trusted)
        return [_fetch_one(root, order, sources) for order in orders]


@contextmanager
def _exclusive(root: str) -> Iterator[None]:
    """An attempt that was killed may still be at work: its folders are not to be taken away."""
    try:
        import fcntl
    except ImportError:  # on Windows
        yield
        return
    folder = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _fetch_one(root: str, order: Mapping[str, Any], sources: OpenStores) -> list[str] | None:
    target = order["target"]
    for left in glob.glob(os.path.join(glob.escape(os.path.dirname(target)), f"{UNFINISHED}*")):
        shutil.rmtree(left, ignore_errors=True)  # of an attempt that was broken off
    wanted = FetchRequest(order["path"], order["algorithm"], order["hash"], root)
    path, tried = fetch_into(wanted, target, sources)
    if path is None and (origin := order["origin"]):
        there = FetchRequest(
            origin["path"], wanted.algorithm, wanted.hash, repo=origin["url"], rev=origin["rev"]
        )
        path, more = fetch_into(there, target, sources)
        tried += more
    return None if path else tried


def _share(root: str, project: str) -> dict[str, Any]:
    """In the tree's own ``config.local``: where the cache of the project is, and its remotes.

    The commit may be older than a remote, one that is a folder is named relative to the project,
    and what is secret is nowhere else. Returns the remotes.
    """
    theirs = api.Config(os.path.join(project, ".dvc"))
    shared = theirs.load_one("repo")
    api.merge_config(shared, theirs.load_one("local"))
    with api.Config(os.path.join(root, ".dvc")).edit("local") as local:
        for name, settings in shared["remote"].items():
            local["remote"][name] = dict(settings)
        if default := shared["core"].get("remote"):
            local["core"]["remote"] = default
        local["cache"]["dir"] = shared["cache"].get("dir") or os.path.join(project, ".dvc", "cache")
    return {name: dict(settings) for name, settings in shared["remote"].items()}
