"""What a person calls a run: its id, its name, a model, the address of one of MLflow's pages."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from mlflow_dvc.errors import AmbiguousRunError, RunNotFoundError
from mlflow_dvc.tracking.runs import find_runs, get_run

if TYPE_CHECKING:
    from mlflow.entities import Run

_RUN_URI = re.compile(r"runs:/+([0-9a-f]{32})(?:/.*)?")
# The pages are named after `#`, and in one piece with it by whoever copies a part.
_PAGES = (
    (re.compile(r".*/runs/([0-9a-f]{32})(?:[/?].*)?"), "{}"),
    (re.compile(r".*/models/(m-[0-9a-f]+)(?:[/?].*)?"), "{}"),
    (re.compile(r".*/models/([^/?]+)/versions/(\d+)(?:[/?].*)?"), "models:/{}/{}"),
)
_MOST_NAMED = 20  # of runs with one name


def as_reference(text: str) -> str:
    """``runs:/ID/PATH`` as the id, and the address of a page of MLflow's as what it shows."""
    if match := _RUN_URI.fullmatch(text):
        return match[1]
    if urlsplit(text).scheme in ("http", "https"):
        for page, written in _PAGES:
            if match := page.fullmatch(text):
                return written.format(*map(unquote, match.groups()))
    return text


def find_run(text: str, tracking_uri: str | None = None) -> Run:
    """The run that ``text`` means: as :func:`get_run` has it, ``runs:/ID``, a page of MLflow's, or
    its name.

    Raises RunNotFoundError, AmbiguousRunError or TrackingUnavailableError.
    """
    ref = as_reference(text)
    try:
        return get_run(ref, tracking_uri)
    except RunNotFoundError:
        if named := _runs_named(ref, tracking_uri):
            return named
        raise


def _runs_named(name: str, tracking_uri: str | None) -> Run | None:
    if not name.strip() or ":/" in name or "'" in name:  # a quote would end the filter
        return None
    query = f"attributes.run_name = '{name}'"
    found = list(islice(find_runs(query, tracking_uri), _MOST_NAMED))
    if len(found) > 1:
        raise AmbiguousRunError(name, [run.info.run_id for run in found], by_name=True)
    return found[0] if found else None
