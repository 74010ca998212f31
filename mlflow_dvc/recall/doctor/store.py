"""Rules about a store that DVC tracks: what is kept there goes with the data."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from shlex import quote

from mlflow_dvc import tracking
from mlflow_dvc.dvcfiles.remotes import CACHE, storage_folders
from mlflow_dvc.errors import TrackingUnavailableError
from mlflow_dvc.recall.doctor.context import DoctorContext
from mlflow_dvc.recall.doctor.finding import Violation
from mlflow_dvc.recall.tracked_store import outputs_around, outputs_at
from mlflow_dvc.snapshot import DataEntry

# Where MLflow keeps runs if nobody says where, in the directory that they start in.
_OTHER_STORE = "keep the runs elsewhere: export MLFLOW_TRACKING_URI=..."
_DEFAULTS = ("mlflow.db", "mlruns")


def store_is_output(context: DoctorContext) -> Iterator[Violation]:
    for out in _outputs(context, _stores(context)):
        yield _violation(out, "the runs are kept there", _OTHER_STORE)


def artifacts_are_output(context: DoctorContext) -> Iterator[Violation]:
    """Of experiments that name a place of their own for them."""
    uri = context.tracking_uri
    store = tracking.store_path(uri) if uri else None
    if uri is None or (store and not os.path.exists(store)):
        return
    try:
        with tracking.short_timeouts():
            places = tracking.artifact_roots(uri)
    except TrackingUnavailableError:
        return  # another rule says so
    known = {out.path for out in _outputs(context, _stores(context))}
    for out in _outputs(context, places):
        if out.path not in known:
            yield _violation(out, "the artifacts of runs are kept there", _OTHER_STORE)


def storage_is_output(context: DoctorContext) -> Iterator[Violation]:
    root = context.project.dvc_root
    for name, folder in storage_folders(root).items() if root else ():
        for out in outputs_around(context.reading, folder):
            command = "dvc cache dir" if name == CACHE else f"dvc remote modify {name} url"
            kept = f"{'the' if name == CACHE else 'the remote'} {name} is kept there"
            yield _violation(out, kept, f"keep it elsewhere: {command} PATH")


def _stores(context: DoctorContext) -> Iterator[str]:
    """A relative one lies in whatever directory a run starts in: here, or a stage's own."""
    uri = context.tracking_uri
    named = tracking.store_path(uri) if uri else None
    stages = {stage.wdir for stage, _ in context.stages}
    homes = [context.project.directory, *map(context.absolute, sorted(stages))]
    for path in _DEFAULTS if uri is None else filter(None, (named,)):
        yield from (os.path.join(home, path) for home in homes)


def _outputs(context: DoctorContext, places: Iterable[str]) -> list[DataEntry]:
    """Each once, though it may hold several places."""
    homes = [os.path.join(context.project.directory, place) for place in places]
    return list({out.path: out for out in outputs_at(context.reading, homes)}.values())


def _violation(out: DataEntry, kept: str, elsewhere: str) -> Violation:
    stage = out.stage or ""
    remove = f"Take it out of the outs of {stage}"
    if stage.endswith(".dvc"):  # which is what had git ignore it
        ignored = posixpath.join(posixpath.dirname(out.path), ".gitignore")
        line = quote(f"/{posixpath.basename(out.path)}")
        remove = f"dvc remove {quote(stage)} && echo {line} >> {quote(ignored)}"
    return Violation(
        out.path, f"it is an output of {stage}, and {kept}", f"{remove}, or {elsewhere}"
    )
