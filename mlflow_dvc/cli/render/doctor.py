"""What is wrong with a project: errors first, each rule with its places, the reason and the fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.cli.table import Table

if TYPE_CHECKING:
    from mlflow_dvc.recall.doctor import DoctorReport, Finding

_STYLES = {"error": "bold red", "note": "yellow"}
_MAX_PLACES = 10  # of one rule; the JSON has all
_MAX_FIXES = 3


def doctor_json(report: DoctorReport) -> dict[str, Any]:
    return {
        "schema": terminal.JSON_SCHEMA,
        "findings": [asdict(finding) for finding in report.findings],
        "checked": list(report.checked),
    }


def print_findings(report: DoctorReport) -> None:
    findings = report.findings
    if not findings:
        terminal.say(f"nothing wrong: {len(report.checked)} rules were looked at")
        if over := ", ".join(report.passed_over):
            terminal.say(f"not looked at, as MLFLOW_TRACKING_URI names no server: {over}")
        return
    console = terminal.console_of()
    for level, style in _STYLES.items():
        of_level = [finding for finding in findings if finding.level == level]
        for rule, group in groupby(of_level, lambda finding: finding.rule):
            console.print(f"[{style}]{level}[/]  [bold]{terminal.plain(rule)}[/]")
            table = Table("", "", prose=1)
            for name, text in _rows(list(group)):
                table.add_row(f"  [dim]{name}[/dim]", terminal.plain(text))
            table.print_to(console)
            console.print()
    terminal.say(_summary(findings))


def _rows(findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    for finding in findings[:_MAX_PLACES]:
        yield "where", f"{_line(finding.where)}: {_line(finding.what)}"
    if len(findings) > _MAX_PLACES:
        yield "", f"... and {len(findings) - _MAX_PLACES} more: --json has all"
    yield "why", findings[0].why
    fixes = list(dict.fromkeys(finding.fix for finding in findings))
    for fix in fixes[:_MAX_FIXES]:
        yield "fix", _line(fix)
    if len(fixes) > _MAX_FIXES:
        yield "", "... and so on"


def _line(text: str) -> str:
    return " ".join(text.split("\n"))


def _summary(findings: Iterable[Finding]) -> str:
    levels = [finding.level for finding in findings]
    return ", ".join(
        f"{levels.count(level)} {level}{'' if levels.count(level) == 1 else 's'}"
        for level in ("error", "note")
    )
