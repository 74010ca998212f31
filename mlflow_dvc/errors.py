"""The exceptions of the public API; on the automatic path none reaches the user's code."""

from __future__ import annotations

from collections.abc import Sequence

from mlflow_dvc.secrets.urls import public_url
from mlflow_dvc.visible_text import escape_hidden


class MlflowDvcError(Exception):
    """Something asked for could not be done.

    ``problem`` says what is wrong and where, ``remedy`` what to do next (may be empty).
    The command line prints both and exits with 2.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}. {remedy}" if remedy else problem)
        self.problem = problem
        self.remedy = remedy


class NoProjectError(MlflowDvcError):
    """Neither a git repository nor a DVC project lies at or above ``path``."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"neither a git repository nor a DVC project at or above {path}",
            "Give a PATH inside one, or create it with `git init` and `dvc init`",
        )
        self.path = path


class NoDvcProjectError(MlflowDvcError):
    """No DVC project lies at or above ``path``."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"no DVC project at or above {path}",
            "Call it inside the project whose stages ran, or set MLFLOW_DVC_ROOT",
        )
        self.path = path


class UntrackedPathError(MlflowDvcError):
    """DVC does not track ``path``; ``nearest`` is a path that it does."""

    def __init__(self, path: str, where: str, nearest: str | None = None, reason: str = "") -> None:
        super().__init__(
            f"{path!r} is not tracked by DVC in {where}" + (f" ({reason})" if reason else ""),
            f"Did you mean {nearest!r}" if nearest else "`mlflow-dvc status` lists what is tracked",
        )
        self.path = path
        self.nearest = nearest


class DataNotFoundError(MlflowDvcError):
    """Data of a known ``hash`` lies in none of the places that were ``tried``."""

    def __init__(self, path: str, hash_: str, tried: list[str]) -> None:
        super().__init__(
            escape_hidden(f"{path} with the hash {hash_} could not be fetched: {'; '.join(tried)}"),
            "Call `dvc push` where the data is, or name a place that has it",
        )
        self.path = path
        self.hash = hash_
        self.tried = tried


class UnreadableSourceError(MlflowDvcError, ValueError):
    """The source of a dataset, as a run has it, is none of DVC data."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the source of the dataset is none of DVC data: {reason}")


class RunNotFoundError(MlflowDvcError):
    """``ref`` names no run, or no model, of the tracking server at ``tracking_uri``."""

    def __init__(self, ref: str, tracking_uri: str, reason: str = "", remedy: str = "") -> None:
        kind = "model" if ref.startswith("models:") else "run"
        super().__init__(
            f"no run {ref!r} on {public_url(tracking_uri)}" + (f" ({reason})" if reason else ""),
            remedy
            or f"Check its name, and that MLFLOW_TRACKING_URI names the server that has the {kind}",
        )
        self.run = ref
        self.tracking_uri = tracking_uri


class AmbiguousRunError(MlflowDvcError):
    """``ref`` is the name of several runs, or the beginning of several run ids."""

    def __init__(self, ref: str, run_ids: list[str], *, by_name: bool = False) -> None:
        shown = ", ".join(run_ids[:5]) + (", ..." if len(run_ids) > 5 else "")
        if by_name:
            super().__init__(f"{ref!r} is the name of several runs: {shown}", "Give one of the ids")
        else:
            said = f"{ref!r} is the beginning of several run ids: {shown}"
            super().__init__(said, "Give more of it")
        self.ref = ref
        self.run_ids = run_ids


class ExperimentNotFoundError(MlflowDvcError):
    """No active experiment of the tracking server has the name or the id ``experiment``."""

    def __init__(self, experiment: str, tracking_uri: str, names: list[str]) -> None:
        shown = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
        super().__init__(
            f"no experiment {experiment!r} on {public_url(tracking_uri)}",
            f"Those that are there: {shown}" if names else "There is none",
        )
        self.experiment = experiment
        self.tracking_uri = tracking_uri


