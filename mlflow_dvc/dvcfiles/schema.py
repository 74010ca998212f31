"""What DVC allows in its files; it refuses a whole file where one part breaks these rules.

The rules are those of ``dvc/schema.py``, written for :func:`find_fault`: DVC and its validator take
longer to import than all files take to read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

# A type; a list of one rule for every item; a tuple of alternatives; a mapping of fields, where the
# key ``str`` stands for every other name; or a check that returns what is wrong.
SchemaRule = Any
# What is wrong, with ``{}`` for where, and where: the names on the way there, innermost first.
Fault = tuple[str, list[str]]
Validator = Callable[[Any], "Fault | None"]

_WORDS = {str: "text", bool: "true or false", int: "a number", list: "a list", dict: "a mapping"}


class Required(str):
    """The name of a field that must be there."""

    __slots__ = ()


def find_fault(value: Any, rule: SchemaRule) -> str | None:
    """The first thing in ``value`` that breaks ``rule``, in words; None when nothing does."""
    fault = _compile(rule)(value)
    if fault is None:
        return None
    words, names = fault
    where = "".join(name if name.startswith("[") else f".{name}" for name in reversed(names))
    return words.format(where.removeprefix(".") or "it")


def _compile(rule: SchemaRule) -> Validator:
    """``rule`` as a function: a large lock has a hundred thousand values to look at."""
    key = id(rule)
    if key not in _validators:
        _validators[key] = rule, _build(rule)
    return _validators[key][1]


_validators: dict[int, tuple[SchemaRule, Validator]] = {}


def _build(rule: SchemaRule) -> Validator:
    if rule is object:
        return lambda value: None
    if isinstance(rule, tuple):
        return _alternatives(rule)
    if isinstance(rule, Mapping):
        return _mapping(rule)
    if isinstance(rule, list):
        return _sequence(rule[0])
    if isinstance(rule, type):
        fault = f"{{}} is not {_word(rule)}"
        return lambda value: None if isinstance(value, rule) else (fault, [])

    def named(value: Any) -> Fault | None:
        words = rule(value)
        return (f"{{}} {_literal(words)}", []) if words else None

    return named


def _mapping(rule: Mapping[Any, SchemaRule]) -> Validator:
    fields = {name: _compile(inner) for name, inner in rule.items() if isinstance(name, str)}
    other = _compile(rule[str]) if str in rule else None
    required = [name for name in rule if isinstance(name, Required)]

    def check(value: Any) -> Fault | None:
        if not isinstance(value, dict):
            return "{} is not a mapping", []
        for name in required:
            if name not in value:
                return f"{name!s} is missing in {{}}", []
        for name, item in value.items():
            inner = fields.get(name, other) if isinstance(name, str) else None
            if inner is None:
                return "{} is not allowed", [str(name)]
            if fault := inner(item):
                fault[1].append(name)
                return fault
        return None

    return check


def _sequence(rule: SchemaRule) -> Validator:
    inner = _compile(rule)

    def check(value: Any) -> Fault | None:
        if not isinstance(value, list):
            return "{} is not a list", []
        for position, item in enumerate(value):
            if fault := inner(item):
                fault[1].append(f"[{position}]")
                return fault
        return None

    return check


def _alternatives(rules: tuple[SchemaRule, ...]) -> Validator:
    """The fault is that of the alternative which ``value`` has the form of, if any."""
    checks = [(_compile(rule), type(rule)) for rule in rules]
    words = f"{{}} is not {' or '.join(_word(rule) for rule in rules)}"

    def check(value: Any) -> Fault | None:
        for inner, kind in checks:
            fault = inner(value)
            if fault is None or (isinstance(value, (dict, list)) and type(value) is kind):
                return fault
        return words, []

    return check


def _word(rule: SchemaRule) -> str:
    if rule is type(None):
        return "empty"
    kind = rule if isinstance(rule, type) else type(rule)
    return _WORDS.get(kind, "as DVC wants it")


def _literal(words: str) -> str:
    return words.replace("{", "{{").replace("}", "}}")


def _checksum(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, (str, int)) or len(str(value)) < 3:
        return "is no hash"
    return None


def _schema_version(value: Any) -> str | None:
    return None if value == "2.0" else f"is {value!r}, not '2.0'"


def _one_remote(value: Any) -> str | None:
    if fault := find_fault(value, {str: {**_META, **_HASHES}}):
        return f"is not as DVC wants it ({fault})"
    return None if len(value) <= 1 else "names more than one remote"


def _stage(value: Any) -> str | None:
    is_foreach = isinstance(value, dict) and not {"foreach", "do"}.isdisjoint(value)
    fault = find_fault(value, _FOREACH if is_foreach else _STAGE)
    return f"is refused: {fault}" if fault else None


_NONE = type(None)
_HASHES: dict[Any, SchemaRule] = dict.fromkeys(("md5", "checksum", "etag"), _checksum)
_META: dict[Any, SchemaRule] = {"size": int, "nfiles": int, "isexec": bool, "version_id": str}
_ANNOTATION: dict[Any, SchemaRule] = {"desc": str, "type": str, "labels": [str], "meta": object}
_FILES = [{**_HASHES, **_META, Required("relpath"): str, "cloud": _one_remote}]
_PLACED: dict[Any, SchemaRule] = {
    **_HASHES,
    **_META,
    "persist": bool,
    "cloud": _one_remote,
    "hash": str,
}
_OUT = {
    **_PLACED,
    **_ANNOTATION,
    Required("path"): str,
    "cache": bool,
    "remote": str,
    "push": bool,
    "files": _FILES,
    "fs_config": dict,
}
_REPO = {
    Required("url"): str,
    "rev": str,
    "rev_lock": str,
    "config": (str, dict),
    "remote": (str, dict),
}
_DEP = {
    **_PLACED,
    "path": str,
    "repo": _REPO,
    "db": dict.fromkeys(("query", "connection", "file_format", "table"), str),
    "files": _FILES,
    "fs_config": dict,
}
SINGLE_SCHEMA: SchemaRule = {
    "md5": _checksum,
    "wdir": (str, _NONE),
    "deps": ([_DEP], _NONE),
    "outs": ([_OUT], _NONE),
    "locked": bool,
    "frozen": bool,
    "meta": object,
    "always_changed": bool,
    "desc": str,
}

_LOCKED = {
    **_HASHES,
    **_META,
    Required("path"): str,
    "cloud": _one_remote,
    "files": _FILES,
    "hash": str,
    "dataset": dict,
}
LOCK_SCHEMA: SchemaRule = {
    Required("schema"): _schema_version,
    "datasets": object,
    "stages": {
        str: {
            Required("cmd"): (str, list),
            "deps": [_LOCKED],
            "params": {str: {str: object}},
            "outs": [_LOCKED],
        }
    },
}

_OUT_FLAGS = {
    **_ANNOTATION,
    "cache": bool,
    "persist": bool,
    "checkpoint": bool,
    "remote": str,
    "push": bool,
}
_PLOT_FLAGS = {
    **_OUT_FLAGS,
    **dict.fromkeys(("template", "x", "y", "x_label", "y_label", "title"), str),
    "header": bool,
}
_STAGE = {
    "matrix": {str: (str, list)},
    Required("cmd"): (str, list),
    "wdir": str,
    "deps": [str],
    "params": [(str, dict)],
    "vars": [(str, dict)],
    "frozen": bool,
    "meta": object,
    "desc": str,
    "always_changed": bool,
    "outs": [(str, {str: _OUT_FLAGS})],
    "metrics": [(str, {str: _OUT_FLAGS})],
    "plots": [(str, {str: (_PLOT_FLAGS, [_PLOT_FLAGS])})],
}
_FOREACH = {Required("foreach"): (dict, list, str), Required("do"): _STAGE}
_DRAWN = {
    "x": (str, {str: str}),
    "y": (str, [str], {str: (str, [str])}),
    **dict.fromkeys(("x_label", "y_label", "title", "template"), str),
}
PIPELINE_SCHEMA: SchemaRule = {
    "datasets": object,
    "plots": [(str, {str: (_DRAWN, _NONE)})],
    "stages": {str: _stage},
    "vars": [(str, dict)],
    "params": [str],
    "metrics": [str],
    "artifacts": {str: {**_ANNOTATION, Required("path"): str}},
}


def validate(file: str, raw: Any, rule: SchemaRule) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """What a file may say as DVC sees it; nothing, and the reason, where DVC refuses the file."""
    raw = raw or {}  # an empty file, to DVC
    fault = find_fault(raw, rule)
    return ({}, (f"{file}: DVC refuses it: {fault}",)) if fault else (raw, ())
