"""Addresses as they may be shown: scheme, host and path. Every one that is written passes here.

A user name may be a token, a query may be a signature that lets anybody read: both are left out.
"""

from __future__ import annotations

import re
from typing import Any

# By these the name is who logs in, not what lets in.
_LOGIN_SCHEMES = frozenset({"ssh", "git+ssh", "ssh+git", "sftp", "scp"})
_MAX_LOGIN_CHARACTERS = 20  # a longer name is a token
# `ds://NAME` is a dataset of dvc.yaml, the others are of DataChain: no addresses.
_NAMES = frozenset({"ds", "dc", "dvcx"})
_SCP = re.compile(r"(?P<user>[^@/\s]+)@(?P<host>[^@/:\s]+):(?P<path>.*)", re.DOTALL)
_PORT = re.compile(r"(?P<host>\[[^]]*\]?|[^:]*)(?::\d*)?")
_QUERY = re.compile(r"[?#]|%3[Ff](?=[\w.%-]*%3[Dd])")
# Of a path on this machine a question mark may be part.
_QUERY_OF_FILE = re.compile(r"[?#](?=[\w.%-]+=)")
_URL_IN_TEXT = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]{0,30}:)?//[^\s'\"<>`]+")
_AFTER_URL = ".,;:!)]}"


def public_url(url: str) -> str:
    """``url`` less user, password, query and fragment; a path of this machine as it is.

    Who logs in by ssh stays (``git@``), but for a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator and url.startswith("//"):
        scheme, separator, rest = "", "//", url[2:]
    if not separator or "/" in scheme:
        return _public_scp(url)
    if scheme in _NAMES:
        return url
    user, host, path = _split(rest)
    kept = f"{user}@" if scheme.lower() in _LOGIN_SCHEMES and _is_login(user) else ""
    query = _QUERY_OF_FILE if scheme.lower() == "file" else _QUERY
    return f"{scheme}{separator}{kept}{host}{query.split(path, maxsplit=1)[0]}"


def public_text(text: str) -> str:
    """``text`` with every address in it as it may be shown."""
    return _URL_IN_TEXT.sub(_public_match, text) if "//" in text else text


def public_values(raw: Any) -> Any:
    """A JSON value with every address in its texts as it may be shown."""
    kind = type(raw)  # a record has a hundred thousand values
    if kind is str:
        return public_text(raw) if "//" in raw else raw
    if kind is dict:
        return {public_values(key): public_values(value) for key, value in raw.items()}
    return [public_values(one) for one in raw] if kind is list or kind is tuple else raw


def _public_match(match: re.Match[str]) -> str:
    whole = match[0]
    url = whole.rstrip(_AFTER_URL)
    if ":" not in url.partition("//")[0] and "@" not in url:
        return whole  # a comment, a path with two slashes
    return public_url(url) + whole[len(url) :]


def _public_scp(url: str) -> str:
    """``git@host:path`` is an address as well; all else without a scheme is a path."""
    scp = _SCP.fullmatch(url)
    if scp is None:
        return url
    kept = f"{scp['user']}@" if _is_login(scp["user"]) else ""
    return f"{kept}{scp['host']}:{_QUERY.split(scp['path'], maxsplit=1)[0]}"


def _split(rest: str) -> tuple[str, str, str]:
    """User, host with port, and path with all that follows."""
    end = re.search(r"[/?#\\]", rest)
    at = end.start() if end else len(rest)
    user, _, host = rest[:at].rpartition("@")
    port = _PORT.fullmatch(host)
    if port is None and "@" in rest[at:]:  # a slash or the like stood in the password
        return _split(rest.rpartition("@")[2])
    if port is None:  # something else than a port, such as a password that was cut off
        host = host.partition(":")[0]
    return user, host, rest[at:]


def _is_login(user: str) -> bool:
    return bool(user) and ":" not in user and len(user) < _MAX_LOGIN_CHARACTERS
