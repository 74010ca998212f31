"""Search texts for secrets, in a process of its own that may be stopped.

Rules of others meet texts of anybody: what takes too long must not hang the training, and a thread
could not be stopped. Where there is no answer, a text counts as one that holds a secret.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from mlflow_dvc import user_cache
from mlflow_dvc.process import start_process
from mlflow_dvc.program import open_memory, python_program

MAX_SEARCH_SECONDS = 20.0
NOT_INSTALLED = 6  # the exit code of the process that searches, where there are no rules
HIDDEN = "***"
HOLDS_KEY = "it holds a private key"
HOLDS_CREDENTIALS = "it holds credentials"
_KIND = "secrets"  # of what a process keeps for the next: that nothing was found
_FAILED = "it could not be searched for credentials: {}"
_TOO_LONG = "it could not be searched for credentials within {:g} s"
_NOT_INSTALLED = _FAILED.format("detect-secrets is not installed here")
_ENDED = _FAILED.format("the search ended with the exit code {}")
_MAX_REMEMBERED = 2000
# Of this length and kind a value is a secret wherever else it stands.
_MIN_UNIQUE_CHARACTERS = 10


@dataclass(frozen=True)
class Findings:
    """Where in a text secrets stand; ``fault`` says why that is not known, or cannot be said.

    ``spans`` are pairs of offsets, in characters of the text as :func:`decode` makes it.
    """

    spans: tuple[tuple[int, int], ...] = ()
    fault: str = ""

    @property
    def is_clean(self) -> bool:
        return not self.spans and not self.fault

    @property
    def reason(self) -> str:
        """Why a text with these is not attached."""
        return HOLDS_CREDENTIALS if self.fault in ("", HOLDS_KEY) else self.fault


# By the digest of name and text: a sweep of a thousand runs searches its code once.
_known: dict[bytes, Findings] = {}
_lock = threading.Lock()


def search(texts: Mapping[str, bytes], seconds: float | None = None) -> dict[str, Findings]:
    """What was found in each of ``texts``, which are named by the path of their file.

    A value found in one of them is found wherever it stands in the others.
    """
    keys = {path: _key(path, text) for path, text in texts.items()}
    lacking = [path for path in texts if keys[path] not in _known]
    fresh: dict[bytes, Findings] = {}
    if lacking:
        batch = _batch([keys[path] for path in lacking])
        if user_cache.read(_KIND, batch) is None:
            rows = [(path, decode(texts[path])) for path in lacking]
            answers = _ask(rows, MAX_SEARCH_SECONDS if seconds is None else seconds)
            if all(one.is_clean for one in answers):
                user_cache.write(_KIND, batch, b"clean")
        else:
            answers = [Findings()] * len(lacking)
        fresh = {keys[path]: one for path, one in zip(lacking, answers, strict=True)}
        _remember({key: one for key, one in fresh.items() if one.fault in ("", HOLDS_KEY)})
    found = {path: fresh.get(key) or _known.get(key) or Findings() for path, key in keys.items()}
    return _with_repeated(texts, found)


def decode(text: bytes) -> str:
    """``text`` so that :func:`encode` gives it back."""
    return text.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=after_fork)


def _batch(keys: Sequence[bytes]) -> str:
    """A name for texts that are searched together, by the rules as they are now."""
    rules = max(entry.stat().st_mtime_ns for entry in os.scandir(os.path.dirname(__file__)))
    return hashlib.sha256(b"".join((b"%d" % rules, *sorted(keys)))).hexdigest()


def _key(path: str, text: bytes) -> bytes:
    """What a file is called tells what of it may be a name of a program."""
    return hashlib.sha256(os.path.basename(path).encode("utf-8", "replace") + b"\0" + text).digest()


def _remember(found: Mapping[bytes, Findings]) -> None:
    with _lock:
        if len(_known) + len(found) > _MAX_REMEMBERED:
            _known.clear()
        _known.update(found)


def _ask(rows: Sequence[tuple[str, str]], seconds: float) -> list[Findings]:
    with open_memory() as question, open_memory() as answer:
        for row in rows:
            question.write(json.dumps(row).encode() + b"\n")
        fault = _run(question, answer, seconds)
        answer.seek(0)
        lines = answer.read().splitlines(keepends=True)
    found = [_parse(line) for line in lines if line.endswith(b"\n")][: len(rows)]
    return found + [Findings(fault=fault)] * (len(rows) - len(found))


def _run(question: IO[bytes], answer: IO[bytes], seconds: float) -> str:
    """Why there is no answer about what was not answered."""
    try:
        process = start_process(python_program("mlflow_dvc.secrets"), question, answer)
    except OSError as error:
        return _FAILED.format(error)
    try:
        code = process.wait(seconds)
        if code == NOT_INSTALLED:
            return _NOT_INSTALLED
        return _TOO_LONG.format(seconds) if code is None else _ENDED.format(code)
    except OSError as error:
        return _FAILED.format(error)
    finally:
        process.send(signal.SIGKILL)


def _parse(line: bytes) -> Findings:
    raw = json.loads(line)
    return Findings(fault=HOLDS_KEY) if raw is None else Findings(tuple(map(tuple, raw)))


def _with_repeated(
    texts: Mapping[str, bytes], found: Mapping[str, Findings]
) -> dict[str, Findings]:
    values: set[str] = set()
    for path, one in found.items():
        if one.spans:
            text = decode(texts[path])
            values.update(text[start:end] for start, end in one.spans)
    unique = sorted(filter(_is_unique, values), key=len, reverse=True)
    return {path: _repeated(texts[path], one, unique) for path, one in found.items()}


def _is_unique(value: str) -> bool:
    is_mixed = any(char.isdigit() for char in value) and any(char.isalpha() for char in value)
    return len(value) >= _MIN_UNIQUE_CHARACTERS and is_mixed


def _repeated(content: bytes, one: Findings, values: Sequence[str]) -> Findings:
    spans = set(one.spans)
    text = ""
    for value in values:
        if encode(value) not in content:
            continue
        text = text or decode(content)
        at = text.find(value)
        while at >= 0:
            if not any(start <= at < end for start, end in one.spans):
                spans.add((at, at + len(value)))
            at = text.find(value, at + len(value))
    if len(spans) == len(one.spans):
        return one
    kept: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return Findings(tuple(kept), one.fault)
