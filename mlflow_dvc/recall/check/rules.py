"""The rules of a policy: what each asks of a run, and what to do where it is not met.

What is not known meets no rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mlflow_dvc.enumeration import first_of
from mlflow_dvc.recall.check.checked_run import CheckedRun
from mlflow_dvc.recall.check.policy import Policy
from mlflow_dvc.recall.lineage.upstream import UNREAD
from mlflow_dvc.recall.verdict import Check, Verdict, worst
from mlflow_dvc.snapshot import Snapshot

Judgement = tuple[Verdict, str]
_MAX_NAMED = 3


@dataclass(frozen=True)
class PolicyRule:
    """``judge`` says whether a run meets it, and why; ``remedy`` what to do where it does not."""

    name: str
    is_asked: Callable[[Policy], bool]
    judge: Callable[[CheckedRun, Policy], Judgement]
    remedy: str


def judge_committed(run: CheckedRun, policy: Policy) -> Judgement:
    return _worst_part(run, _is_committed)


def _is_committed(snapshot: Snapshot) -> Judgement:
    git = snapshot.git
    if git is None:
        return "FAIL", "its code was in no git repository"
    if git.sha is None:
        return "FAIL", "the repository had no commit yet"
    if git.dirty is None:
        return "UNVERIFIED", "whether code was changed is not known"
    if git.dirty:
        return "FAIL", f"code differed from the commit {git.sha[:7]}"
    if git.source == "working directory" and not snapshot.stage:
        return "UNVERIFIED", "which program ran is not known: it was no file of the repository"
    return "PASS", f"commit {git.sha[:7]}"


def judge_pushed(run: CheckedRun, policy: Policy) -> Judgement:
    if lack := run.lack:
        return "UNVERIFIED", lack
    checks: list[Check] = []
    if "commit" in policy.pushed:
        checks += run.pushed_commits
    if "data" in policy.pushed:
        checks += run.pushed_data or [Check("data", "", "UNVERIFIED", "the record names no data")]
    return _of_checks(checks)


def judge_clean(run: CheckedRun, policy: Policy) -> Judgement:
    return _worst_part(run, _is_clean)


def _is_clean(snapshot: Snapshot) -> Judgement:
    if snapshot.changed:
        return "FAIL", f"changed while the stage ran: {_named(snapshot.changed)}"
    status = snapshot.data_status
    if status in ("modified", "missing"):
        return "FAIL", f"{status}: {_named(snapshot.paths_in_state(status))}"
    if status != "clean":
        return "UNVERIFIED", "what lay on disk was not compared with what DVC's files say"
    return "PASS", ""


def judge_sealed(run: CheckedRun, policy: Policy) -> Judgement:
    def is_sealed(snapshot: Snapshot) -> Judgement:
        seal = snapshot.seal or "none"
        if seal in policy.seals:
            return "PASS", seal
        if seal == "none" and not snapshot.stage:
            return "FAIL", "DVC ran it in no stage"
        return "FAIL", f"its seal is {seal}, not {' or '.join(policy.seals)}"

    return _worst_part(run, is_sealed)


def judge_verified(run: CheckedRun, policy: Policy) -> Judgement:
    return _of_checks(run.verification)


def judge_no_undeclared_reads(run: CheckedRun, policy: Policy) -> Judgement:
    return _worst_part(run, _is_declared)


def _is_declared(snapshot: Snapshot) -> Judgement:
    seen = snapshot.reads
    if seen is not None and snapshot.has_stage and seen.undeclared:
        return "FAIL", f"read, and not declared: {_named(seen.undeclared)}"
    if seen is None or seen.status == "off":
        return "UNVERIFIED", "nobody looked at what it read"
    if not snapshot.has_stage:
        return "UNVERIFIED", "it was of no stage, which would declare what it reads"
    if seen.status == "partial":
        return "UNVERIFIED", f"not all that it read was seen: {seen.reason or 'nobody knows why'}"
    return "PASS", ""


def judge_lineage(run: CheckedRun, policy: Policy) -> Judgement:
    if lack := run.lack:
        return "UNVERIFIED", lack
    found, unmade = run.upstream
    gaps = [f"{node.name}: {unmade[node.key]}" for node in found.nodes if node.key in unmade]
    names = {node.key: node.name for node in found.nodes}
    doubts = [edge for edge in found.edges if edge.doubt and edge.doubt != UNREAD]
    gaps += [f"{names[edge.start]}: {edge.doubt}" for edge in doubts]
    gaps += [line for part in run.parts for line in part.snapshot.uncovered]
    gaps += found.warnings
    if gaps:
        return "UNVERIFIED", _named(list(dict.fromkeys(gaps)), 1)
    if not any(node.kind in ("data", "source") for node in found.nodes):
        return "UNVERIFIED", "no data is known that it came from"
    return "PASS", ""


def judge_metrics(run: CheckedRun, policy: Policy) -> Judgement:
    values = run.run.data.metrics
    found: list[Judgement] = []
    for name, limits in (policy.metrics or {}).items():
        for limit in limits:
            if name not in values:
                found.append(("UNVERIFIED", f"it has no metric {name}"))
            elif limit.is_met_by(values[name]):
                found.append(("PASS", f"{name} is {values[name]:g}"))
            else:
                found.append(("FAIL", f"{name} is {values[name]:g}, not {limit}"))
    return _worst(found)


def _worst_part(run: CheckedRun, judge: Callable[[Snapshot], Judgement]) -> Judgement:
    """Over the record and those of when it went on; FAIL is known though some is not to be read."""
    found = [judge(part.snapshot) for part in run.parts]
    if lack := run.lack:
        found.append(("UNVERIFIED", lack))
    return _worst(found)


def _worst(found: Iterable[Judgement]) -> Judgement:
    """The worst verdict, with the reasons of all that have it."""
    judged = list(found)
    verdict = worst(said for said, _ in judged)
    reasons = dict.fromkeys(reason for said, reason in judged if said == verdict and reason)
    return verdict, "; ".join(list(reasons)[:_MAX_NAMED])


def _of_checks(checks: Iterable[Check]) -> Judgement:
    return _worst(_judged(checks))


def _judged(checks: Iterable[Check]) -> Iterator[Judgement]:
    for one in checks:
        verdict: Verdict = "FAIL" if one.verdict == "TAMPERED" else one.verdict
        said = f"{one.part} {one.name}: {one.reason}" if one.name else one.reason
        yield verdict, "" if verdict == "PASS" else said


def _named(names: Iterable[str], most: int = _MAX_NAMED) -> str:
    return first_of(list(names), most)


RULES = (
    PolicyRule(
        "committed", lambda policy: policy.committed, judge_committed,
        "commit the code, and run it again",
    ),
    PolicyRule(
        "pushed", lambda policy: bool(policy.pushed), judge_pushed,
        "`git push` and `dvc push` where the run was",
    ),
    PolicyRule(
        "clean", lambda policy: policy.clean, judge_clean,
        "`dvc commit` or `dvc checkout` the data, and run it again",
    ),
    PolicyRule(
        "sealed", lambda policy: bool(policy.seals), judge_sealed,
        "run it by `dvc repro`, then call `mlflow-dvc sync`",
    ),
    PolicyRule(
        "verified", lambda policy: policy.verified, judge_verified,
        "`mlflow-dvc verify` tells all of it",
    ),
    PolicyRule(
        "no_undeclared_reads", lambda policy: policy.no_undeclared_reads, judge_no_undeclared_reads,
        "declare in dvc.yaml what the stage reads, and run it again",
    ),
    PolicyRule(
        "lineage_reaches_raw_data", lambda policy: policy.lineage_reaches_raw_data, judge_lineage,
        "`mlflow-dvc lineage` shows where it ends",
    ),
    PolicyRule(
        "metrics", lambda policy: bool(policy.metrics), judge_metrics,
        "register a run whose metrics are within the limits",
    ),
)  # fmt: skip
