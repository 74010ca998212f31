"""Which settings of DVC are the user's, and at which addresses DVC may use the user's credentials.

A commit that a record names has settings too. They say where data may be; whatever else they say,
such as where DVC writes or which program it asks for a password, is passed over.
"""

from __future__ import annotations

import atexit
import netrc
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mlflow_dvc.addresses import Address, OwnAddresses, why_anonymous
from mlflow_dvc.dvc_backend import api

# What a commit that anybody may have made can say of a remote. Files that are named there, such as
# AWS's configuration, can name programs.
_REMOTE_OPTIONS = frozenset({"url", "endpointurl", "region", "version_aware", "worktree", "jobs"})
_CORE_OPTIONS = frozenset({"remote", "no_scm"})
_FOREIGN_LEVELS = frozenset({"repo", "local"})
_MAX_BYTES = 1024 * 1024  # of a file of settings
# Where DVC can ask without credentials; elsewhere nothing is asked.
_SOON = {"connect_timeout": 10, "read_timeout": 10}  # seconds: it may be there to keep us waiting
_ANONYMOUS: dict[str, dict[str, Any]] = {
    "s3": {"allow_anonymous_login": True} | _SOON, "gs": {"allow_anonymous_login": True},
    "http": _SOON, "https": _SOON, "webdav": {"timeout": 10}, "webdavs": {"timeout": 10},
}  # fmt: skip

_current: Trust | None = None


class ForeignAddressError(Exception):
    """DVC cannot ask there without credentials, and the user's are not for this address."""


@dataclass
class Trust:
    """Of one process. ``root`` is the DVC project whose settings are the user's own."""

    root: str | None
    faults: list[str] = field(default_factory=list)

    @cached_property
    def own(self) -> OwnAddresses:
        """All that the user's settings name: of the project, of the user, of the machine."""
        config = api.Config(os.path.join(self.root, ".dvc") if self.root else None, validate=False)
        return OwnAddresses(_addresses(config))

    def covers(self, config: Any, level: str) -> bool:
        """Whether what ``config`` has at this level is the user's."""
        if level not in _FOREIGN_LEVELS:
            return True
        folder = config.local_dvc_dir if level == "local" else config.dvc_dir
        if self.root is None or folder is None or (level == "repo" and not _is_on_disk(config)):
            return False
        return os.path.realpath(folder) == os.path.realpath(os.path.join(self.root, ".dvc"))


def trust_only(root: str | None) -> None:
    """From now on this process takes no settings of another project than ``root`` as the user's.

    Once for each process; None where the user is in no project.
    """
    global _current
    if _current is not None:
        return
    api.require("trust")
    trust = Trust(root)
    trust.own  # noqa: B018 - before anything is withheld
    _withhold_settings(trust)
    _withhold_credentials(trust)
    _withhold_default_login()
    # A second way to a bucket, by gRPC, which knows neither of no credentials nor of an endpoint.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    _current = trust


def is_foreign(fs: Any) -> bool:
    """Whether a file system of DVC's is at an address that is not the user's."""
    return getattr(fs, "is_foreign", False)


def read_faults() -> list[str]:
    """In words which settings could not be read."""
    return list(_current.faults) if _current else []


def why_without_credentials(config: Any, **remote: Any) -> str:
    """For a message about a remote that was asked without the user's credentials; else empty."""
    if _current is None:
        return ""
    try:
        address = _address(api.get_fs_config(config, **remote))
    except Exception:  # it cannot be opened either, which is said
        return ""
    return "" if address in _current.own else why_anonymous(address)


def _withhold_settings(trust: Trust) -> None:
    load_one = api.Config.load_one

    def load_trusted(self: Any, level: str) -> Any:
        if trust.covers(self, level):
            return load_one(self, level)
        empty: dict[str, Any] = {name: {} for name in load_one(self, "system")}
        try:
            if level == "local" or _is_on_disk(self):
                _refuse_odd_file(self.files[level])
            return empty | _allowed(load_one(self, level))
        except FileNotFoundError:
            return empty
        except Exception as error:
            trust.faults.append(f".dvc/config cannot be read ({' '.join(str(error).split())})")
            return empty

    api.Config.load_one = load_trusted


def _is_on_disk(config: Any) -> bool:
    """Whether the settings of its project are files, and not in a commit."""
    return isinstance(config.fs, api.LocalFileSystem)


def _refuse_odd_file(path: str) -> None:
    """Such as a link to a device, which has no end."""
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
        raise ValueError("it is no file of settings")


def _allowed(said: Mapping[str, Any]) -> dict[str, Any]:
    core = {key: said["core"][key] for key in said["core"].keys() & _CORE_OPTIONS}
    remotes = {
        name: {key: row[key] for key in row.keys() & _REMOTE_OPTIONS}
        for name, row in said["remote"].items()
        if "url" in row
    }
    return {"core": core, "remote": remotes}


def _withhold_credentials(trust: Trust) -> None:
    """Every file system that DVC opens at an address is made in one place."""
    get_cloud_fs = api.get_cloud_fs

    def get_trusted_fs(repo_config: Any, **words: Any) -> Any:
        cls, config, path = get_cloud_fs(repo_config, **words)
        said = api.get_fs_config(repo_config or {}, **words)
        if (address := _address(said)) in trust.own:
            return cls, config, path
        told_by_url = cls._get_kwargs_from_urls(said["url"])
        kept = {key: config[key] for key in config.keys() & {*_REMOTE_OPTIONS, *told_by_url}}
        return *_anonymous(cls, kept, address), path

    for module in (api.fs_module, api.output_module):
        module.get_cloud_fs = get_trusted_fs


def _anonymous(cls: Any, config: dict[str, Any], address: Address) -> tuple[Any, dict[str, Any]]:
    changed: dict[str, Any] = {"is_foreign": True, "SESSION_RETRIES": 1}
    if address.scheme in _ANONYMOUS:
        config |= _ANONYMOUS[address.scheme]
    else:

        def refuse(self: Any) -> Any:
            raise ForeignAddressError(why_anonymous(address))

        changed["fs"] = property(refuse)
    return type(cls.__name__, (cls,), changed), config


def _addresses(config: Any) -> Iterator[Address]:
    for name in config["remote"]:
        try:
            yield _address(api.get_fs_config(config, name=name))
        except Exception:  # noqa: S112 - DVC refuses such a remote, and says so where it is used
            continue


def _address(remote: Mapping[str, Any]) -> Address:
    endpoint = remote.get("endpointurl") or remote.get("oss_endpoint")
    return Address.of(str(remote["url"]), str(endpoint) if endpoint else None)


def _withhold_default_login() -> None:
    """``default`` in ``.netrc`` is for every host; what is for one host stays."""
    try:
        known = netrc.netrc(os.environ.get("NETRC") or os.path.expanduser("~/.netrc"))
    except (OSError, netrc.NetrcParseError):
        return
    if known.hosts.pop("default", None) is None:
        return
    descriptor, path = tempfile.mkstemp(prefix="mlflow-dvc-")  # for its owner alone
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(repr(known))
    atexit.register(os.unlink, path)
    os.environ["NETRC"] = path
