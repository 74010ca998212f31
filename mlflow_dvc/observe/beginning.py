"""What had run in this process when observing began: more than imports may have read data.

Nobody sees what a program read before it imported MLflow. Mostly it was not more than imports and
settings, which its source tells: what stands before that place must be known to read nothing.
"""

from __future__ import annotations

import ast
import linecache
import math
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from types import FrameType

from mlflow_dvc.project import is_installed

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_MAX_MODULES = 100
_MAX_SOURCE_CHARACTERS = 400_000  # of all files together: to parse these takes a tenth of a second
_COMMAND = "<string>"  # what Python names the file of `python -c`
_STARTS_WORKER = "from multiprocessing."
_MUCH = "much had run before observing began"
_SAFE_MODULES = frozenset({
    "os", "sys", "logging", "warnings", "pathlib", "random", "argparse", "time", "locale",
    "signal", "faulthandler", "platform", "typing", "collections", "functools", "dataclasses",
    "enum", "re", "itertools", "math", "uuid", "datetime", "string", "textwrap", "abc", "inspect",
    "contextlib", "importlib", "multiprocessing",
})  # fmt: skip
_SAFE_NAMES = frozenset({
    "print", "len", "int", "float", "str", "bool", "dict", "list", "set", "tuple", "frozenset",
    "range", "isinstance", "issubclass", "hasattr", "getattr", "setattr", "min", "max", "sum",
    "sorted", "zip", "enumerate", "map", "filter", "any", "all", "abs", "round", "repr", "type",
    "super", "object", "property", "globals", "locals", "vars", "bytes", "hash", "id", "iter",
    "next", "Path", "PurePath", "getLogger", "basicConfig", "ArgumentParser", "namedtuple",
    "dataclass", "field", "TypeVar", "NewType", "partial", "defaultdict", "OrderedDict", "Counter",
    "load_dotenv", "find_dotenv", "getenv", "import_module", "__import__", "get_ipython",
})  # fmt: skip
_SAFE_METHODS = frozenset({
    "seed", "manual_seed", "manual_seed_all", "use", "set_option", "set_theme", "set_style",
    "setLevel", "filterwarnings", "simplefilter", "set_verbosity_error", "set_verbosity",
    "set_printoptions", "set_config", "run_line_magic", "setdefault", "get", "pop", "update",
    "use_deterministic_algorithms", "set_float32_matmul_precision", "enable_dataframe_output",
})  # fmt: skip
_READING = re.compile("read|open|load|exec|run|call|system|fetch|connect|spawn|fork|import_data")


@dataclass(frozen=True)
class _Place:
    """How far a file of the user's had run: all of it, or what stands before line and column."""

    file: str
    line: float = math.inf
    column: int = 0
    in_function: bool = False


class Beginning:
    """Where the program stood. Cheap to make; its source is only read when somebody asks."""

    def __init__(self, frame: FrameType | None, folder: str) -> None:
        """``frame`` is the innermost of the main thread, ``folder`` the project's."""
        self._when = time.time()
        self._places = list(_places(frame))
        stand_at = {place.file for place in self._places}
        self._places += [_Place(file) for file in _own_modules(folder) if file not in stand_at]
        self._cells = _cells()

    @cached_property
    def fault(self) -> str | None:
        """What had run that may have read data, in words; None where nothing had."""
        left = _MAX_SOURCE_CHARACTERS
        for place in self._places[: _MAX_MODULES + 1]:
            source = _source(place.file, self._when)
            left -= len(source or "")
            if left < 0:
                return _MUCH
            if found := _fault(place, source):
                return found
        if len(self._places) > _MAX_MODULES:
            return _MUCH
        for number, cell in self._cells:
            if _first_unsafe(cell, math.inf, 0):
                return f"cell {number} had run before observing began"
        return None


def _places(frame: FrameType | None) -> Iterator[_Place]:
    while frame is not None:
        file = frame.f_code.co_filename
        is_start_of_worker = file == _COMMAND and (_command() or "").startswith(_STARTS_WORKER)
        if not (file.startswith("<frozen") or is_start_of_worker or _is_of_others(file)):
            line, column = _position(frame)
            yield _Place(file, line, column, in_function=frame.f_code.co_name != "<module>")
        frame = frame.f_back


def _is_of_others(file: str) -> bool:
    return file.startswith(_PACKAGE) or (os.path.isabs(file) and is_installed(file))


