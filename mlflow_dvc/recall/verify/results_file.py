"""A file of results, one line of JSON each, from which an interrupted ``verify`` goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from functools import cached_property
from typing import Any, get_args

from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.recall.verdict import Check, Part, Verdict
from mlflow_dvc.recall.verify.result import VerifyResult

_TIME = "verified_at"
_REMEDY = "Name a file that is not there yet, or one that verify has written"
_START = b'{"run_id": '


class ResultsFile:
    """Raises OSError where it cannot be read or written, MlflowDvcError where it is another."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lines = _read_lines(path)

    @cached_property
    def known(self) -> dict[str, VerifyResult]:
        """By the id of the run. What was not known is asked again: it may be by now."""
        found = (self._result(number, line) for number, line in enumerate(self._lines, 1))
        known = {one.run_id: one for one in found if one.run_id}  # the last one of each
        return {run_id: one for run_id, one in known.items() if one.verdict != "UNVERIFIED"}

    def keep(self, results: Iterable[VerifyResult]) -> Iterator[VerifyResult]:
        """The same ``results``, each written down before it is given on, if it is new."""
        known = self.known
        size = sum(len(line) + 1 for line in self._lines)
        with open(self.path, "ab") as file:
            file.truncate(size)  # a line that was being written when the process ended
            for one in results:
                if known.get(one.run_id) is not one:
                    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
                    file.write(json.dumps({**asdict(one), _TIME: now}).encode() + b"\n")
                    file.flush()
                yield one

    def _result(self, number: int, line: bytes) -> VerifyResult:
        try:
            return _parse(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            problem = f"line {number} of {self.path} is no result of verify"
            raise MlflowDvcError(problem, _REMEDY) from error


def _read_lines(path: str) -> list[bytes]:
    """Those that are complete; the last may have been cut off in the middle."""
    if not os.path.lexists(path):
        return []
    with open(path, "rb") as file:
        *lines, rest = file.read().split(b"\n")
    if rest[: len(_START)] != _START[: len(rest)]:
        raise MlflowDvcError(f"{path} is no file of results of verify", _REMEDY)
    return lines


def _parse(row: Any) -> VerifyResult:
    items = tuple(Check(**item) for item in row["items"])
    one = VerifyResult(str(row["run_id"]), str(row["run_name"]), row["verdict"], items)
    verdicts, parts = get_args(Verdict), get_args(Part)
    if not {one.verdict, *(item.verdict for item in items)} <= {*verdicts}:
        raise ValueError("a verdict that there is not")
    if not {item.part for item in items} <= {*parts}:
        raise ValueError("a part that there is not")
    return one
