"""Settings files of git and of DVC: sections in brackets, ``key = value``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mlflow_dvc.fingerprint import UnreadableError, read_bytes

# `[core]`, `[remote "origin"]`; DVC puts quotes around the whole: `['remote "storage"']`.
_SECTION = re.compile(r"""\s*\[\s*'?([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?'?\s*\]""")
_ESCAPED = {"n": "\n", "t": "\t", "b": "\b"}
_TRUE = frozenset({"true", "yes", "on", "1"})


@dataclass(frozen=True)
class Setting:
    """``name`` is what stands in quotes beside the section; ``key`` is in lower case."""

    section: str
    name: str
    key: str
    value: str

    @property
    def is_true(self) -> bool:
        return self.value.lower() in _TRUE


def read_settings(path: str) -> Iterator[Setting]:
    """Every setting in the file at ``path``, in order. Raises OSError or UnreadableError."""
    lines = read_bytes(path).decode("utf-8", "replace").replace("\\\n", "").split("\n")
    section, name = "", ""
    for line in lines:
        if header := _SECTION.match(line):
            section, name = header[1].lower(), header[2] or ""
            line = line[header.end() :]  # noqa: PLW2901 - git allows a setting on the same line
        if line.lstrip().startswith(("#", ";")) or not line.strip():
            continue
        key, equals, value = line.partition("=")
        # A key alone is true to git.
        yield Setting(section, name, key.strip().lower(), _unquote(value) if equals else "true")


def last_value(path: str, section: str, key: str) -> Setting | None:
    """The setting that counts; None where it is not made, or the file cannot be read."""
    found = None
    try:
        for setting in read_settings(path):
            if (setting.section, setting.name, setting.key) == (section, "", key):
                found = setting
    except (OSError, UnreadableError):
        return None
    return found


def _unquote(text: str) -> str:
    """Less quotes, escapes and a comment at the end."""
    found, end, quoted = "", 0, False
    characters = iter(text.strip())
    for character in characters:
        if character == '"':
            quoted = not quoted
        elif character in "#;" and not quoted:
            break
        else:
            if character == "\\":
                character = next(characters, "")  # noqa: PLW2901
                character = _ESCAPED.get(character, character)  # noqa: PLW2901
            found += character
            if quoted or not character.isspace():
                end = len(found)
    return found[:end]
