"""YAML as DVC reads it: version 1.2, by the fastest well-kept parser there is in Python.

The scalars are those of ruamel.yaml, which DVC uses: 1.2 with ``0b1`` and ``1_000`` as numbers.
PyYAML speaks YAML 1.1, in which ``on`` is a boolean, ``1e-06`` a string and ``12:30`` a number.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

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


def _resolver(tag: str, pattern: str, first: str) -> None:
    """``first``: what a scalar of that kind may begin with."""
    starts = [*first, ""] if tag == "null" else list(first)
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), starts)


_resolver("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF")
_resolver(
    "int",
    r"^(?:[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+)$",
    "-+0123456789",
)
_resolver(
    "float",
    r"^(?:[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
    "-+.0123456789",
)
_resolver("null", r"^(?:~|null|Null|NULL|)$", "~nN")
_resolver("merge", r"^(?:<<)$", "<")
_resolver("timestamp", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "0123456789")


def _construct_int(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    digits = text.lstrip("+-")
    base = _BASES.get(digits[:2], 10)
    number = int(digits if base == 10 else digits[2:], base)
    return -number if text.startswith("-") else number


Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def parse(content: bytes) -> Any:
    """The one document in ``content``. Raises ``yaml.YAMLError`` or ``UnicodeDecodeError``."""
    return yaml.load(content.decode("utf-8-sig"), Loader)  # noqa: S506 - a safe loader
