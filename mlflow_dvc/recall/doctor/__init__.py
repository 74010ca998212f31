"""What in a project would make a record wrong or useless, with the fix.

``rules`` lists all that is looked for; a module for each subject finds it.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection
from dataclasses import dataclass

from mlflow_dvc.errors import MlflowDvcError, NoProjectError
from mlflow_dvc.project import find_project
from mlflow_dvc.recall.doctor.context import DoctorContext
from mlflow_dvc.recall.doctor.finding import Finding as Finding
from mlflow_dvc.recall.doctor.finding import Level as Level
from mlflow_dvc.recall.doctor.rules import RULES
from mlflow_dvc.recall.doctor.undeclared import declaring_patch


@dataclass(frozen=True)
class DoctorReport:
    """What was found, and the names of the rules that were looked at.

    ``passed_over``: those about runs that were not, as no server is named.
    """

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    passed_over: tuple[str, ...] = ()


def doctor(
    project: str | None = None,
    *,
    local: bool = False,
    skip: Collection[str] = (),
    tracking_uri: str | None = None,
) -> list[Finding]:
    """What in the project around the directory ``project`` would make a record wrong or useless.

    ``project`` is by default the working directory. With ``local`` neither the tracking server nor
    a DVC remote is asked, and nothing of MLflow or DVC imported. A server or remote that does not
    answer is a finding. ``skip`` names rules that are not looked at.

    Raises :class:`~mlflow_dvc.NoProjectError` where there is neither git nor DVC, and
    :class:`~mlflow_dvc.MlflowDvcError` for a rule in ``skip`` that there is not.

    >>> [finding.rule for finding in mlflow_dvc.doctor() if finding.level == "error"]
    ['not-pushed']
    """
    return list(diagnose(project, local=local, skip=skip, tracking_uri=tracking_uri).findings)


def diagnose(
    project: str | None = None,
    *,
    local: bool = False,
    skip: Collection[str] = (),
    tracking_uri: str | None = None,
) -> DoctorReport:
    """What :func:`doctor` finds, with the names of the rules that were looked at."""
    names = {rule.name for rule in RULES}
    if unknown := [name for name in skip if name not in names]:
        near = difflib.get_close_matches(unknown[0], names, 1)
        raise MlflowDvcError(
            f"no rule of doctor is called {unknown[0]!r}",
            f"Is it {near[0]}?"
            if near
            else "`mlflow-dvc doctor --json` names those that there are",
        )
    context = _context(project, tracking_uri, is_local=local)
    rules = [rule for rule in RULES if not (local and rule.asks) and rule.name not in skip]
    over = [rule for rule in rules if rule.of_runs and context.tracking_uri is None]
    rules = [rule for rule in rules if rule not in over]
    found = [finding for rule in rules for finding in rule.findings(context)]
    checked, passed_over = (tuple(rule.name for rule in group) for group in (rules, over))
    return DoctorReport(tuple(found), checked, passed_over)


def patch(
    project: str | None = None, *, local: bool = False, tracking_uri: str | None = None
) -> str:
    """What to change in the dvc.yaml files, so that stages declare what their runs read."""
    return declaring_patch(_context(project, tracking_uri, is_local=local))


def _context(project: str | None, tracking_uri: str | None, *, is_local: bool) -> DoctorContext:
    here = find_project(project)
    if here.git_root is None and here.dvc_root is None:
        raise NoProjectError(os.path.abspath(project or "."))
    return DoctorContext(here, tracking_uri, is_local=is_local)
