"""The script of a stage, found and searched by its text for what it reads."""

from __future__ import annotations

import ast
import os
import posixpath
import shlex
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlflow_dvc.dvcfiles.stages import Stage
from mlflow_dvc.fingerprint import UnreadableError, read_bytes

_SCRIPTS = frozenset({".py", ".r", ".rmd", ".sh", ".bash", ".ipynb", ".jl"})
_PARAMS_FILES = frozenset({"params.yaml", "params.yml", "params.json", "params.toml"})
# `open("params.yaml")`, `Path("params.yaml")`, `OmegaConf.load("params.yaml")`
_OPENERS = frozenset({"open", "Path", "load"})
_TO = frozenset({">", ">>", "-o", "--output"})  # what follows is written
_MAX_SCRIPT_BYTES = 1024 * 1024


@dataclass(frozen=True)
class ScriptReads:
    """What a Python program reads and says by its text.

    ``params`` names each params file that it opens, with the line; ``shows_params`` is the line of
    ``dvc.api.params_show()``; ``sets_server``: it calls ``mlflow.set_tracking_uri``.
    """

    params: tuple[tuple[str, int], ...] = ()
    shows_params: int | None = None
    sets_server: bool = False


def find_script(stage: Stage, raw: Mapping[str, Any], root: str) -> str | None:
    """The first script in the stage's command, relative to the DVC root; it lies in the project."""
    outs = {out.path for out in stage.outs}
    for words in map(_words, _commands(raw.get("cmd"))):
        if "cd" in words:
            return None  # where it then is, this does not tell
        for before, word in zip(["", *words], words, strict=False):
            for path in _files(before, word):
                inside = posixpath.normpath(posixpath.join(stage.wdir, path))
                is_inside = not inside.startswith(("/", "../"))
                is_made = before in _TO or inside in outs
                if is_inside and not is_made and os.path.isfile(os.path.join(root, inside)):
                    return inside
    return None


def interpreters(raw: Mapping[str, Any]) -> Iterator[str]:
    """The names by which the stage's commands call Python from the PATH."""
    for words in map(_words, _commands(raw.get("cmd"))):
        yield from (word for word in words if word in ("python", "python3"))


def is_declared(path: str, stage: Stage) -> bool:
    """Whether the stage depends on ``path``, or on a folder that it lies in."""
    deps = {dep.rstrip("/") for dep in stage.deps}
    return "." in deps or any(
        path == dep or path.startswith(f"{dep}/") for dep in (*deps, *stage.params)
    )


def parse_reads(path: str) -> ScriptReads:
    """Nothing for what is no Python, or not that of this interpreter."""
    try:
        content = read_bytes(path) if path.endswith(".py") else b""
        if len(content) > _MAX_SCRIPT_BYTES:
            return ScriptReads()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in the user's code
            tree = ast.parse(content)
    except (OSError, UnreadableError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ScriptReads()
    calls = [(_name(node), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    shown = [node.lineno for name, node in calls if name == "params_show"]
    opened = (
        (text, node.lineno)
        for name, node in calls
        if name in _OPENERS
        for text in _texts(node)
        if posixpath.basename(text) in _PARAMS_FILES
    )
    return ScriptReads(
        tuple(opened),
        shown[0] if shown else None,
        any(name == "set_tracking_uri" for name, _ in calls),
    )


def _commands(cmd: Any) -> list[str]:
    return [part for part in (cmd if isinstance(cmd, list) else [cmd]) if isinstance(part, str)]


def _words(command: str) -> list[str]:
    """As a shell splits them; its signs stand alone."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:  # quotes that do not end
        return command.split()


def _files(before: str, word: str) -> Iterator[str]:
    """The files that a word of a command may mean as a script; ``before`` is the word before."""
    if posixpath.splitext(word)[1].lower() in _SCRIPTS:
        yield word
    elif before == "-m":
        module = word.replace(".", "/")
        yield from (f"{module}.py", f"{module}/__main__.py")


def _name(call: ast.Call) -> str:
    func = call.func
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


def _texts(call: ast.Call) -> Iterator[str]:
    for argument in call.args:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value
