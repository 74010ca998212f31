"""What must not leave the machine: keys, tokens and passwords, by their looks."""

from __future__ import annotations

import posixpath
import re

_HIDDEN = b"***"
_SECRET_NAMES = re.compile(
    r"\.env.*|.*\.env|.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk|asc|gpg)"
    r"|id_(?:rsa|dsa|ecdsa|ed25519).*|\.?netrc|\.pypirc|\.npmrc|\.htpasswd|\.pgpass"
    r"|.*credentials.*|mlflow\.db.*"
    r"|(?:.*[._-])?(?:secrets?|tokens?|passwords?|passwd|api_?keys?)(?:[._-].*)?",
    re.IGNORECASE,
)
_SECRET_DIRECTORIES = frozenset({"secrets", ".secrets", ".aws", ".ssh", ".gnupg"})
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----")
# Every repetition that can begin anywhere is bounded: 10 MB must not take a minute.
_SECRET = re.compile(
    # What stands before the last @ in the host part of a URL.
    rb"(?<=://)(?P<user>[^\s/?#\"'`<>\\]+)(?=@)"
    rb"|(?<![A-Za-z0-9_-])(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|hf_|sk-|pypi-|npm_|dapi|AIza"
    rb"|AKIA|ASIA)[A-Za-z0-9_-]{16,}"
    # A literal with a digit in it, given to something of such a name.
    rb"|(?i:password|passwd|secret|api_?key|access_?key|auth_?token)[a-z_]{0,40}[\"']?\s*[:=]\s*[\"']"
    rb"(?P<literal>(?=[^\"'\s]*\d)(?=[^\"'\s]*[A-Za-z])[^\"'\s{}$<>%]{8,})(?=[\"'])"
    # The same in a shell, or a file of settings.
    rb"|\b[A-Z_]{0,60}(?:PASSWORD|SECRET|TOKEN|API_KEY|ACCESS_KEY)=(?P<value>[^\s\"'$(){}<>%]{6,})",
)
# `{password}`, `$NAME`, `%s` and the like stand for a secret and are none.
_PLACEHOLDER = re.compile(rb"(?:\{[^}]*\}|\$\w+|\$\{\w+\}|\$\(.*\)|%s|%\(\w+\)s|\*+|)")
_MIN_TOKEN_CHARACTERS = 20  # a shorter name before the @ is a user's


def is_secret_name(path: str) -> bool:
    """Whether files of this name are there to hold credentials, or every run ever made."""
    *folders, _ = path.split("/")
    name = posixpath.basename(path)
    return bool(_SECRET_NAMES.fullmatch(name)) or not _SECRET_DIRECTORIES.isdisjoint(folders)


def redact(text: bytes) -> bytes | None:
    """``text`` with three stars for each credential; None where it holds a private key."""
    return None if _KEY.search(text) else _SECRET.sub(_replace_match, text)


def _replace_match(match: re.Match[bytes]) -> bytes:
    inner = match["literal"] or match["value"]
    if inner is not None:
        return match[0].removesuffix(inner) + _HIDDEN
    user = match["user"]
    if user is None:
        return _HIDDEN
    name, colon, password = user.partition(b":")
    if colon:
        return user if _PLACEHOLDER.fullmatch(password) else _HIDDEN
    is_token = len(name) >= _MIN_TOKEN_CHARACTERS and not _PLACEHOLDER.fullmatch(name)
    return _HIDDEN if is_token else user


def contains_secret(content: bytes) -> bool:
    plain = content.replace(b"\0", b"")  # as good as UTF-16
    return redact(plain) != plain
