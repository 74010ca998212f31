"""The DVC remotes of a project, from DVC's own settings files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from mlflow_dvc.fingerprint import UnreadableError
from mlflow_dvc.git.config import read_settings
from mlflow_dvc.secrets.urls import public_url

CACHE = "cache"


@dataclass(frozen=True)
class Remote:
    """``url`` is an address less credentials, or an absolute path.

    ``endpoint`` is where its server is, for a bucket of which the URL does not say that.
    """

    url: str
    endpoint: str | None = None


@dataclass(frozen=True)
class Remotes:
    """Each remote by its name; and the name of the default one."""

    by_name: Mapping[str, Remote]
    default: str | None = None


def default_remote(root: str) -> Remote | None:
    """The default one, or the only one; None where the project at ``root`` has neither."""
    remotes = read_remotes(root)
    only = next(iter(remotes.by_name.values())) if len(remotes.by_name) == 1 else None
    return remotes.by_name.get(remotes.default or "") or only


def read_remotes(root: str) -> Remotes:
    """By DVC's settings of the machine, of the user, in ``.dvc/config`` and ``config.local``.

    Of these a later one counts more, as for DVC.
    """
    default = None
    urls: dict[str, str] = {}
    endpoints: dict[str, str] = {}
    for path in config_paths(root):
        with suppress(OSError, UnreadableError):
            for setting in read_settings(path):
                if (setting.section, setting.key) == ("core", "remote"):
                    default = setting.value
                elif (setting.section, setting.key) == ("remote", "url"):
                    urls[setting.name] = _url(setting.value, os.path.dirname(path))
                elif (setting.section, setting.key) == ("remote", "endpointurl"):
                    endpoints[setting.name] = public_url(setting.value)
    return Remotes({name: _remote(url, endpoints.get(name)) for name, url in urls.items()}, default)


def storage_folders(root: str) -> dict[str, str]:
    """The folders of this machine that DVC keeps data in: of the cache, and of remotes by name."""
    found = {CACHE: os.path.join(root, ".dvc", "cache")}
    for path in config_paths(root):
        with suppress(OSError, UnreadableError):
            for setting in read_settings(path):
                if (setting.section, setting.key) == ("cache", "dir"):
                    found[CACHE] = _url(setting.value, os.path.dirname(path))
    remotes = read_remotes(root).by_name.items()
    return {name: one.url for name, one in remotes if os.path.isabs(one.url)} | found


def _remote(url: str, endpoint: str | None) -> Remote:
    return Remote(url, endpoint if "://" in url else None)


def _url(value: str, folder: str) -> str:
    if "://" in value:
        return public_url(value)
    return os.path.normpath(os.path.join(folder, value))


def config_paths(root: str) -> Iterator[str]:
    """Of the machine, the user and the project; what is said later counts (``dvc/dirs.py``)."""
    yield os.path.join(os.environ.get("DVC_SYSTEM_CONFIG_DIR") or _machine_config(), "config")
    yield os.path.join(os.environ.get("DVC_GLOBAL_CONFIG_DIR") or _user_config(), "config")
    yield os.path.join(root, ".dvc", "config")
    yield os.path.join(root, ".dvc", "config.local")


def _machine_config() -> str:
    if sys.platform == "win32":
        return os.path.join(os.environ.get("PROGRAMDATA", "C:\\ProgramData"), "iterative", "dvc")
    if sys.platform == "darwin":
        return "/Library/Application Support/dvc"
    chosen = os.environ.get("XDG_CONFIG_DIRS", "").split(os.pathsep)[0]
    return os.path.join(chosen or "/etc/xdg", "dvc")


def _user_config() -> str:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~")
        return os.path.join(base, "iterative", "dvc")
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support/dvc")
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(home, "dvc")
