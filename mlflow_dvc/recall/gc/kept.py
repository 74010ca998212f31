"""Which of the recorded runs and models keep their data."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from mlflow_dvc import tracking
from mlflow_dvc.errors import MlflowDvcError, RunNotFoundError
from mlflow_dvc.recall.gc.needs import DataUser

_DAYS = re.compile(r"(\d{1,6})d?")
_WORD = re.compile(r"[\w-]*")  # a filter has more
_DAY_MILLISECONDS = 24 * 3600 * 1000


def find_kept(
    users: Sequence[DataUser], keep: Iterable[str], tracking_uri: str | None
) -> list[DataUser]:
    """Those that any word of ``keep`` means: ``all``, ``registered``, ``aliased``, a number of
    days, or a filter in MLflow's syntax.

    Raises MlflowDvcError for a word that is none of these, and TrackingUnavailableError, in
    MLflow's words, for a filter that is none.
    """
    known = {user.id for user in users}
    ids: set[str] = set()
    for word in keep:
        if word == "all":
            ids = known
        elif word in ("registered", "aliased"):
            ids |= set(_behind_versions(tracking_uri, only_aliased=word == "aliased"))
        elif days := _DAYS.fullmatch(word):
            since = time.time() * 1000 - int(days[1]) * _DAY_MILLISECONDS
            ids |= {user.id for user in users if user.started >= since}
        elif _WORD.fullmatch(word):
            raise MlflowDvcError(
                f"--keep {word} is not known",
                "Say all, registered, aliased, a number of days, or a filter of runs",
            )
        else:
            ids |= {run.info.run_id for run in tracking.find_runs(word, tracking_uri)}
    return [user for user in users if user.id in ids]


def _behind_versions(tracking_uri: str | None, *, only_aliased: bool) -> Iterator[str]:
    """The ids of runs and of logged models."""
    for version in tracking.registered_versions(tracking_uri, only_aliased=only_aliased):
        if version.run_id:
            yield version.run_id
        if version.model_id:
            yield version.model_id
            with suppress(RunNotFoundError):  # the model is gone
                run_id = tracking.get_logged_model(version.model_id, tracking_uri).run_id
                if run_id:
                    yield run_id
