"""Which commit HEAD is, read from git's files; the nearest tag, by git.

The formats are those of https://git-scm.com/docs/gitrepository-layout.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from mlflow_dvc.fingerprint import read_bytes
from mlflow_dvc.git.config import read_settings
from mlflow_dvc.git.run import git_output
from mlflow_dvc.secrets.urls import public_url
from mlflow_dvc.snapshot import GitState

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SCP = re.compile(r"(?:[^@/:]+@)?(?P<host>[^/:]+):(?P<path>.*)")  # git@host:owner/name.git
_MAX_SYMREFS = 5
_MAX_DESCRIBE_SECONDS = 20.0
_MAX_SHOWN_CHARACTERS = 80


def is_sha(text: str | None) -> bool:
    """Whether ``text`` can be the name of a commit: it may come from anybody's server."""
    return text is not None and _SHA.fullmatch(text) is not None


def read_head(root: str, source: str = "working directory") -> tuple[GitState | None, str | None]:
    """The state of HEAD in the work tree at ``root``, and what is wrong with it, in words.

    ``sha`` is None in a repository with no commit yet (nothing wrong with that).
    """
    where = os.path.join(root, ".git")
    try:
        git_dir = find_git_dir(root)
        where = os.path.join(git_dir, "HEAD")
        common = common_dir(git_dir)
        sha, branch = _resolve_head(git_dir, common)
    except (OSError, ValueError) as error:
        return None, f"{where}: cannot be read ({_reason(error)})"
    return GitState(sha, branch, remote_url=remote_url(common, branch), source=source), None


def find_git_dir(root: str) -> str:
    """The git directory of the work tree at ``root``: ``.git``, or what the file ``.git`` names."""
    path = os.path.join(root, ".git")
    if os.path.isdir(path):
        return path
    content = _read(path)
    if not content.startswith("gitdir:"):
        raise ValueError(".git is neither a directory nor a pointer to one")
    return os.path.normpath(os.path.join(root, content[len("gitdir:") :].strip()))


def remote_url(common: str, branch: str | None) -> str | None:
    """The URL that the branch is pushed to, else origin's, else the only one; no credentials."""
    try:
        urls, upstream = _remotes(os.path.join(common, "config"), branch)
    except (OSError, ValueError):
        return None  # a repository without a config has no remote
    url = urls.get(upstream or "origin") or urls.get("origin")
    if url is None and len(urls) == 1:
        url = next(iter(urls.values()))
    return public_url(url) if url else None


def is_same_remote(one: str, other: str) -> bool:
    """Whether two URLs are of one repository, by whatever protocol, port and user, on any disk."""
    return _place_of(one) == _place_of(other)


def is_relative_path(url: str) -> bool:
    """Whether ``url`` is a path seen from the repository that names it: elsewhere it says less."""
    host, path = _split(url)
    return not host and not os.path.isabs(path)


def _place_of(url: str) -> tuple[str, str]:
    """The host and the path that a URL names; the host is empty for this machine."""
    host, path = _split(url)
    if host:
        path = "/".join(part for part in unquote(path).split("/") if part)
        return host.lower(), path.removesuffix(".git").lower()
    path = path.rstrip("/").removesuffix("/.git")
    if not os.path.exists(path) and os.path.exists(f"{path}.git"):
        path += ".git"
    return "", os.path.realpath(path)


def _split(url: str) -> tuple[str, str]:
    scp = None if "://" in url else _SCP.fullmatch(url)
    if scp and not os.path.exists(url):
        return scp["host"], scp["path"]
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "", url
    if parts.scheme == "file":
        return "", url.partition("://")[2].removeprefix("localhost")  # git takes it as it stands
    return host, parts.path if host else url


def describe(root: str, sha: str) -> str | None:
    """The nearest tag as ``git describe --tags`` says it. None without a tag or git.

    Runs git, once for each commit as long as no tag comes or goes: without one near, git walks
    through all of the history.
    """
    try:
        common = common_dir(find_git_dir(root))
    except (OSError, ValueError):
        return None
    folders = (folder for folder, _, _ in os.walk(os.path.join(common, "refs", "tags")))
    stamps = tuple(map(_mtime_or_zero, (os.path.join(common, "packed-refs"), *folders)))
    return _describe(root, sha, stamps)


def _mtime_or_zero(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=256)
def _describe(root: str, sha: str, stamps: tuple[int, ...]) -> str | None:
    said = git_output(root, "describe", "--tags", "--abbrev=7", sha, seconds=_MAX_DESCRIBE_SECONDS)
    return said.decode("utf-8", "replace").strip() or None


def _resolve_head(git_dir: str, common: str) -> tuple[str | None, str | None]:
    content = _read(os.path.join(git_dir, "HEAD")).strip()
    if _SHA.fullmatch(content):
        return content, None
    if not content.startswith("ref:"):
        raise ValueError("HEAD names neither a commit nor a branch")
    if content == "ref: refs/heads/.invalid":
        raise ValueError("the reftable format is not read yet")
    sha, ref = _resolve_ref(content[len("ref:") :].strip(), git_dir, common)
    return sha, ref.removeprefix("refs/heads/")


def _resolve_ref(ref: str, git_dir: str, common: str) -> tuple[str | None, str]:
    """The commit of ``ref``, and the name of the branch it stands for, mostly itself."""
    for _ in range(_MAX_SYMREFS):
        content = _loose_ref(ref, git_dir, common)
        if content is None:
            return _packed_ref(ref, common), ref
        if _SHA.fullmatch(content):
            return content, ref
        if not content.startswith("ref:"):
            raise ValueError(f"{ref} holds no commit")
        ref = content[len("ref:") :].strip()
    raise ValueError(f"{ref} is a chain of references without an end")


def _loose_ref(ref: str, git_dir: str, common: str) -> str | None:
    if not ref.startswith("refs/") or ".." in ref.split("/"):
        raise ValueError(f"{ref[:_MAX_SHOWN_CHARACTERS]!r} is no reference")
    for home in dict.fromkeys((git_dir, common)):
        try:
            return _read(os.path.join(home, ref)).strip()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
    return None


def _packed_ref(ref: str, common: str) -> str | None:
    try:
        lines = _read(os.path.join(common, "packed-refs")).splitlines()
    except FileNotFoundError:
        return None
    for line in lines:
        sha, _, name = line.partition(" ")
        if name == ref and _SHA.fullmatch(sha):
            return sha
    return None


def common_dir(git_dir: str) -> str:
    """Worktrees share refs and config with the repository they belong to."""
    try:
        content = _read(os.path.join(git_dir, "commondir")).strip()
    except FileNotFoundError:
        return git_dir
    return os.path.normpath(os.path.join(git_dir, content))


def _remotes(config: str, branch: str | None) -> tuple[dict[str, str], str | None]:
    urls: dict[str, str] = {}
    upstream = None
    for setting in read_settings(config):
        if (setting.section, setting.key) == ("remote", "url"):
            urls.setdefault(setting.name, setting.value)
        elif (setting.section, setting.key) == ("branch", "remote") and setting.name == branch:
            upstream = setting.value
    return urls, upstream


def _read(path: str) -> str:
    return read_bytes(path).decode("utf-8", "replace")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
