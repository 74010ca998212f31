"""Check a run, or the run behind a model, against a policy."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from mlflow_dvc import tracking
from mlflow_dvc.errors import UnreadableRecordError
from mlflow_dvc.git.run import GitAnswers, keep_answers
from mlflow_dvc.recall.check.checked_run import CheckedRun
from mlflow_dvc.recall.check.origin import RegisteredFiles, files_of, find_run_id
from mlflow_dvc.recall.check.policy import Policy, find_policy
from mlflow_dvc.recall.check.rules import RULES, PolicyRule
from mlflow_dvc.recall.verdict import Verdict, worst

_UNFINISHED = frozenset({"RUNNING", "SCHEDULED"})
_WAIT = "The run has not ended, and its record is not whole before: check it after its end"


@dataclass(frozen=True)
class RuleResult:
    """Whether a run meets one ``rule``: PASS, FAIL, or UNVERIFIED where that is not known.

    ``reason`` says why, or what was found; ``remedy`` what to do where the rule is not met.
    """

    rule: str
    verdict: Verdict
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class PolicyResult:
    """What was found of one run. ``verdict`` is the worst of its ``rules``.

    ``policy`` is the file, or ``default``. ``is_recorded``: whether the run carries a record.
    """

    run_id: str
    run_name: str
    policy: str
    verdict: Verdict
    rules: tuple[RuleResult, ...]
    is_recorded: bool = True

    def __bool__(self) -> bool:
        """Whether the run meets the policy: no rule is broken, and none was left open."""
        return self.verdict == "PASS"


def check(
    run: str,
    policy: str | None = None,
    *,
    project: str | None = None,
    tracking_uri: str | None = None,
) -> PolicyResult:
    """Whether a run meets a policy. What is not known does not meet it.

    ``run`` is named as for :func:`~mlflow_dvc.show`; of a version of a model it is the run that
    made the files of that version. ``policy`` is a file, or ``default``; None is the one that
    MLFLOW_DVC_POLICY names, or the default one. ``project`` is as for :func:`~mlflow_dvc.verify`.

    Raises :class:`~mlflow_dvc.PolicyFileError`, :class:`~mlflow_dvc.UnknownOriginError` for a
    version whose files no run is known to have made, and whatever :func:`~mlflow_dvc.verify`
    raises.

    >>> bool(mlflow_dvc.check("models:/churn@challenger", "policy.yaml"))
    True
    """
    asked = find_policy(policy)
    run = tracking.as_reference(run)
    with tracking.one_client(tracking_uri):
        if run.startswith("models:/") and not run.startswith("models:/m-"):
            run = find_run_id(files_of(run, tracking_uri), tracking_uri)
        return _check(run, asked, project, tracking_uri)


def check_files(
    files: RegisteredFiles,
    policy: str | None = None,
    *,
    project: str | None = None,
    tracking_uri: str | None = None,
) -> PolicyResult:
    """:func:`check` the run behind files that are to be registered."""
    asked = find_policy(policy)
    with tracking.one_client(tracking_uri):
        return _check(find_run_id(files, tracking_uri), asked, project, tracking_uri)


def _check(ref: str, policy: Policy, project: str | None, tracking_uri: str | None) -> PolicyResult:
    run = tracking.find_run(ref, tracking_uri)
    with ExitStack() as stack, keep_answers(GitAnswers()):
        found = CheckedRun(run, project, tracking_uri, stack)
        results = tuple(_judge(rule, found, policy) for rule in RULES if rule.is_asked(policy))
        verdict = worst(one.verdict for one in results)
        name, is_recorded = run.info.run_name or "", _is_recorded(found)
        return PolicyResult(run.info.run_id, name, policy.source, verdict, results, is_recorded)


def _is_recorded(run: CheckedRun) -> bool:
    try:
        return bool(run.record.snapshot)
    except UnreadableRecordError:  # there is one
        return True


def _judge(rule: PolicyRule, run: CheckedRun, policy: Policy) -> RuleResult:
    try:
        verdict, reason = rule.judge(run, policy)
    except UnreadableRecordError as error:
        return RuleResult(rule.name, "UNVERIFIED", error.problem, error.remedy)
    if run.run.info.lifecycle_stage != "active" and verdict == "PASS":
        return RuleResult(rule.name, "UNVERIFIED", "the run is deleted", "Restore it in MLflow")
    is_open = verdict != "FAIL" and run.run.info.status in _UNFINISHED
    if is_open:
        return RuleResult(rule.name, "UNVERIFIED", reason or "the run has not ended", _WAIT)
    return RuleResult(rule.name, verdict, reason, "" if verdict == "PASS" else rule.remedy)
