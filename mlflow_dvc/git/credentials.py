"""Git without the user's credentials, for an address that only a record names.

Git's own programs for credentials answer for the host that a password was given for. Others, which
services often have, answer for every host, and so do headers and ``default`` in ``.netrc``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mlflow_dvc.addresses import Address, OwnAddresses
from mlflow_dvc.git.run import git_output
from mlflow_dvc.scratch_folder import scratch_folder

# https://git-scm.com/doc/credential-helpers
_BY_HOST = frozenset({
    "cache", "store", "osxkeychain", "libsecret", "gnome-keyring", "manager", "manager-core",
    "wincred", "oauth",
})  # fmt: skip
_WEB = frozenset({"http", "https"})


@dataclass(frozen=True)
class GitAccess:
    """What a call of git is given besides: ``settings``, each ``core.x=y``, and ``env``."""

    settings: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_anonymous(self) -> bool:
        return bool(self.settings)


def is_foreign(url: str, own: OwnAddresses) -> bool:
    """Whether the user's credentials are not for ``url``. By SSH none are sent anywhere."""
    address = Address.of(url)
    return address.scheme in _WEB and address not in own


def redirected(root: str, url: str) -> str:
    """The address that git asks for ``url`` by the user's own settings: ``url.<base>.insteadOf``.

    Where a repository has moved to is told so, for all records that name its old place.
    """
    said = git_output(root, "ls-remote", "--get-url", "--", url)
    return os.fsdecode(said).rstrip("\n") or url


@contextmanager
def git_access(root: str, url: str, own: OwnAddresses) -> Iterator[GitAccess]:
    """How git, called in ``root``, may ask at ``url``."""
    if not is_foreign(url, own) or redirected(root, url) != url:
        yield GitAccess()
        return
    settings = ("http.extraHeader=", "http.cookieFile=", "core.askPass=", "credential.helper=")
    env = {"GIT_ASKPASS": "", "SSH_ASKPASS": ""}
    with scratch_folder() as home:
        if _has_default_login():  # libcurl looks for the file in the home directory alone
            known = os.environ.get("GIT_CONFIG_GLOBAL") or os.path.expanduser("~/.gitconfig")
            env |= {"HOME": home, "GIT_CONFIG_GLOBAL": known}
        yield GitAccess((*settings, *_helpers_by_host(root)), env)


def _helpers_by_host(root: str) -> Iterator[str]:
    rows = git_output(root, "config", "-z", "--get-regexp", r"^credential\.(.*\.)?helper$")
    for row in os.fsdecode(rows).split("\0"):
        key, _, value = row.partition("\n")
        is_scoped = key.count(".") > 1  # credential.https://HOST.helper
        if value and (is_scoped or value.split()[0] in _BY_HOST):
            yield f"{key}={value}"


def _has_default_login() -> bool:
    try:
        words = Path("~/.netrc").expanduser().read_text("utf-8", "replace").split()
    except (OSError, RuntimeError):
        return False
    return "default" in words
