"""Which tracked data lies on no remote; nothing is downloaded."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import call_dvc, describe_dvc_error
from mlflow_dvc.dvc_backend.hash_query import LEGACY
from mlflow_dvc.dvc_backend.readonly_repo import open_read_only
from mlflow_dvc.dvc_backend.storage.stores import existing_hashes, read_listing_anywhere

_MAX_SECONDS = 3600.0


@dataclass(frozen=True)
class UnpushedOutput:
    """Data of which something is not on its remote, or which nobody has any more.

    Of ``files`` many (a folder's listing counts as one), ``absent`` are not on ``remote``, and
    ``lost`` of these not in the cache either. ``remote`` is None where there is none. ``listing``
    is where on it the listing of a folder lies: while it is there, DVC pushes nothing of that.
    """

    path: str
    hash: str
    remote: str | None
    files: int
    absent: int
    lost: int
    listing: str | None = None


@dataclass(frozen=True)
class PushStatus:
    """``faults`` says in words which remote could not be asked, or why DVC could not."""

    absent: tuple[UnpushedOutput, ...] = ()
    faults: tuple[str, ...] = ()


def read_push_status(root: str) -> PushStatus:
    """Of every output that DVC pushes. Raises OSError or ValueError where DVC cannot be asked."""
    raw = call_dvc(run_pushed, {"root": root}, _MAX_SECONDS)
    return PushStatus(tuple(UnpushedOutput(**row) for row in raw["absent"]), tuple(raw["faults"]))


@api.task("repo", "stores", "push")
def run_pushed(root: str) -> dict[str, Any]:
    """The task of the child process. It imports DVC and changes the working directory."""
    found: list[UnpushedOutput] = []
    faults: list[str] = []
    try:
        with open_read_only(root) as repo:
            groups: dict[tuple[str | None, str], list[Any]] = defaultdict(list)
            for out in filter(_is_to_be_pushed, repo.index.outs):
                groups[_remote_of(repo, out), out.hash_name].append(out)
            for (remote, algorithm), outs in groups.items():
                try:
                    found += _find_unpushed(repo, remote, algorithm, outs)
                except Exception as error:
                    faults.append(
                        f"remote {remote}: {describe_dvc_error(error)}"
                        if remote
                        else describe_dvc_error(error)
                    )
    except Exception as error:
        faults.append(describe_dvc_error(error))
    found.sort(key=lambda one: one.path)
    return {"absent": [asdict(one) for one in found], "faults": faults}


def _is_to_be_pushed(out: Any) -> bool:
    """What was imported from another DVC project stays there."""
    return bool(
        out.use_cache
        and out.can_push
        and out.is_in_repo
        and out.hash_info
        and not out.stage.is_repo_import
    )


def _remote_of(repo: Any, out: Any) -> str | None:
    name = out.remote or repo.config["core"].get("remote")
    return str(name) if name else None


def _find_unpushed(
    repo: Any, remote: str | None, algorithm: str, outs: Iterable[Any]
) -> list[UnpushedOutput]:
    cache = repo.cache.legacy if algorithm == LEGACY else repo.cache.local
    store = None
    if remote is not None:
        opened = repo.cloud.get_remote(remote)
        if opened.fs.version_aware or opened.worktree:
            return []  # it has no objects by their hash: the versions stand in DVC's files
        store = opened.legacy_odb if algorithm == LEGACY else opened.odb
    needed = {out: _objects(repo, algorithm, out.hash_info.value) for out in outs}
    every = set().union(*needed.values())
    there = existing_hashes(store, every) if store is not None else set()
    here = existing_hashes(cache, every - there)
    found = []
    for out, objects in needed.items():
        absent = objects - there
        lost = absent - here
        if lost or (absent and store is not None):
            path = os.path.relpath(out.fs_path, repo.root_dir).replace(os.sep, "/")
            counts = (len(objects), len(absent), len(lost))
            value = out.hash_info.value
            listing = _place_of(algorithm, value) if value in there - absent else None
            found.append(UnpushedOutput(path, value, remote, *counts, listing))
    return found


def _place_of(algorithm: str, value: str) -> str:
    """The path of an object below the address of a remote."""
    folder = "" if algorithm == LEGACY else "files/md5/"
    return f"{folder}{value[:2]}/{value[2:]}"


def _objects(repo: Any, algorithm: str, value: str) -> set[str]:
    """The hash of the file; of a folder that of its listing, and of each file if it can be had."""
    if not value.endswith(".dir"):
        return {value}
    rows, _ = read_listing_anywhere(repo, algorithm, value)
    return {value, *(row["md5"] for row in rows or ())}
