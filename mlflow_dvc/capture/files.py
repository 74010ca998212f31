"""Files read once and again only when they changed."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import yaml

# A file written twice within the clock's tick keeps its mtime: what was written this recently when
# it was read is read again. git calls this "racily clean"; NFS and FAT count in seconds.
RACY_NS = 2_000_000_000
_REASON_AT_MOST = 200
# The lock of 100,000 outputs has 30 MiB; DVC takes minutes to read it.
SIZE_AT_MOST = 32 * 1024 * 1024

Signature = tuple[int, ...]
T = TypeVar("T")


class UnreadableError(ValueError):
    """A file that cannot be used; the message names the file and the reason."""


@dataclass(frozen=True)
class _Kept(Generic[T]):
    signature: Signature
    settled: bool
    content: bytes
    value: T


class FileCache(Generic[T]):
    """``parse(bytes)`` of each path, done again only for other bytes."""

    def __init__(self, parse: Callable[[bytes], T]) -> None:
        self._parse = parse
        self._kept: dict[str, _Kept[T]] = {}

    def get(self, path: str) -> tuple[bytes, T]:
        """The file's bytes and their meaning. Raises OSError, or whatever ``parse`` raises."""
        status = os.stat(path)
        signature = signature_of(status)
        kept = self._kept.get(path)
        if kept and kept.settled and kept.signature == signature:
            return kept.content, kept.value
        started = time.time_ns()
        content = read_bytes(path)
        value = kept.value if kept and kept.content == content else self._parse(content)
        settled = is_settled(status, started)
        self._kept[path] = _Kept(signature, settled, content, value)
        return content, value


def signature_of(status: os.stat_result) -> Signature:
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev)


def is_settled(status: os.stat_result, now_ns: int) -> bool:
    """Whether a later change must show in the signature."""
    return now_ns - max(status.st_mtime_ns, status.st_ctime_ns) > RACY_NS


def read_bytes(path: str) -> bytes:
    """The content of a file. Raises OSError, or UnreadableError for what is none, or is too large.

    To open a pipe would wait for somebody to write into it.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise UnreadableError("not a regular file")
    if status.st_size > SIZE_AT_MOST:
        raise UnreadableError(f"larger than {SIZE_AT_MOST >> 20} MiB")
    with open(path, "rb", buffering=0) as file:
        return file.read()


def reason(error: Exception) -> str:
    """``error`` in a few words, for a warning line."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark
        where = f" at line {mark.line + 1}" if mark else ""
        return _one_line(f"not valid YAML{where}: {error.problem or error.context}")
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    return shown(" ".join(text.split())[:_REASON_AT_MOST])


def shown(text: str) -> str:
    """``text`` with every character that cannot stand in a line escaped."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )
