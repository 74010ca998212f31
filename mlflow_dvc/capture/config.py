"""The files in which git and DVC keep their settings: sections in brackets, ``key = value``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# `[core]`, `[remote "origin"]`; DVC puts quotes around the whole: `['remote "storage"']`.
_SECTION = re.compile(r"""\s*\[\s*'?([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?'?\s*\]""")
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


def settings(path: str) -> Iterator[Setting]:
    """Every setting in the file at ``path``, in order. Raises OSError."""
    with open(path, "rb") as file:
        lines = file.read().decode("utf-8", "replace").splitlines()
    section, name = "", ""
    for line in lines:
        if header := _SECTION.match(line):
            section, name = header[1].lower(), header[2] or ""
            line = line[header.end() :]  # noqa: PLW2901 - git allows a setting on the same line
        if line.lstrip().startswith(("#", ";")) or not line.strip():
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        yield Setting(section, name, key.lower(), value.strip('"') if equals else "true")


def last_value(path: str, section: str, key: str) -> Setting | None:
    """The setting that counts; None where it is not made, or the file cannot be read."""
    found = None
    try:
        for setting in settings(path):
            if (setting.section, setting.name, setting.key) == (section, "", key):
                found = setting
    except OSError:
        return None
    return found
