"""Verify that runs can be brought back; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlflow_dvc import tracking
from mlflow_dvc.errors import RunNotFoundError
from mlflow_dvc.recall.verdict import Check
from mlflow_dvc.recall.verify.result import VerifyResult as VerifyResult
from mlflow_dvc.recall.verify.results_file import ResultsFile
from mlflow_dvc.recall.verify.verification import Verification

if TYPE_CHECKING:
    from mlflow.entities import Run


def verify(
    *runs: str,
    all_runs: bool = False,
    registered: bool = False,
    project: str | None = None,
    tracking_uri: str | None = None,
    resume: str | None = None,
) -> list[VerifyResult]:
    """Whether code and data of runs can be had, and whether their records agree with themselves.

    ``runs`` are named as for :func:`~mlflow_dvc.show`; ``all_runs`` are those of the server with a
    record, ``registered`` those behind all registered models. The project around the directory
    ``project`` (by default the working one) is asked for commits and data where the run is of it, a
    throw-away clone of the run's own remote otherwise. Nothing is downloaded but listings of
    folders.

    ``resume`` is a file that takes each result as soon as it is there, as a line of JSON with the
    time. Of a run that it has already nothing is asked again, unless the answer was UNVERIFIED.

    Raises whatever :func:`~mlflow_dvc.show` raises, :class:`~mlflow_dvc.DvcUnavailableError`, and
    :class:`~mlflow_dvc.MlflowDvcError` or OSError where ``resume`` is not such a file.

    >>> [found.run_name for found in mlflow_dvc.verify(registered=True) if found.verdict != "PASS"]
    []
    """
    started = start_verification(
        *runs, all_runs=all_runs, registered=registered, project=project,
        tracking_uri=tracking_uri, resume=resume,
    )  # fmt: skip
    return list(started)


def start_verification(
    *runs: str,
    all_runs: bool = False,
    registered: bool = False,
    project: str | None = None,
    tracking_uri: str | None = None,
    resume: str | None = None,
) -> Verification:
    """The runs of :func:`verify`, of which none was judged yet. Raises where one is not there, or
    ``resume`` is another file.
    """
    file = ResultsFile(resume) if resume else None
    named = [tracking.find_run(run, tracking_uri) for run in runs]
    found = _found(named, tracking_uri, all_runs=all_runs, registered=registered)
    return Verification(found, file, project, tracking_uri)


def _found(
    named: list[Run], tracking_uri: str | None, *, all_runs: bool, registered: bool
) -> Iterator[Run | VerifyResult]:
    """Each run once."""
    seen: set[str] = set()
    for run in _all_found(named, tracking_uri, all_runs=all_runs, registered=registered):
        if isinstance(run, VerifyResult):
            yield run
        elif run.info.run_id not in seen:
            seen.add(run.info.run_id)
            yield run


def _all_found(
    named: list[Run], tracking_uri: str | None, *, all_runs: bool, registered: bool
) -> Iterator[Run | VerifyResult]:
    yield from named
    if all_runs:
        yield from tracking.recorded_runs(tracking_uri)
    for model in tracking.registered_model_uris(tracking_uri) if registered else ():
        try:
            yield tracking.get_run(model, tracking_uri)
        except RunNotFoundError as error:
            yield VerifyResult.of("", model, Check("record", model, "FAIL", error.problem))
