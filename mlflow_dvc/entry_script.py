"""Console scripts: the module that the small file in an environment's ``bin`` calls."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from functools import lru_cache

_MAX_BYTES = 20_000  # of a console script; pip's have 200
_LOADERS = frozenset({"load_entry_point", "importlib_load_entry_point"})


def find_entry_module(path: str) -> str | None:
    """The file of the module whose function the console script at ``path`` calls.

    None where the script is something else, or has not imported the module yet.
    """
    for name in _called(path):
        module = sys.modules.get(name)
        if module is not None:
            file = getattr(module, "__file__", None)
            return os.path.abspath(file) if file and os.path.isfile(file) else None
    return None


@lru_cache(maxsize=16)
def _called(path: str) -> tuple[str, ...]:
    """The names that the module may have, the likeliest first."""
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read(_MAX_BYTES))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return ()
    imported = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for call in _exit_calls(tree):
        root = call.func
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name) and root.id in imported:
            module, name = imported[root.id]
            return f"{module}.{name}", module  # it may be a module of a package
        if isinstance(root, ast.Call) and getattr(root.func, "id", None) in _LOADERS:
            return tuple(_loaded(root))
    return ()


def _exit_calls(tree: ast.AST) -> Iterator[ast.Call]:
    """``main()`` of each ``sys.exit(main())``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "exit":
            yield from (word for word in node.args if isinstance(word, ast.Call))


def _loaded(call: ast.Call) -> Iterator[str]:
    """What ``load_entry_point("pkg==1", "console_scripts", "name")`` loads."""
    from importlib import metadata

    words = [word.value for word in call.args if isinstance(word, ast.Constant)]
    if len(words) != 3:
        return
    package, group, name = map(str, words)
    try:
        points = metadata.distribution(package.partition("==")[0]).entry_points
    except metadata.PackageNotFoundError:
        return
    yield from (one.module for one in points if (one.group, one.name) == (group, name))
