"""Values out of other people's records, held to a kind, a size and to characters.

Each check returns the value as the rest of the package may rely on it, or raises ValueError with a
short reason: what lies on a shared server may be anything, of any size, and is never repeated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlflow_dvc import limits

Check = Callable[[Any], Any]
_MAX_SECONDS = 253_402_300_799  # since 1970: the end of the year 9999


def read_json(content: bytes, max_bytes: int = limits.MAX_SNAPSHOT_BYTES) -> Any:
    """What JSON says. Raises ValueError alone, whatever the bytes are."""
    if len(content) > max_bytes:
        raise ValueError(f"larger than {max_bytes // limits.MIB} MiB")
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at character {error.pos}") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except RecursionError:
        raise ValueError("nested too deep") from None
    except ValueError:
        raise ValueError("a number has too many digits") from None


def as_text(value: Any) -> str:
    """Text that can be printed, stored and sent: no NUL, nothing that UTF-8 cannot have.

    What stands for bytes of a file name that are no UTF-8 is written as an escape.
    """
    if not isinstance(value, str):
        raise ValueError("is no text")
    if len(value) > limits.MAX_TEXT_CHARACTERS:
        raise ValueError(f"is longer than {limits.MAX_TEXT_CHARACTERS} characters")
    if "\0" in value:
        raise ValueError("has a NUL in it")
    return value if value.isascii() else encodable(value)


def encodable(text: str) -> str:
    """``text`` with an escape for each half of a surrogate pair, which no encoding has."""
    return text.encode("utf-8", "backslashreplace").decode()


def as_name(value: Any) -> str:
    """Text that is not empty."""
    if value == "":
        raise ValueError("is empty")
    return as_text(value)


def as_line(value: Any) -> str:
    """Text of one line, as every hash is."""
    text = as_text(value)
    if not text.isprintable():
        raise ValueError("has characters that cannot be printed")
    return text


def as_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is neither true nor false")
    return value


def as_count(value: Any) -> int:
    """A number of things, which True is not."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("is no whole number")
    if not 0 <= value <= limits.MAX_INTEGER:
        raise ValueError("is a number out of bounds")
    return value


def as_moment(value: Any) -> float:
    """Seconds since 1970."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("is no number")
    if not 0 <= value <= _MAX_SECONDS:  # which is no number is not, either
        raise ValueError("is no moment in time")
    return value


def one_of(words: Iterable[str]) -> Check:
    known = frozenset(words)

    def check(value: Any) -> Any:
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"is none of {', '.join(sorted(known))}")
        return value

    return check


def optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def as_list(value: Any) -> list[Any]:
    """None counts as empty."""
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise ValueError("is no list")
    if len(value) > limits.MAX_ENTRIES:
        raise ValueError(f"has {len(value)} entries, more than {limits.MAX_ENTRIES}")
    return list(value)


def as_texts(value: Any) -> tuple[str, ...]:
    return tuple(as_text(one) for one in as_list(value))


def as_mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("is no mapping")
    if len(value) > limits.MAX_ENTRIES:
        raise ValueError(f"has {len(value)} entries, more than {limits.MAX_ENTRIES}")
    return value


def as_named_lines(value: Any) -> dict[str, str]:
    """A line by each name, as the hash of each file."""
    return {as_name(name): as_line(line) for name, line in as_mapping(value).items()}


def checked(checks: Mapping[str, Check], raw: Any, where: str = "") -> dict[str, Any]:
    """The fields of ``raw`` that are known, each as its check has it. The others are left out."""
    if not isinstance(raw, Mapping):
        raise ValueError("it is no mapping")
    found = {}
    for name, value in raw.items():
        check = checks.get(name)
        if check is not None:
            try:
                found[name] = check(value)
            except ValueError as error:
                raise ValueError(f"{where}{name} {error}") from None
    return found
