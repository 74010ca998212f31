"""Fetch data by its hash: from the work tree, the cache, a remote or a git repository.

Whatever is handed on was hashed after it was copied: a damaged object in a cache is passed over.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import call_dvc, describe_dvc_error
from mlflow_dvc.dvc_backend.hash_query import ALGORITHMS, HashQuery
from mlflow_dvc.dvc_backend.hashing import run_hashing
from mlflow_dvc.dvc_backend.storage.sources import OpenStores
from mlflow_dvc.dvc_backend.storage.stores import check_names, copy_object
from mlflow_dvc.dvc_backend.storage.unfinished import Unfinished, hash_copy
from mlflow_dvc.dvc_backend.trust import why_without_credentials
from mlflow_dvc.paths import is_inside
from mlflow_dvc.progress import Work

_MAX_SECONDS = 24 * 3600.0
_ODD_PATH = "leads out of the project, or into a folder of git's or DVC's own"
_HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")

Copy = Callable[[Unfinished], str]  # copies the data to a place of its own there; where to


@dataclass(frozen=True)
class FetchRequest:
    """One piece of data, and where to look for it. ``root`` is a project on this machine.

    ``repo`` and ``rev`` name a git repository, in whose folder ``subdir`` the project is.
    ``remote`` is the URL of a DVC remote, ``endpoint`` the server that has its bucket.
    """

    path: str
    algorithm: str
    hash: str
    root: str | None = None
    repo: str | None = None
    rev: str | None = None
    remote: str | None = None
    subdir: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True)
class TrackedData:
    """What a revision of a project says of one path."""

    path: str
    algorithm: str
    hash: str
    size: int | None = None
    nfiles: int | None = None


def fetch(wanted: FetchRequest, target: str | None) -> tuple[str | None, list[str]]:
    """Where it lies now, and in words what was wrong with each place that was tried before.

    Copied to ``target``, where nothing is overwritten; with None it may stay in the work tree, and
    goes to a new folder otherwise. Raises OSError where DVC cannot be asked.
    """
    answer = call_dvc(run_fetch, {"wanted": asdict(wanted), "target": target}, _MAX_SECONDS)
    return answer["path"], list(answer["tried"])


def locate(path: str, root: str | None, repo: str | None, rev: str | None) -> TrackedData | str:
    """What DVC tracks at ``path`` of the project ``root``, or of ``repo``, at the revision.

    In words why there is nothing. Raises OSError where DVC cannot be asked.
    """
    request = {"path": path, "root": root, "repo": repo, "rev": rev}
    answer = call_dvc(run_locate, request, _MAX_SECONDS)
    return TrackedData(**answer["found"]) if "found" in answer else str(answer["fault"])


@api.task()
def run_fetch(wanted: Mapping[str, Any], target: str | None) -> dict[str, Any]:
    """The task of the child process. It imports DVC and changes the working directory."""
    asked = FetchRequest(**wanted)
    if not is_inside(asked.path):
        return {"path": None, "tried": [f"{asked.path!r} {_ODD_PATH}"]}
    with OpenStores(asked.root) as sources, Work("fetching", "files") as work:
        path, tried = fetch_into(asked, target, sources, work)
    return {"path": path, "tried": tried}


def fetch_into(
    wanted: FetchRequest,
    target: str | None,
    sources: OpenStores,
    work: Work,
    *,
    resumable: bool = False,
) -> tuple[str | None, list[str]]:
    """Fetch with stores that are open already; bytes count as ``work``.

    ``resumable``: when interrupted, what there is of a folder stays beside the target for the next
    call. Nobody else may fetch to there meanwhile.
    """
    if refusal := _refuse(wanted):
        return None, [refusal]
    if target is None and (here := _in_work_tree(wanted)):
        return here, []
    api.require("repo", "hash", "stores", "trust")
    if target is not None and os.path.lexists(target):
        if hash_copy(target, wanted.algorithm) == wanted.hash:
            return target, []
        return None, [f"{target} is there already, and something else"]
    tried: list[str] = []
    with Unfinished(wanted.hash, wanted.algorithm, target, work, resumable=resumable) as unfinished:
        for name, copy in _places(wanted, sources, tried):
            try:
                unfinished.begin()
                copied = copy(unfinished)
                return unfinished.finish(copied, os.path.basename(wanted.path)), tried
            except Exception as error:
                tried.append(f"{name}: {describe_dvc_error(error)}")
    return None, tried


def _refuse(wanted: FetchRequest) -> str:
    """Why it is not looked for, in words; empty where it is."""
    if wanted.algorithm not in ALGORITHMS:
        return f"{wanted.algorithm} hashes cannot be verified locally"
    if not _HASH.fullmatch(wanted.hash):
        return f"{wanted.hash!r} is no hash"
    if wanted.repo and not is_inside(posixpath.join(wanted.subdir or ".", wanted.path)):
        return f"{wanted.path!r} {_ODD_PATH}"
    return ""


@api.task("stores")
def run_locate(path: str, root: str | None, repo: str | None, rev: str | None) -> dict[str, Any]:
    """The task of the child process. It imports DVC."""
    try:
        with api.Repo(root, rev=rev) if repo is None else api.Repo.open(repo, rev=rev) as opened:
            info = opened.dvcfs.info(path)
            entry = info.get("dvc_info", {}).get("entry")
            hashed = getattr(entry, "hash_info", None)
            if not hashed:
                return {"fault": f"{path} is not tracked by DVC there"}
            meta = entry.meta
            found = TrackedData(path, hashed.name, hashed.value, meta.size, meta.nfiles)
            return {"found": asdict(found)}
    except Exception as error:
        return {"fault": describe_dvc_error(error)}


def _places(
    wanted: FetchRequest, sources: OpenStores, tried: list[str]
) -> Iterator[tuple[str, Copy]]:
    """Every place to look in, the nearest first; what cannot be opened is told in ``tried``."""

    def opened(name: str, open_it: Callable[..., Any], *words_of: Any) -> Any:
        try:
            return open_it(*words_of)
        except Exception as error:
            tried.append(f"{name}: {describe_dvc_error(error)}")
            return None

    if wanted.root and (repo := opened(wanted.root, sources.project, wanted.root)):
        here = os.path.join(wanted.root, wanted.path)
        if _is_readable(wanted):
            yield f"work tree {here}", lambda to: _copy_tree(here, to.data)
        yield from _of_repo(repo, wanted, sources, tried)
    if wanted.remote:
        about = (wanted.remote, wanted.algorithm, wanted.endpoint)
        if odb := opened(wanted.remote, sources.remote, *about):
            anonymous = why_without_credentials({}, url=wanted.remote, endpointurl=wanted.endpoint)
            name = f"{wanted.remote}, {anonymous}" if anonymous else wanted.remote
            yield name, partial(_copy_object, odb, wanted)
    if wanted.repo:
        name = f"{wanted.repo}@{wanted.rev}" if wanted.rev else wanted.repo
        if clone := opened(name, sources.repository, wanted.repo, wanted.rev):
            yield from _of_repo(clone, wanted, sources, tried)
            inside = os.path.normpath(os.path.join(wanted.subdir or "", wanted.path))
            yield name, lambda to: _copy_from_project(clone.dvcfs, inside, to.data)
        # A remote may have moved since that revision: where to, the repository says today.
        if wanted.rev and (now := opened(wanted.repo, sources.repository, wanted.repo, None)):
            yield from _of_repo(now, wanted, sources, tried)


def _of_repo(
    repo: Any, wanted: FetchRequest, sources: OpenStores, tried: list[str]
) -> Iterator[tuple[str, Copy]]:
    for name, odb in sources.stores(repo, wanted.algorithm, tried):
        yield name, partial(_copy_object, odb, wanted)


def _in_work_tree(wanted: FetchRequest) -> str | None:
    """The path there, if what lies there is what is wanted, as far as DVC knows or by its hash."""
    if not wanted.root or not _is_readable(wanted):
        return None
    question = HashQuery(wanted.path, wanted.algorithm, wanted.hash)
    found = run_hashing(wanted.root, [asdict(question)])
    row = found.get(question.key)
    return os.path.join(wanted.root, wanted.path) if row and row[1] == wanted.hash else None


def _is_readable(wanted: FetchRequest) -> bool:
    """Whether a file or a folder of the project lies there: a device has no end."""
    here = os.path.join(wanted.root or "", wanted.path)
    return is_inside(wanted.path) and (os.path.isfile(here) or os.path.isdir(here))


def _copy_tree(path: str, target: str) -> str:
    if os.path.isdir(path):
        shutil.copytree(path, target)
    else:
        shutil.copyfile(path, target)
    return target


def _copy_from_project(fs: Any, path: str, target: str) -> str:
    """What DVC or git has at ``path``; its names are anybody's."""
    if not fs.isdir(path):
        fs.get_file(path, target)
        return target
    names = [posixpath.relpath(one, fs.abspath(path)) for one in map(fs.abspath, fs.find(path))]
    check_names(names)
    os.mkdir(target)
    for name in names:
        where = os.path.join(target, name)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        fs.get_file(posixpath.join(path, name), where)
    return target


def _copy_object(odb: Any, wanted: FetchRequest, unfinished: Unfinished) -> str:
    """From a store of objects by their hash; a folder is a list of objects."""
    if wanted.hash.endswith(".dir"):
        return unfinished.copy_listed(odb)
    copy_object(odb, wanted.hash, unfinished.data, unfinished.count)
    return unfinished.data
