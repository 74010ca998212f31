"""What a gate says where it lets nothing through."""

from __future__ import annotations

from mlflow_dvc.errors import MlflowDvcError, PolicyBrokenError
from mlflow_dvc.recall.check import PolicyResult


def refuse_unless_met(action: str, result: PolicyResult) -> None:
    """Raises PolicyBrokenError with each rule that is not met."""
    if result:
        return
    broken = [one for one in result.rules if one.verdict != "PASS"]
    words = {"UNVERIFIED": "not known", "FAIL": "not met", "TAMPERED": "not met"}
    said = "; ".join(f"{one.rule} is {words[one.verdict]} ({one.reason})" for one in broken)
    record = "" if result.is_recorded else " carries no record, and"
    reason = f"run {result.run_id}{record} does not meet the policy {result.policy}: {said}"
    remedies = dict.fromkeys(f"{one.rule}: {one.remedy}" for one in broken if one.remedy)
    rules = [one.rule for one in broken]
    raise PolicyBrokenError(action, reason, "; ".join(remedies), rules, result.run_id)


def refusal(action: str, error: Exception) -> PolicyBrokenError:
    """What is raised where the policy could not be judged."""
    if isinstance(error, PolicyBrokenError):
        return error
    if isinstance(error, MlflowDvcError):
        return PolicyBrokenError(action, error.problem, error.remedy)
    return PolicyBrokenError(action, f"the policy could not be judged ({error!r})")