def _position(frame: FrameType) -> tuple[int, int]:
    """Line and column; where Python does not tell the column, the whole line counts as run."""
    line = frame.f_lineno or 0
    if sys.version_info >= (3, 11) and frame.f_lasti >= 0:
        for at, position in enumerate(frame.f_code.co_positions()):
            if at * 2 == frame.f_lasti:
                return position[0] or line, position[2] or 0
    return line, sys.maxsize


def _own_modules(folder: str) -> Iterator[str]:
    inside = folder.rstrip(os.sep) + os.sep
    installed = (sys.prefix + os.sep, _PACKAGE)  # an environment may lie in the project
    for module in list(sys.modules.values()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if not isinstance(file, str) or not file.endswith(".py"):
            continue
        is_near = file.startswith(inside) and not file.startswith(installed)
        if is_near and not is_installed(file):
            yield file


def _cells() -> list[tuple[int, str]]:
    """What ran in this notebook before the present cell."""
    ran = getattr(sys.modules.get("__main__"), "In", None)
    if not isinstance(ran, list) or not all(isinstance(cell, str) for cell in ran):
        return []
    return [(number, cell) for number, cell in enumerate(ran[:-1]) if cell.strip()]


def _fault(place: _Place, source: str | None) -> str | None:
    name = os.path.basename(place.file)
    if place.in_function:
        return f"{name} had run up to line {place.line} before observing began"
    if source is None:
        return f"what {name} had run before observing began is not known"
    line = _first_unsafe(source, place.line, place.column)
    return f"line {line} of {name} had run before observing began" if line else None


def _source(file: str, when: float) -> str | None:
    """The source of a file as it was then; None where that is not known."""
    if file == _COMMAND:
        return _command()
    with suppress(OSError):  # the cell of a notebook, say, is no file
        status = os.stat(file)
        if status.st_mtime > when:
            return None
        if status.st_size == 0:  # as many an __init__.py is
            return ""
    lines = linecache.getlines(file)
    return "".join(lines) if lines else None


def _command() -> str | None:
    """What was given to ``python -c``."""
    words = sys.orig_argv
    return words[words.index("-c") + 1] if "-c" in words[:-1] else None


def _first_unsafe(source: str, line: float, column: int) -> int | None:
    """The line of the first call before ``line`` and ``column`` that may read data."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 1
    safe = set(_SAFE_MODULES | _SAFE_NAMES)
    for node in _executed(tree):
        if (node.lineno, node.col_offset) >= (line, column):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            safe |= _names_of(node)
        elif isinstance(node, ast.Assign) and _is_safe_value(node.value, safe):
            safe |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.Call) and not _is_safe_call(node, safe):
            return node.lineno
    return None


def _executed(tree: ast.Module) -> Iterator[ast.stmt | ast.Call]:
    """Statements and calls in their order, without what only stands in functions."""
    left: list[ast.AST] = list(reversed(tree.body))
    while left:
        node = left.pop()
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            left.extend(node.decorator_list)
            continue
        if isinstance(node, ast.stmt | ast.Call):
            yield node
        left.extend(reversed(list(ast.iter_child_nodes(node))))


def _names_of(node: ast.Import | ast.ImportFrom) -> set[str]:
    """The names of modules known to be safe under another name."""
    if isinstance(node, ast.ImportFrom):
        return set()
    return {one.asname for one in node.names if one.asname and one.name in _SAFE_MODULES}


def _is_safe_value(value: ast.expr, safe: set[str]) -> bool:
    calls = [node for node in ast.walk(value) if isinstance(node, ast.Call)]
    return all(_is_safe_call(call, safe) for call in calls)


def _is_safe_call(call: ast.Call, safe: set[str]) -> bool:
    methods, root = [], call.func
    while not isinstance(root, ast.Name):
        if isinstance(root, ast.Attribute):
            methods.append(root.attr)
            root = root.value
        elif isinstance(root, ast.Call):
            root = root.func
        elif isinstance(root, ast.Subscript):
            root = root.value
        else:  # a method of a literal, as "a".join
            return isinstance(root, ast.Constant | ast.JoinedStr | ast.List | ast.Dict | ast.Tuple)
    if methods and methods[0] in _SAFE_METHODS:
        return True
    return root.id in safe and not any(_READING.search(method) for method in methods)
