"""The types of a rule and of what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mlflow_dvc.recall.doctor.context import DoctorContext

Level = Literal["error", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that makes a record wrong or useless.

    ``rule`` is its short name, the same in every version; ``where`` is a file, a stage, a variable
    or another place; ``what`` is wrong there, ``why`` it matters for the record, ``fix`` the
    command or the edit that mends it. ``level``: with an ``error`` a record is wrong, or what it
    names cannot be brought back; a ``note`` is about less.
    """

    rule: str
    level: Level
    where: str
    what: str
    why: str
    fix: str


@dataclass(frozen=True)
class Violation:
    """One place where a rule is broken."""

    where: str
    what: str
    fix: str


@dataclass(frozen=True)
class Rule:
    """``asks``: whether a server or a DVC remote is asked, which may be slow or not answer.

    ``of_runs``: whether it is about what the server says, so that one must be named.
    """

    name: str
    level: Level
    cases: Callable[[DoctorContext], Iterable[Violation]]
    why: str
    asks: bool = False
    of_runs: bool = False

    def findings(self, context: DoctorContext) -> list[Finding]:
        return [
            Finding(self.name, self.level, case.where, case.what, self.why, case.fix)
            for case in self.cases(context)
        ]