class TrackingUnavailableError(MlflowDvcError):
    """The tracking server did not answer, or refused."""

    def __init__(self, tracking_uri: str, reason: str) -> None:
        super().__init__(
            f"the tracking server at {public_url(tracking_uri)} could not be asked: {reason}",
            "Set MLFLOW_TRACKING_URI to the server that holds the runs",
        )
        self.tracking_uri = tracking_uri
        self.reason = reason


class UnreadableRecordError(MlflowDvcError):
    """What is attached to the run ``run_id`` cannot be a record: there is too much of it."""

    def __init__(self, run_id: str, reason: str) -> None:
        super().__init__(
            f"the record of run {run_id} cannot be read: {reason}",
            "Look at the run's artifacts below dvc/: what a run records stays far below this",
        )
        self.run_id = run_id
        self.reason = reason


class UnknownOriginError(MlflowDvcError):
    """Which run made the files at ``source``, which are to be registered, is not known."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(
            escape_hidden(
                f"which run made the model at {public_url(source)} is not known: {reason}"
            ),
            "Register what a run has logged, as models:/ID or runs:/ID/PATH names it",
        )
        self.source = source


class PolicyFileError(MlflowDvcError, ValueError):
    """The policy in ``file`` cannot be read as one."""

    def __init__(self, file: str, reason: str, remedy: str = "") -> None:
        super().__init__(f"the policy {file} is none: {reason}", remedy)
        self.file = file


class PolicyBrokenError(MlflowDvcError):
    """A gate refuses ``action``: what it is about does not meet the policy, or that is not known.

    ``rules`` are the names of the rules that are not met, empty where none could be judged.
    ``run_id`` is the run that it is about, None where that is not known.
    """

    def __init__(
        self,
        action: str,
        reason: str,
        remedy: str = "",
        rules: Sequence[str] = (),
        run_id: str | None = None,
    ) -> None:
        super().__init__(escape_hidden(f"{action} is refused: {reason}"), escape_hidden(remedy))
        self.action = action
        self.reason = reason
        self.rules = tuple(rules)
        self.run_id = run_id


class GateBusyError(MlflowDvcError):
    """A gate is judging, or is to judge, as much as it takes on at once: nothing was judged."""

    def __init__(self, action: str) -> None:
        super().__init__(
            escape_hidden(f"{action} is not judged now: too much else is"), "Ask again in a while"
        )


class DvcUnavailableError(MlflowDvcError, OSError):
    """DVC, which is asked in a process of its own, did not answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"DVC could not be asked: {reason}",
            "See whether `dvc doctor` and `dvc status` work here, and ask `mlflow-dvc doctor`",
        )
        self.reason = reason


class DvcNotInstalledError(DvcUnavailableError):
    """This environment has no DVC, as an image that only records runs."""

    def __init__(self) -> None:
        MlflowDvcError.__init__(self, "DVC is not installed here", "Install it: pip install dvc")
        self.reason = self.problem


class NothingRecordedError(MlflowDvcError):
    """There is no run, or no record, that an answer could be about."""


class CommitLostError(MlflowDvcError):
    """Neither the repository at hand nor a remote has the commit ``sha`` any more.

    ``nearest`` is a commit that ``mlflow-dvc restore --at`` can take in its place.
    """

    def __init__(self, sha: str, tried: list[str], nearest: str | None = None) -> None:
        super().__init__(
            f"the commit {sha} is lost: " + "; ".join(tried),
            f"Use `--at {nearest}` (the last commit before the run): the run's data, lock and "
            "parameters are restored on it"
            if nearest
            else "Fetch it from whoever has it, or name another revision by `--at`",
        )
        self.sha = sha
        self.tried = tried
        self.nearest = nearest


class TargetExistsError(MlflowDvcError):
    """Something lies at ``path`` already, and is not what an earlier attempt has left there."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} is there already, and nothing in it may be overwritten",
            "Name a directory that does not exist yet by `--to`",
        )
        self.path = path
