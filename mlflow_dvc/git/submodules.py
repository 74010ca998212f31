"""The submodules of a commit, told from its files alone."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mlflow_dvc.git.repository import GitError, Repository


@dataclass(frozen=True)
class Submodule:
    """``url`` is None where ``.gitmodules`` does not name it."""

    path: str
    sha: str
    url: str | None


def list_submodules(repository: Repository, tree: str) -> list[Submodule]:
    """Those of a commit, or of a tree."""
    rows = repository.git("ls-tree", "-r", "-z", tree).split(b"\0")
    links = [row.partition(b"\t") for row in rows if row.startswith(b"160000 ")]
    urls = _urls(repository, tree) if links else {}
    found = ((os.fsdecode(path), head.split()[2].decode()) for head, _, path in links)
    # As git: a path that begins so looks like an option to a command.
    return [Submodule(path, sha, urls.get(path)) for path, sha in found if path[:1] != "-"]


def _urls(repository: Repository, tree: str) -> dict[str, str]:
    """By the path of the submodule; a relative one is seen from that of the first remote."""
    words = ("config", "--blob", f"{tree}:.gitmodules", "-z", "--get-regexp", r"^submodule\.")
    try:
        rows = os.fsdecode(repository.git(*words)).split("\0")
    except GitError:
        return {}
    values = dict(row.split("\n", 1) for row in rows if "\n" in row)
    base = next(map(repository.url_of, repository.remotes()), repository.root)
    found = {}
    for key, path in values.items():
        if key.endswith(".path") and (url := values.get(key.removesuffix("path") + "url")):
            is_relative = url.startswith(("./", "../"))
            found[path] = _resolve_url(base, url) if is_relative else url
    return found


def _resolve_url(base: str, url: str) -> str:
    while url.startswith(("./", "../")):
        if url.startswith("../"):
            base = base.rpartition("/")[0]
        url = url.partition("/")[2]
    return f"{base}/{url}"
