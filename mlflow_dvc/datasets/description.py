"""What MLflow shows of DVC data as a dataset: its source, profile and digest.

MLflow keeps one row for each name and digest of an experiment, the first writer's: nothing that is
of one run only belongs into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlflow_dvc.dvcfiles.remotes import Remote
from mlflow_dvc.paths import DATASET_SCHEME
from mlflow_dvc.snapshot import DataEntry, GitState

SOURCE_TYPE = "dvc"
MAX_DIGEST_CHARACTERS = 36  # MLflow's limit; the `.dir` hash of a folder fits exactly
MAX_NAME_CHARACTERS = 500


def describe_source(
    entry: DataEntry, git: GitState | None, remote: Remote | None, root: str | None
) -> dict[str, Any]:
    """The data by its hash, and where to look for it."""
    raw: dict[str, Any] = {"path": entry.path, "algorithm": entry.algorithm, "hash": entry.hash}
    if entry.path.startswith(DATASET_SCHEME):
        url, _, rev = (entry.source or "").rpartition("@")
        is_git = entry.algorithm.partition(":")[0] == "rev"
        return {**raw, "repo": url if is_git else None, "rev": rev if is_git else None}
    raw["repo"] = git.remote_url if git else None
    raw["rev"] = git.sha if git else None
    raw["remote"] = remote.url if remote else None
    if remote and remote.endpoint:
        raw["endpoint"] = remote.endpoint
    if root not in (None, "."):
        raw["subdir"] = root
    return raw


def describe_profile(entry: DataEntry, source: Mapping[str, Any]) -> dict[str, Any]:
    """What MLflow's page shows of a dataset: the data, and where it can be had."""
    repo, rev = source.get("repo"), source.get("rev")
    raw = {
        "path": entry.path,
        "hash": entry.hash,
        "size": entry.size,
        "files": entry.nfiles,
        "imported_from": entry.source,
        "dvc_remote": source.get("remote"),
        "git": f"{repo}@{rev}" if repo and rev else repo,
    }
    return {key: value for key, value in raw.items() if value is not None}


def mlflow_digest(hash_: str) -> str:
    return hash_[:MAX_DIGEST_CHARACTERS]
