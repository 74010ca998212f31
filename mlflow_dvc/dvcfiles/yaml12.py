"""YAML 1.2 as DVC reads it: line by line where that can be done, else by PyYAML.

The scalars are those of ruamel.yaml, which DVC uses: 1.2 with ``0b1`` and ``1_000`` as numbers.
PyYAML speaks YAML 1.1, in which ``on`` is a boolean, ``1e-06`` a string and ``12:30`` a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

import yaml

from mlflow_dvc.dvcfiles import yaml_block
from mlflow_dvc.fingerprint import UnreadableError, describe_error
from mlflow_dvc.limits import (
    MAX_PARSED_BYTES,
    MAX_YAML_LINES,
    MAX_YAML_TOKENS,
    MAX_YAML_VALUES,
)

MAX_SLOW_BYTES = 4 * 1024 * 1024  # characters; PyYAML takes two seconds for these
_TOKENS_A_CALL = 4
_MAX_DEPTH = 200
_BASES = {"0b": 2, "0o": 8, "0x": 16}
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(_Base):
    """Scalars by the core schema of YAML 1.2; a key that stands twice is an error, as for DVC."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        mapping = super().construct_mapping(node, deep=deep)
        if isinstance(node, yaml.MappingNode) and len(mapping) < len(node.value):
            self._refuse_duplicates(node)
        return mapping

    def _refuse_duplicates(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = (key.tag, str(key.value))
            if name in seen:
                problem = f"the key {key.value!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(name)


# What a scalar without quotes may be, other than text: the pattern, and how it may begin.
_KINDS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (
        r"[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+",
        "-+0123456789",
    ),
    "float": (
        r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "null": (r"~|null|Null|NULL|", "~nN"),
    "merge": (r"<<", "<"),
    "value": (r"=", "="),  # stands for nothing, and so is refused, as by DVC
    "timestamp": (
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{2}?-[0-9]{2}?(?:[Tt]|[ \t]+)[0-9]{1,2}"
        r":[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?",
        "0123456789",
    ),
}
for _kind, (_pattern, _starts) in _KINDS.items():
    Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}",
        re.compile(rf"^(?:{_pattern})$"),
        [*_starts, ""] if _kind == "null" else list(_starts),
    )
_NO_TEXT = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, (pattern, _) in _KINDS.items()))
_MAYBE_NO_TEXT = frozenset("".join(starts for _, starts in _KINDS.values()))


def _construct_int(loader: Any, node: Any) -> int:
    return _integer(loader.construct_scalar(node))


def _integer(text: str) -> int:
    digits = text.replace("_", "").lstrip("+-")
    base = _BASES.get(digits[:2], 10)
    number = int(digits if base == 10 else digits[2:], base)
    return -number if text.startswith("-") else number


Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def parse_yaml(content: bytes) -> Any:
    """The one document in ``content``. Raises UnreadableError alone, whatever the bytes are.

    What takes long to read, or stands for more than it says, is refused: a file may be anybody's.
    """
    try:
        return _parse(content.decode("utf-8-sig"))
    except UnreadableError:
        raise
    except Exception as error:  # PyYAML's own, and what a constructor of it makes of odd values
        raise UnreadableError(describe_error(error)) from None


def parse_foreign_yaml(content: bytes) -> Any:
    """The one document in a file that is attached to a run. Raises UnreadableError."""
    if len(content) > MAX_PARSED_BYTES:
        raise UnreadableError(f"larger than {MAX_PARSED_BYTES >> 20} MiB")
    return parse_yaml(content)


def _parse(text: str) -> Any:
    if text.count("\n") > MAX_YAML_LINES:
        raise UnreadableError(f"it has more than {MAX_YAML_LINES} lines")
    try:
        return yaml_block.parse_block(text, _Parts().read, scalar)
    except (yaml_block.UnsupportedYamlError, ValueError):
        if len(text) > MAX_SLOW_BYTES:
            raise UnreadableError(
                f"over {MAX_SLOW_BYTES >> 20} MB and not in the form in which DVC writes it"
            ) from None
    if _tokens(text) > MAX_YAML_TOKENS:
        raise UnreadableError(f"it has more than {MAX_YAML_TOKENS} values in an unusual form")
    value = _whole(text)
    if "*" in text:
        _refuse_bombs(value)
    return value


class _Parts:
    """Values that are given to PyYAML by themselves: that many together take seconds."""

    def __init__(self) -> None:
        self._left = MAX_YAML_TOKENS

    def read(self, text: str) -> Any:
        self._left -= _TOKENS_A_CALL + _tokens(text)
        if self._left < 0:
            raise yaml_block.UnsupportedYamlError
        return _whole(text)


def _tokens(text: str) -> int:
    return sum(map(text.count, "\n,[{:"))


def _refuse_bombs(value: Any) -> None:
    """Aliases make much of a little: whoever walks through it would never come to an end."""
    left = MAX_YAML_VALUES
    pending = [iter((value,))]
    while pending:
        for item in pending[-1]:
            left -= 1
            if left < 0 or len(pending) > _MAX_DEPTH:
                raise UnreadableError("its aliases stand for more than is looked at")
            if isinstance(item, dict):
                pending.append(iter(item.values()))
                break
            if isinstance(item, list):
                pending.append(iter(item))
                break
        else:
            pending.pop()


def scalar(text: str) -> Any:
    """The value of a scalar without quotes. Raises UnsupportedYamlError or ValueError for rare
    ones.
    """
    if text[0] not in _MAYBE_NO_TEXT:
        return text
    if text.isascii() and text.isdecimal():
        return int(text)
    match = _NO_TEXT.fullmatch(text)
    if match is None:
        return text
    make = _MAKE.get(match.lastgroup or "")
    if make is None:
        raise yaml_block.UnsupportedYamlError
    return make(text)


# A float in words, such as `.inf`, is a ValueError.
_MAKE: dict[str, Callable[[str], Any]] = {
    "int": _integer,
    "float": lambda text: float(text.replace("_", "")),
    "bool": lambda text: text[0] in "tT",
    "null": lambda text: None,
    "timestamp": lambda text: _whole(f"- {text}")[0],
}


def _whole(text: str) -> Any:
    return yaml.load(text, Loader)  # noqa: S506 - a safe loader
