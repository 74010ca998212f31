"""Fetch all data of a run into a restored tree."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import call_dvc
from mlflow_dvc.dvc_backend.storage.availability import Origin
from mlflow_dvc.dvc_backend.storage.fetch import FetchRequest, fetch_into
from mlflow_dvc.dvc_backend.storage.sources import OpenStores
from mlflow_dvc.dvc_backend.storage.unfinished import PREFIX
from mlflow_dvc.dvc_backend.trust import trust_only
from mlflow_dvc.progress import Work

_MAX_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True)
class FetchOrder:
    """Bring the data of this hash to ``target``, an absolute path that must not exist.

    ``size`` is how many bytes it has, as far as that is known.
    """

    path: str
    algorithm: str
    hash: str
    target: str
    origin: Origin | None = None
    size: int | None = None


def fetch_all(
    root: str, project: str | None, own: str | None, orders: Iterable[FetchOrder], kept: str
) -> list[list[str] | None]:
    """For each order: None when its data is at the target, else why each place failed.

    ``root`` is the DVC project of the tree. It is made to share the cache and the remotes of
    ``project``, a checkout of the same on this machine. ``own`` is the project whose settings are
    the user's. ``kept`` says in words what becomes of it when it is interrupted. Raises OSError
    where DVC cannot be asked.
    """
    rows = [asdict(order) for order in orders]
    if not rows:
        return []
    request = {"root": root, "project": project, "own": own, "orders": rows, "kept": kept}
    answer: list[list[str] | None] = call_dvc(run_fetch_all, request, _MAX_SECONDS)
    return answer


@api.task("repo", "hash", "stores", "trust", "share")
def run_fetch_all(
    root: str,
    project: str | None,
    own: str | None,
    orders: Sequence[Mapping[str, Any]],
    kept: str,
) -> list[list[str] | None]:
    """The task of the child process. It imports DVC and changes the working directory."""
    trust_only(own)
    shared = _settings_of(project) if project else None
    with OpenStores(own, shared) as sources:
        sources.enter_context(_exclusive(root))
        if shared:
            _share(root, shared)
        _clear_folders(orders)
        return _fetch_each(root, orders, sources, kept)


def _fetch_each(
    root: str, orders: Sequence[Mapping[str, Any]], sources: OpenStores, kept: str
) -> list[list[str] | None]:
    sizes = [order["size"] for order in orders]
    known = None if None in sizes else sum(sizes)
    answer = []
    with Work("bringing data", "outputs", len(orders), known, kept) as work:
        for number, order in enumerate(orders, 1):
            answer.append(_fetch_one(root, order, sources, work))
            if known is not None:
                work.settle_bytes(sum(sizes[:number]))
            work.advance()
    return answer


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


def _clear_folders(orders: Iterable[Mapping[str, Any]]) -> None:
    """Of what an attempt has left there that was broken off, and that is of no use to this one."""
    folders: dict[str, set[str]] = {}
    for order in orders:
        folder = os.path.dirname(order["target"])
        folders.setdefault(folder, set()).add(f"{PREFIX}{order['hash']}")
    for folder, useful in folders.items():
        for left in glob.glob(os.path.join(glob.escape(folder), f"{PREFIX}*")):
            if os.path.basename(left) not in useful:
                shutil.rmtree(left, ignore_errors=True)


def _fetch_one(
    root: str, order: Mapping[str, Any], sources: OpenStores, work: Work
) -> list[str] | None:
    target = order["target"]
    wanted = FetchRequest(order["path"], order["algorithm"], order["hash"], root)
    path, tried = fetch_into(wanted, target, sources, work, resumable=True)
    if path is None and (origin := order["origin"]):
        there = FetchRequest(
            origin["path"], wanted.algorithm, wanted.hash, repo=origin["url"], rev=origin["rev"]
        )
        path, more = fetch_into(there, target, sources, work, resumable=True)
        tried += more
    return None if path else tried


def _settings_of(project: str) -> dict[str, Any]:
    """Where the cache of a project is, and its remotes.

    A commit may be older than a remote, one that is a folder is named relative to the project, and
    what is secret is nowhere else.
    """
    theirs = api.Config(os.path.join(project, ".dvc"))
    said = theirs.load_one("repo")
    api.merge_config(said, theirs.load_one("local"))
    default = said["core"].get("remote")
    return {
        "core": {"remote": default} if default else {},
        "remote": {name: dict(settings) for name, settings in said["remote"].items()},
        "cache": {"dir": said["cache"].get("dir") or os.path.join(project, ".dvc", "cache")},
    }


def _share(root: str, settings: Mapping[str, Any]) -> None:
    """In the tree's own ``config.local``, in place of what a commit may have put there."""
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(root, ".dvc", "config.local"))
    with api.Config(os.path.join(root, ".dvc")).edit("local") as local:
        api.merge_config(local, settings)
