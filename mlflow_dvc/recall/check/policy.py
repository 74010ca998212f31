"""A policy: which rules a run must meet, read from a small YAML file."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow_dvc import settings
from mlflow_dvc.dvcfiles.yaml12 import parse_foreign_yaml
from mlflow_dvc.errors import PolicyFileError
from mlflow_dvc.fingerprint import UnreadableError
from mlflow_dvc.recall.check.limits import MetricLimit

DEFAULT = "default"
_EXAMPLE = "Write one rule a line, such as `committed: true`"


@dataclass(frozen=True)
class Policy:
    """``source`` is its file, or ``default``. A rule that is not asked for is None or empty.

    ``seals`` are those of which the run must have one.
    """

    source: str
    committed: bool = False
    pushed: tuple[str, ...] = ()
    clean: bool = False
    seals: tuple[str, ...] = ()
    verified: bool = False
    no_undeclared_reads: bool = False
    lineage_reaches_raw_data: bool = False
    metrics: Mapping[str, tuple[MetricLimit, ...]] | None = None


_DEFAULT_POLICY = Policy(
    DEFAULT, committed=True, pushed=("commit", "data"), clean=True, verified=True
)


def find_policy(name: str | None = None) -> Policy:
    """The policy in the file ``name``; None is the one that MLFLOW_DVC_POLICY names, or the
    default one. Raises PolicyFileError.
    """
    name = name or settings.policy() or DEFAULT
    return _DEFAULT_POLICY if name == DEFAULT else read_policy(name)


def read_policy(file: str) -> Policy:
    """Raises PolicyFileError."""
    try:
        with open(file, "rb") as opened:
            raw = parse_foreign_yaml(opened.read())
    except OSError as error:
        reason = f"it cannot be read ({error.strerror or error})"
        raise PolicyFileError(file, reason, f"Name a file, or `{DEFAULT}`") from error
    except UnreadableError as error:
        raise PolicyFileError(file, str(error), _EXAMPLE) from error
    if not isinstance(raw, dict):
        raise PolicyFileError(file, "it has no rules", _EXAMPLE)
    asked: dict[str, Any] = {}
    for rule, value in raw.items():
        try:
            asked |= _READERS[_known(rule)](rule, value)
        except ValueError as error:
            known = f"The rules are {', '.join(_READERS)}"
            raise PolicyFileError(file, str(error), known) from None
    if not any(asked.values()):
        raise PolicyFileError(file, "it asks for nothing", _EXAMPLE)
    return Policy(os.path.abspath(file), **asked)


def _known(rule: Any) -> str:
    if isinstance(rule, str) and rule in _READERS:
        return rule
    near = difflib.get_close_matches(str(rule), _READERS, 1)
    raise ValueError(f"no rule is called {rule!r}" + (f" (is it {near[0]!r}?)" if near else ""))


def _read_switch(rule: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, bool):
        raise ValueError(f"{rule} is true or false, not {value!r}")
    return {rule: value}


def _read_pushed(rule: str, value: Any) -> dict[str, Any]:
    named = [value] if isinstance(value, str) else value
    if named is True:
        named = ["commit", "data"]
    if named is False:
        named = []
    is_list = isinstance(named, list)
    if not is_list or not all(one in ("commit", "data") for one in named) or named == value == []:
        raise ValueError(f"{rule} is [commit], [data] or [commit, data], not {value!r}")
    return {rule: tuple(dict.fromkeys(named))}


def _read_sealed(rule: str, value: Any) -> dict[str, Any]:
    seals = ("provisional", "confirmed")
    if value is False:
        return {"seals": ()}
    if value is True or value == "provisional":
        return {"seals": seals}
    if value == "confirmed":
        return {"seals": seals[1:]}
    raise ValueError(f"{rule} is provisional or confirmed, not {value!r}")


def _read_metrics(rule: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{rule} has a limit for each metric, as in `accuracy: '>= 0.8'`")
    return {rule: {str(name): _read_limits(str(name), said) for name, said in value.items()}}


def _read_limits(name: str, said: Any) -> tuple[MetricLimit, ...]:
    several = said if isinstance(said, list) and said else [said]
    return tuple(MetricLimit.parse(name, one) for one in several)


_READERS = {
    "committed": _read_switch,
    "pushed": _read_pushed,
    "clean": _read_switch,
    "sealed": _read_sealed,
    "verified": _read_switch,
    "no_undeclared_reads": _read_switch,
    "lineage_reaches_raw_data": _read_switch,
    "metrics": _read_metrics,
}
