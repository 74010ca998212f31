"""Open a DVC project of another git repository, by its address and a revision."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from mlflow_dvc.addresses import OwnAddresses
from mlflow_dvc.dvc_backend import api
from mlflow_dvc.git.repository import Repository, full_sha_or_none
from mlflow_dvc.scratch_folder import scratch_folder


@contextmanager
def open_repository(url: str, rev: str | None, own: OwnAddresses) -> Iterator[Any]:
    """DVC's ``Repo`` of what ``url`` has at ``rev``, by default of its default branch.

    One on this machine is opened where it is, as its cache may have what no remote has. Another is
    fetched into a folder that is thrown away, with the user's credentials only where it is at one
    of the ``own`` addresses. Raises GitError, or what DVC raises.
    """
    if os.path.isdir(url):
        with api.Repo.open(os.path.abspath(url), rev=rev, subrepos=True) as repo:
            yield repo
        return
    with scratch_folder() as folder:
        clone = Repository.create(os.path.join(folder, "clone"), full_sha_or_none(rev) or "", own)
        sha = clone.fetch_revision(url, rev)
        config = {"cache": {"dir": os.path.join(folder, "cache")}}

        def make_repo(path: str, fs: Any = None, **words: Any) -> Any:
            return api.Repo(path, fs=fs, config=config, **words)

        with api.Repo(
            clone.root, rev=sha, subrepos=True, config=config, repo_factory=make_repo, url=url
        ) as repo:
            yield repo


@cache
def own_repositories(root: str | None) -> OwnAddresses:
    """The remotes of the git repository that the user's project at ``root`` is in."""
    found = Repository(root).top_level() if root else None
    return found.own if found else OwnAddresses()
