"""How a file that an ignore rule hides is shown again, without showing anything else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from shlex import quote

from mlflow_dvc.git.inspection import IgnoreRule
from mlflow_dvc.paths import parents
from mlflow_dvc.project import relative
from mlflow_dvc.recall.doctor.context import DoctorContext

# What a rule may not say of a path without an escape.
_SPECIAL = re.compile(r"[*?\[\]\\\n]|[\s]$")
# A name that no rule is about: what is said of it is said of whatever lies in a folder.
_ANY_NAME = "mlflow-dvc-any-name"


def show_file(context: DoctorContext, path: str, folder: str | None = None) -> str:
    """In words what shows the file at ``path`` to git; ``folder`` is that above it which is hidden.

    A rule with a star may hide more than was meant, and a later one takes one file out of it. Not
    out of ``data/*``, though: DVC does not look into such a folder again.
    """
    target = folder or path
    rule = _rule(context, target)
    if rule is None and folder is not None:
        rule = _rule(context, f"{folder}/{_ANY_NAME}")
        return _remove(context, rule, folder) + (
            f": DVC names data in {folder}/.gitignore itself; name there what else is to be ignored"
        )
    lines = _shown_again(context, rule, path, folder) if rule else []
    if rule and lines:
        file, line = _file(context, rule), f"line {rule.line} ({rule.pattern})"
        return f"In {file}, add below {line}: {' '.join(lines)}; or remove that line"
    return _remove(context, rule, target)


def show_project(context: DoctorContext) -> str:
    """In words what shows the folder of the project, where a rule hides that or one above it."""
    root = context.project.dvc_root or ""
    rule = context.data.ignore_rule(root) if context.data else None
    return _remove(context, rule, root)


def _rule(context: DoctorContext, path: str) -> IgnoreRule | None:
    return context.data.ignore_rule(context.absolute(path)) if context.data else None


def _remove(context: DoctorContext, rule: IgnoreRule | None, path: str) -> str:
    if rule is None:
        return f"Remove the rule that `git check-ignore -v --no-index {quote(path)}` names"
    return f"In {_file(context, rule)}, remove line {rule.line} ({rule.pattern})"


def _file(context: DoctorContext, rule: IgnoreRule) -> str:
    """As seen from the project, where it belongs to the repository."""
    outside = context.data is None or relative(rule.file, context.data.root).startswith("..")
    return rule.file if outside else relative(rule.file, context.project.dvc_root or "")


def _shown_again(
    context: DoctorContext, rule: IgnoreRule, path: str, folder: str | None
) -> list[str]:
    """The lines that take the file, and the folders above it, out of a rule about many names."""
    if "*" not in rule.pattern or context.data is None or _SPECIAL.search(path):
        return []
    is_nested = os.path.basename(rule.file) == ".gitignore"
    base = os.path.dirname(rule.file) if is_nested else context.data.root
    return [f"!/{relative(context.absolute(one), base)}{end}" for one, end in _steps(path, folder)]


def _steps(path: str, folder: str | None) -> Iterator[tuple[str, str]]:
    for one in reversed([*parents(path)]):
        if folder is not None and len(one) >= len(folder):
            yield one, "/"
    yield path, ""
