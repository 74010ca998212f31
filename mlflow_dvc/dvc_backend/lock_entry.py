"""Compute a stage's entry in dvc.lock with DVC's own code, before DVC writes it."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlflow_dvc.dvc_backend import api
from mlflow_dvc.dvc_backend.child_process import DvcProcess, describe_dvc_error
from mlflow_dvc.dvc_backend.readonly_repo import open_read_only
from mlflow_dvc.scratch_folder import scratch_folder
from mlflow_dvc.secrets.urls import public_url
from mlflow_dvc.snapshot import DataEntry

_DATASET = "dataset"  # DVC's word for a dependency whose path is `ds://NAME`


@dataclass(frozen=True)
class LockedStage:
    """A stage that has run. ``lock`` is the whole lock as DVC is about to write it.

    Paths of ``outs`` and ``deps`` are relative to the DVC root, or URLs. ``datasets`` is what the
    lock says of each dependency on a dataset.
    """

    lock: bytes
    outs: tuple[DataEntry, ...]
    deps: tuple[DataEntry, ...]
    datasets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def start_sealing(root: str, file: str, name: str, address: str, *, max_bytes: int) -> DvcProcess:
    """Ask for the stage ``name`` of the dvc.yaml ``file``, which DVC knows as ``address``.

    Nothing is answered where more than ``max_bytes`` lie there that DVC has not hashed yet.
    Raises OSError where DVC cannot be asked.
    """
    request = {"root": root, "file": file, "name": name, "address": address}
    return DvcProcess(run_seal, {**request, "max_bytes": max_bytes})


def read_sealed(child: DvcProcess) -> LockedStage | str:
    """The answer, or in words why there is none. Raises OSError or ValueError for neither."""
    raw = child.result()
    if not isinstance(raw, dict) or not {"lock", "fault"} & raw.keys():
        raise ValueError("not an answer of the sealing")
    if "fault" in raw:
        return str(raw["fault"])
    outs, deps = (tuple(DataEntry(**row) for row in raw[part]) for part in ("outs", "deps"))
    return LockedStage(raw["lock"].encode(), outs, deps, dict(raw["datasets"]))


@api.task("repo", "hash", "seal")
def run_seal(root: str, file: str, name: str, address: str, max_bytes: int) -> dict[str, Any]:
    """The task of the child process. It imports DVC and changes the working directory.

    A run cache entry is not made (a script that fails after this would be skipped as done), nor is
    an output put into the cache or a line into an ignore file.
    """
    try:
        with open_read_only(root) as repo:
            stage = repo.stage.load_one(os.path.join(root, file), name)
            left = max_bytes - _unhashed(repo, stage.outs)
            if left < 0:
                return {"fault": f"{-left + max_bytes} bytes are too much to hash"}
            stage.save(run_cache=False)
            return {
                "lock": _locked(repo, stage),
                "outs": list(_rows(stage.outs, root, address, role="output")),
                "deps": _told_apart(list(_rows(stage.deps, root, address, role=None))),
                "datasets": dict(_datasets(stage.deps)),
            }
    except Exception as error:  # an output is missing, say: then the stage has not done its work
        return {"fault": describe_dvc_error(error)}


def _unhashed(repo: Any, outs: Iterable[Any]) -> int:
    """Bytes of ``outs`` that DVC's memory of hashes does not know."""
    unknown = 0
    for out in outs:
        if out.fs.protocol != "local":
            continue
        for path in _files(out.fs_path):
            status = os.stat(path)
            known, _ = repo.state.get(path, repo.fs)
            unknown += 0 if known else status.st_size
    return unknown


def _files(path: str) -> Iterator[str]:
    if os.path.isfile(path):
        yield path
    for folder, _, names in os.walk(path):
        yield from (os.path.join(folder, name) for name in names)


def _locked(repo: Any, stage: Any) -> str:
    """The text of the lock beside the stage's dvc.yaml, with the stage's new entry."""
    lock = os.path.splitext(stage.path)[0] + ".lock"
    with scratch_folder() as folder:
        copy = os.path.join(folder, "dvc.lock")
        if os.path.exists(lock):
            shutil.copyfile(lock, copy)
        api.Lockfile(repo, copy).dump(stage)
        with open(copy, encoding="utf-8", newline="") as file:
            return file.read()


def _rows(
    outs: Iterable[Any], root: str, address: str, role: str | None
) -> Iterator[dict[str, Any]]:
    for out in outs:
        if out.hash_name in ("params", _DATASET) or not out.hash_info:
            continue
        yield {
            "path": _path(out, root),
            "algorithm": out.hash_name,
            "hash": out.hash_info.value,
            "size": out.meta.size if out.meta else None,
            "nfiles": out.meta.nfiles if out.meta else None,
            "cached": bool(out.use_cache),
            "stage": address,
            "role": role,
        }


def _told_apart(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Less those whose addresses differ in the query alone: it is not known whose hash is whose."""
    paths = Counter(row["path"] for row in rows)
    return [row for row in rows if paths[row["path"]] == 1]


def _datasets(deps: Iterable[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for dep in deps:
        if dep.hash_name == _DATASET:
            yield dep.def_path, dep.hash_info.value


def _path(out: Any, root: str) -> str:
    if "://" in out.def_path:
        return public_url(str(out.def_path))
    inside = os.path.relpath(out.fs_path, root)
    outside = inside == os.pardir or inside.startswith(os.pardir + os.sep)
    absolute = outside and os.path.isabs(out.def_path)
    return out.fs_path if absolute else inside.replace(os.sep, "/")
