"""Take secrets out of a patch, before anybody else sees it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mlflow_dvc.secrets.search import HIDDEN, Findings, decode, encode, search

_TAKEN_OUT = "credentials were taken out"
_PATCH, _OLD, _NEW, _FILE = "patch", "old", "new", "file"


@dataclass
class SecretFilter:
    """What is about to be attached, by path: parts of a patch, and files as they are.

    ``contents`` are the old and the new bytes of binary files: their part of a patch cannot be
    searched. ``omit`` is told what is left out, and why.
    """

    omit: Callable[[str, str], object]
    parts: dict[str, bytes] = field(default_factory=dict)
    contents: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def clean(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """The parts with three stars for each secret in a new line, and the files without any."""
        found = search(dict(self._texts()))
        parts = {path: self._clean_part(path, found) for path in self.parts}
        files = {path: text for path, text in self.files.items() if self._is_whole(path, found)}
        return {path: part for path, part in parts.items() if part}, files

    def _texts(self) -> Mapping[str, bytes]:
        texts = {}
        for path, part in self.parts.items():
            if path not in self.contents:
                texts[posixpath.join(_PATCH, path)] = part
        for path, (old, new) in self.contents.items():
            texts[posixpath.join(_OLD, path)] = _plain(old)
            texts[posixpath.join(_NEW, path)] = _plain(new)
        for path, content in self.files.items():
            texts[posixpath.join(_FILE, path)] = _plain(content)
        return texts

    def _is_whole(self, path: str, found: Mapping[str, Findings]) -> bool:
        one = found[posixpath.join(_FILE, path)]
        if not one.is_clean:
            self.omit(path, one.reason)
        return one.is_clean

    def _clean_part(self, path: str, found: Mapping[str, Findings]) -> bytes:
        part = self.parts[path]
        if path in self.contents:
            old, new = (found[posixpath.join(kind, path)] for kind in (_OLD, _NEW))
            if old.is_clean and new.is_clean:
                return part
            self.omit(path, (new if old.is_clean else old).reason)
            return b""
        one = found[posixpath.join(_PATCH, path)]
        clean = part if one.is_clean else _without(part, one)
        if clean is None:
            self.omit(path, one.reason)
            return b""
        if clean != part:
            self.omit(path, _TAKEN_OUT)
        return clean


def _plain(content: bytes) -> bytes:
    return content.replace(b"\0", b"")  # as good as UTF-16


def _without(part: bytes, one: Findings) -> bytes | None:
    """``part`` less its secrets; None where one is in a line that must stay for it to apply."""
    if one.fault:
        return None
    text = decode(part)
    kept: list[str] = []
    done = 0
    for start, end in one.spans:
        line = text.rfind("\n", 0, start) + 1
        is_added = text.startswith("+", line) and not text.startswith("+++ ", line)
        if not is_added or "\n" in text[start:end] or "\n@@" not in text[:start]:
            return None
        kept += [text[done : max(start, line + 1)], HIDDEN]
        done = end
    return encode("".join((*kept, text[done:])))
