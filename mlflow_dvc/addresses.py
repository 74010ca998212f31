"""Addresses: what they name, and which of them are the user's own.

A record names addresses too, and anybody may have written it. The user's credentials go nowhere but
to those that the user configured.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from mlflow_dvc import settings

_BUCKETS = frozenset({"s3", "gs", "azure", "oss"})  # their server is named apart
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
_ENDPOINT_VARIABLES = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "gs": ("STORAGE_EMULATOR_HOST",),
}
_DEFAULT_PORTS = {"http": 80, "https": 443, "webdav": 80, "webdavs": 443, "ssh": 22}


@dataclass(frozen=True)
class Address:
    """As much of a URL as credentials are for.

    ``host`` is ``NAME:PORT``; of a bucket the URL of the server that has it, empty for that of the
    cloud itself. ``bucket`` is empty where there is none. A path on this machine has neither.
    """

    scheme: str
    host: str = ""
    bucket: str = ""

    @classmethod
    def of(cls, url: str, endpoint: str | None = None) -> Address:
        """``endpoint`` is the server of a bucket; that of the environment where it is None."""
        try:
            parts = urlsplit(url)
            scheme, host = parts.scheme.lower(), _host(url)
        except ValueError:
            return cls("unreadable", url)
        if scheme not in _BUCKETS:
            return cls(scheme, host) if "://" in url and scheme != "file" else cls("")
        server = endpoint or environment_endpoint(scheme)
        return cls(scheme, _server(server) if server else "", parts.netloc.rpartition("@")[2])

    @property
    def is_local(self) -> bool:
        return not self.scheme

    def __str__(self) -> str:
        if self.bucket:
            return f"{self.scheme}://{self.bucket}" + (f" at {self.host}" if self.host else "")
        return f"{self.scheme}://{self.host}"


def environment_endpoint(scheme: str) -> str | None:
    """The server that the environment names for buckets of this kind."""
    names = _ENDPOINT_VARIABLES.get(scheme, ())
    return next(filter(None, map(os.environ.get, names)), None)


class OwnAddresses:
    """Those that the user configured: in the own project, in settings of the user, by variables."""

    def __init__(self, addresses: Iterable[Address] = ()) -> None:
        self._known = {*addresses, *_allowed()}
        servers = (environment_endpoint(scheme) for scheme in _ENDPOINT_VARIABLES)
        self._servers = {_server(one) for one in servers if one}
        self._servers |= {f"{one.scheme}://{one.host}" for one in _allowed()}

    def __contains__(self, address: Address) -> bool:
        if address.is_local or address in self._known:
            return True
        return bool(address.bucket) and address.host in self._servers


def why_anonymous(address: Address) -> str:
    """For a message: that no credentials were used, and how to allow it."""
    allowed = address.host if address.bucket and address.host else str(address)
    return (
        f"asked without your credentials, as {address} is in no settings of yours; "
        f"MLFLOW_DVC_TRUST={allowed} allows them"
    )


def _allowed() -> Iterator[Address]:
    """What the user allows by name."""
    yield from map(Address.of, settings.trusted_addresses())


def _host(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme.lower())
    return f"{parts.hostname or ''}:{port}" if port else parts.hostname or ""


def _server(url: str) -> str:
    """The server that a URL names, as it is compared."""
    try:
        known = url if "://" in url else f"http://{url}"
        return f"{urlsplit(known).scheme.lower()}://{_host(known)}"
    except ValueError:
        return url
