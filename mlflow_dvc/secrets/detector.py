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
_MAX_LINE = 5000  # characters of a line that is looked at as a whole


def find_secrets(path: str, text: str) -> list[Span] | None:
    """The parts of ``text``, the content of a file at ``path``, that are secret, in their order.

    None where it holds a private key, which has no one part that could be taken out.
    """
    if PRIVATE_KEY.search(text):
        return None
    return _merged([*find_by_rules(path, text), *_find_by_plugins(text)])


def _merged(spans: Iterable[Span]) -> list[Span]:
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _find_by_plugins(text: str) -> Iterator[Span]:
    plugins, keywords = _plugins()
    for plugin in plugins:
        is_weak = type(plugin).__name__ in _WEAK
        for rule in plugin.denylist:
            for match in rule.finditer(text):
                line, at = _line_around(text, match.start())
                for value in set(plugin.analyze_string(line)):
                    if value and not is_placeholder(value) and not (is_weak and not is_key(value)):
                        yield from _spans(line, value, at)
    for match in re.finditer(r"[^\n]+", text) if _KEYWORD.search(text) else ():
        line = match[0]
        if len(line) <= _MAX_LINE and _KEYWORD.search(line):
            for value in set(keywords.analyze_string(line)):
                if is_password(value) and is_key(value):
                    yield from _spans(line, value, match.start())


def _line_around(text: str, at: int) -> tuple[str, int]:
    start = max(text.rfind("\n", 0, at) + 1, at - _MAX_LINE)
    end = text.find("\n", at)
    return text[start : min(end if end >= 0 else len(text), at + _MAX_LINE)], start


def _spans(line: str, value: str, at: int) -> Iterator[Span]:
    start = line.find(value)
    while start >= 0:
        yield at + start, at + start + len(value)
        start = line.find(value, start + len(value))


@cache
def _plugins() -> tuple[list[Any], Any]:
    """Those with rules about forms, and the one about names. None of them asks a server here."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector
    from detect_secrets.plugins.keyword import KeywordDetector

    kinds = get_mapping_from_secret_type_to_class().values()
    used = [kind for kind in kinds if kind.__name__ not in _UNUSED]
    return [kind() for kind in used if issubclass(kind, RegexBasedDetector)], KeywordDetector()
