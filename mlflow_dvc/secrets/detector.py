"""Where secrets stand in a text: by the rules of detect-secrets, and by ours.

Of detect-secrets the rules alone are used (``analyze_string``), never its ways to ask a service
whether a secret works (``analyze_line`` and what is above it).
It runs in a process of its own, see ``search``: training neither pays for it nor hangs with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from mlflow_dvc.secrets.rules import PRIVATE_KEY, Span, find_by_rules
from mlflow_dvc.secrets.values import is_key, is_password, is_placeholder

# Every hash in a lock is of high entropy, and an address is no secret. The others have rules of
# ours, which know placeholders.
_UNUSED = frozenset(
    {"Base64HighEntropyString", "HexHighEntropyString", "IPPublicDetector", "BasicAuthDetector",
     "PrivateKeyDetector", "KeywordDetector"}
)  # fmt: skip
_WEAK = frozenset({"ArtifactoryDetector"})  # its rules fit many names of classes
_KEYWORD = re.compile(r"(?i)key|pass|pwd|secret|contrase")
# A line with none of these, and with no long word, holds nothing that any rule is about.
_HINTS = (
    "pass", "pwd", "secret", "token", "key", "credential", "webhook", "dsn", "bearer", "auth",
    "conn", "sas", "sig", "://", "==", "contrase", "code=", "jwt", "curl", "wget", "http", "mysql",
    "mongo", "docker", "podman", "redis-cli", "smbclient", "lftp", "login",
)  # fmt: skip
_LONG_WORD = re.compile(r"[A-Za-z0-9_.:/+=-]{20}")
_HASH = re.compile(
    r"[+ -]*\"?(?:md5|etag|checksum|sha\w*)\"?: [\"']?[0-9a-f]{8,64}(?:\.dir)?[\"']?,?"
)
# Of an image in a notebook: longer than any secret.
_DATA = re.compile(r"[A-Za-z0-9+/]{2000,}={0,2}")
_MIN_PART = 12  # characters
_PIECE, _OVERLAP = 8000, 1000  # characters that are looked at as a whole


def find_secrets(path: str, text: str) -> list[Span] | None:
    """The parts of ``text``, the content of a file at ``path``, that are secret, in their order.

    None where it holds a private key, which has no one part that could be taken out.
    """
    if PRIVATE_KEY.search(text):
        return None
    text = _DATA.sub(lambda match: " " * len(match[0]), text)
    found: list[Span] = []
    for at, piece in _pieces(text):
        spans = (*find_by_rules(path, piece), *_find_by_plugins(piece))
        found += ((at + start, at + end) for start, end in spans)
    return _merged(found)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """The lines that may hold something, a long one in parts, each with its offset."""
    at = 0
    for line in text.split("\n"):
        for start in range(0, max(len(line), 1), _PIECE):
            piece = line[start : start + _PIECE + _OVERLAP]
            if _HASH.fullmatch(piece):
                continue
            lower = piece.lower()
            if any(hint in lower for hint in _HINTS) or _LONG_WORD.search(piece):
                yield at + start, piece
        at += len(line) + 1


def _merged(spans: Iterable[Span]) -> list[Span]:
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _find_by_plugins(line: str) -> Iterator[Span]:
    plugins, keywords = _plugins()
    for plugin in plugins:
        matches = [match for rule in plugin.denylist for match in rule.finditer(line)]
        if not matches or not any(plugin.analyze_string(line)):  # some look twice
            continue
        is_weak = type(plugin).__name__ in _WEAK
        for start, end in map(_secret_part, matches):
            value = line[start:end]
            if not is_placeholder(value) and not (is_weak and not is_key(value)):
                yield start, end
    if _KEYWORD.search(line):
        for value in set(keywords.analyze_string(line)):
            if is_password(value) and is_key(value):
                yield from _spans(line, value)


def _secret_part(match: re.Match[str]) -> Span:
    """The longest group, unless that is but the beginning that a rule knows a token by."""
    groups = range(1, (match.re.groups or 0) + 1)
    longest = max((match.span(n) for n in groups), key=lambda s: s[1] - s[0], default=(0, 0))
    return longest if longest[1] - longest[0] >= _MIN_PART else match.span()


def _spans(line: str, value: str) -> Iterator[Span]:
    start = line.find(value)
    while start >= 0:
        yield start, start + len(value)
        start = line.find(value, start + len(value))


@cache
def _plugins() -> tuple[list[Any], Any]:
    """Those with rules about forms, and the one about names. None of them asks a server here."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector
    from detect_secrets.plugins.keyword import KeywordDetector

    kinds: Iterable[Any] = get_mapping_from_secret_type_to_class().values()
    used = [kind for kind in kinds if kind.__name__ not in _UNUSED]
    return [kind() for kind in used if issubclass(kind, RegexBasedDetector)], KeywordDetector()
