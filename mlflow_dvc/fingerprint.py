"""Whether a file changed; files that are read again only when they did."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import yaml

from mlflow_dvc.visible_text import escape_hidden

# A file written twice within the clock's tick keeps its mtime: what was written this recently when
# it was read is read again. git calls this "racily clean"; NFS and FAT count in seconds.
RACY_NS = 2_000_000_000
_MAX_REASON_CHARACTERS = 200
# The lock of 100,000 outputs has 30 MiB; DVC takes minutes to read it.
MAX_FILE_BYTES = 32 * 1024 * 1024

Signature = tuple[int, ...]
T = TypeVar("T")


class UnreadableError(ValueError):
    """A file that cannot be used; the message names the file and the reason."""


@dataclass(frozen=True)
class Fingerprint:
    """Stat signature and optional digest of a path: enough to tell whether it changed.

    ``signature`` is None for what may change without showing it, or is not there; ``digest`` is
    empty where the content does not count or could not be read.
    """

    signature: Signature | None
    digest: str = ""
    missing: bool = False

    @classmethod
    def of(cls, path: str) -> Fingerprint:
        """By the time stamps of this moment alone."""
        try:
            status = os.stat(path)
        except OSError:
            return cls(None, missing=True)
        return cls(signature_of(status) if is_settled(status, time.time_ns()) else None)

    @classmethod
    def with_content(cls, path: str) -> Fingerprint:
        """By time stamps and the content, for a small file."""
        return replace(cls.of(path), digest=small_file_md5(path))

    def fits(self, path: str, digest_now: Callable[[str], str] = lambda path: "") -> bool:
        """Whether ``path`` still is as it was; not where that cannot be told.

        ``digest_now`` is asked where the time stamps do not tell, if the content counts.
        """
        try:
            now = signature_of(os.stat(path))
        except OSError:
            return self.missing
        if self.missing:
            return False
        return now == self.signature or (self.digest != "" and digest_now(path) == self.digest)


class FileCache(Generic[T]):
    """``parse(bytes)`` of each path, done again only for other bytes."""

    def __init__(self, parse: Callable[[bytes], T]) -> None:
        self._parse = parse
        self._kept: dict[str, _CachedFile[T]] = {}

    def get(self, path: str) -> T:
        """What the file says. Raises OSError or UnreadableError, or whatever ``parse`` raises."""
        status = os.stat(path)
        signature = signature_of(status)
        kept = self._kept.pop(path, None)
        if kept is None or kept.fingerprint.signature != signature:
            started = time.time_ns()
            content = read_bytes(path)
            seen = Fingerprint(signature if is_settled(status, started) else None, md5_of(content))
            same = kept if kept is not None and kept.content == content else None
            kept = _CachedFile(content, seen, same.value if same else self._parse(content))
        self._kept[path] = kept
        return kept.value

    def fingerprint(self, path: str) -> Fingerprint:
        """How the file looked when it was last read; as it is now where it cannot be read."""
        kept = self._kept.get(path)
        return kept.fingerprint if kept else Fingerprint.of(path)


@dataclass(frozen=True)
class _CachedFile(Generic[T]):
    content: bytes
    fingerprint: Fingerprint
    value: T


def small_file_md5(path: str) -> str:
    """Of a file's content; empty where it cannot be read."""
    try:
        return md5_of(read_bytes(path))
    except (OSError, UnreadableError):
        return ""


def md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def hash_file(path: str) -> str:
    """The md5 of its bytes, however many. Raises OSError."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
    if status.st_size > MAX_FILE_BYTES:
        raise UnreadableError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
    with open(path, "rb", buffering=0) as file:
        return file.read()


def describe_error(error: Exception) -> str:
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
        return error.strerror or _one_line(str(error)) or type(error).__name__
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    return escape_hidden(" ".join(text.split())[:_MAX_REASON_CHARACTERS])
