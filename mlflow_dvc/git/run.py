"""The one place where git is run: its settings, its environment, its time limit."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from itertools import dropwhile
from typing import IO, Any, TypeVar

from mlflow_dvc.process import is_seen, start_process
from mlflow_dvc.program import Program, open_memory

# What `git rev-parse --local-env-vars` names, and what changes what a word means. In a hook of a
# linked work tree, git says by these that every question is about its own repository. Settings that
# a user makes by GIT_CONFIG_COUNT stay: safe.directory may be among them.
_NOT_INHERITED = frozenset({
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
    "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS",
    "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
})  # fmt: skip
# No program of the user's is run, and nothing of theirs written: a split index has files beside it.
_SETTINGS = (
    "core.fsmonitor=false", "core.quotePath=false", "core.safecrlf=false", "core.splitIndex=false",
    f"core.hooksPath={os.devnull}", f"diff.orderFile={os.devnull}",
)  # fmt: skip
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}


# What a repository answers alike until something is written there.
_QUESTIONS = frozenset({
    ("cat-file",), ("for-each-ref",), ("ls-tree",), ("rev-parse",), ("rev-list",), ("remote",),
    ("config", "-z", "--get-regexp"), ("merge-base",), ("ls-remote", "--get-url"),
})  # fmt: skip
_MAX_KEPT, _MAX_KEPT_BYTES = 20_000, 100_000
_Answer = subprocess.CompletedProcess[bytes]
T = TypeVar("T")


@dataclass(frozen=True)
class GitAnswers:
    """What repositories have answered, and what remotes have: nothing of ours is pushed there."""

    repositories: dict[Hashable, _Answer] = field(default_factory=dict)
    remotes: dict[Hashable, Any] = field(default_factory=dict)


_kept: ContextVar[GitAnswers | None] = ContextVar("kept", default=None)


@contextmanager
def keep_answers(answers: GitAnswers | None = None) -> Iterator[None]:
    """Inside of it git is asked the same question once, as long as nothing is written by us.

    Of a thousand runs most have their commit in common. ``answers`` are those of before.
    """
    token = _kept.set(answers or GitAnswers())
    try:
        yield
    finally:
        _kept.reset(token)


def ask_remote_once(question: Hashable, ask: Callable[[], T]) -> T:
    """What ``ask`` finds out at a remote; while answers are kept, what it found before."""
    kept = _kept.get()
    if kept is None:
        return ask()
    if question not in kept.remotes:
        kept.remotes[question] = ask()
    answer: T = kept.remotes[question]
    return answer


class GitTimeoutError(OSError):
    """Git was not done in time."""


def run_git(
    root: str,
    *words: str,
    given: bytes = b"",
    seconds: float | None = None,
    settings: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """``git WORDS`` in the directory ``root``, whatever repository the environment names.

    ``given`` is its input. ``settings`` (``core.x=y``) and ``env`` are added to those that every
    call has. Raises GitTimeoutError after ``seconds``, FileNotFoundError where there is no git.
    """
    ask = partial(_run, root, words, given, seconds, settings, env or {})
    kept = _kept.get()
    if kept is None:
        return ask()
    answers = kept.repositories
    if not _is_question(words):
        answers.clear()
        return ask()
    key = (root, words, given, settings, frozenset((env or {}).items()))
    if key not in answers:
        found = ask()
        if len(found.stdout) + len(given) > _MAX_KEPT_BYTES:
            return found
        if len(answers) >= _MAX_KEPT:
            answers.clear()
        answers[key] = found
    return answers[key]


def _is_question(words: tuple[str, ...]) -> bool:
    """``git remote`` alone lists them."""
    words = tuple(dropwhile(lambda word: word.startswith("-"), words))
    if words[:1] == ("remote",):
        return len(words) == 1
    return any(words[:length] in _QUESTIONS for length in (1, 2, 3))


def _run(  # noqa: PLR0913, PLR0917 - all of what run_git takes
    root: str,
    words: tuple[str, ...],
    given: bytes,
    seconds: float | None,
    settings: tuple[str, ...],
    env: Mapping[str, str],
) -> _Answer:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    options = [word for setting in (*_SETTINGS, *settings) for word in ("-c", setting)]
    git = Program(["git", *options, *words], root, {**kept, **_ENVIRONMENT, **env})
    run = _run_hidden if is_seen() else _run_child
    try:
        return run(git, given, seconds)
    except subprocess.TimeoutExpired as error:
        raise GitTimeoutError(f"git needs more than {seconds:g} s") from error


def _run_child(
    git: Program, given: bytes, seconds: float | None
) -> subprocess.CompletedProcess[bytes]:
    """The faster way."""
    process = subprocess.Popen(
        git.command,
        cwd=git.cwd,
        env=git.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=seconds is not None,
    )
    try:
        out, err = process.communicate(given, seconds)
    finally:
        if process.poll() is None:
            _kill(process, with_children=seconds is not None)
    return subprocess.CompletedProcess(git.command, process.returncode, out, err)


def _kill(process: subprocess.Popen[bytes], *, with_children: bool) -> None:
    """Git has programs of its own, such as the one that asks a web server."""
    if with_children and hasattr(os, "killpg"):  # not on Windows
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()


def _run_hidden(
    git: Program, given: bytes, seconds: float | None
) -> subprocess.CompletedProcess[bytes]:
    """Where code of the user may wait for children meanwhile, and take ours for its own."""
    with open_memory() as stdin, open_memory() as stdout, open_memory() as stderr:
        stdin.write(given)
        process = start_process(git, stdin, stdout, stderr)
        try:
            code = process.wait(seconds)
        finally:
            process.send(signal.SIGKILL)
        if code is None:
            raise subprocess.TimeoutExpired(git.command, seconds or 0)
        return subprocess.CompletedProcess(git.command, code, _content(stdout), _content(stderr))


def _content(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read()


def git_output(root: str, *words: str, seconds: float | None = None) -> bytes:
    """What git answers; empty where it has no answer, or is not there."""
    try:
        done = run_git(root, *words, seconds=seconds)
    except OSError:
        return b""
    return done.stdout if done.returncode == 0 else b""


def fault_line(stderr: bytes) -> str:
    """What git says is wrong, on one line; empty where it says nothing."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return next(iter([*fatal, *lines]), "")
