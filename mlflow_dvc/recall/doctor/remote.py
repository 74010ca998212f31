"""Rules about DVC remotes: whether the data is anywhere but on this disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from shlex import quote

from mlflow_dvc.dvc_backend.storage.unpushed import UnpushedOutput
from mlflow_dvc.dvcfiles.remotes import read_remotes
from mlflow_dvc.recall.doctor.context import DoctorContext
from mlflow_dvc.recall.doctor.finding import Violation
from mlflow_dvc.report.labels import short_hash

_CURE = re.compile(r"pip install \S+")
_ADD = "dvc remote add -d NAME URL && dvc push"


def no_remote(context: DoctorContext) -> Iterator[Violation]:
    root = context.project.dvc_root
    if root is None or not any(out.cached for st in context.reading.stages for out in st.outs):
        return
    remotes = read_remotes(root)
    if not remotes.by_name:
        yield Violation(".dvc/config", "no DVC remote is configured", _ADD)
    elif remotes.default not in remotes.by_name:
        names = ", ".join(remotes.by_name)
        what = f"none of the DVC remotes ({names}) is the default one"
        yield Violation(
            ".dvc/config", what, f"dvc remote default {quote(next(iter(remotes.by_name)))}"
        )


def remote_unreachable(context: DoctorContext) -> Iterator[Violation]:
    for fault in context.pushed.faults:
        told = _CURE.search(fault)  # DVC says so where a plug-in is not installed
        fix = told[0] if told else "`dvc status --cloud` says what is wrong"
        yield Violation("dvc push", fault, fix)


def not_pushed(context: DoctorContext) -> Iterator[Violation]:
    for one in context.pushed.absent:
        if not one.lost:
            yield Violation(
                one.path,
                f"{_part(one.absent, one.files, one.hash)} not on remote {one.remote}",
                _push(one),
            )


def _push(one: UnpushedOutput) -> str:
    """DVC uploads the listing of a folder last, and takes a folder with one for pushed."""
    if one.listing is None:
        return "dvc push"
    return f"Remove {one.listing} from remote {one.remote}, which DVC believes, then: dvc push"


def lost(context: DoctorContext) -> Iterator[Violation]:
    for one in context.pushed.absent:
        if one.lost:
            elsewhere = f"on remote {one.remote}" if one.remote else "on a remote"
            what = f"{_part(one.lost, one.files, one.hash)} neither in the cache nor {elsewhere}"
            commit = f"dvc commit {quote(one.path)} && dvc push"
            fix = f"{commit}, where it still lies in the project; else dvc repro && dvc push"
            yield Violation(one.path, what, fix)


def _part(count: int, files: int, value: str) -> str:
    if count == files:
        return f"{short_hash(value)} is"
    return f"{count} of the {files} objects of {short_hash(value)} {'is' if count == 1 else 'are'}"
