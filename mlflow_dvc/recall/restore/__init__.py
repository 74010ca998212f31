"""A run brought back: its code, its lock and its data, in a tree of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.recall.carried import Carried, carried
from mlflow_dvc.recall.home import Home, home_of
from mlflow_dvc.recall.repository import GitError, commit_of
from mlflow_dvc.recall.restore.check import check
from mlflow_dvc.recall.restore.code import lay_code
from mlflow_dvc.recall.restore.data import lay_data, lay_files
from mlflow_dvc.recall.restore.place import Place, begin, place_for
from mlflow_dvc.recall.verdict import Item, Verdict, worst
from mlflow_dvc.recall.verify.record import record_item


@dataclass(frozen=True)
class Restored:
    """What was brought back, into ``directory``, on the commit ``sha``.

    ``verdict`` is PASS where what lies there is what the run saw; ``items`` tell of each part.
    """

    run_id: str
    run_name: str
    directory: str
    sha: str
    verdict: Verdict
    items: tuple[Item, ...]


def restore(
    ref: str,
    to: str | None = None,
    *,
    at: str | None = None,
    path: str | None = None,
    tracking_uri: str | None = None,
) -> Restored:
    """Lay out the code, the lock and the data of the run ``ref`` in the directory ``to``.

    As a work tree of the repository around ``path`` (default: the working directory) if the run is
    of it, as a clone of the run's remote otherwise; by default in a new directory beside that
    repository, or in the working directory. Nothing that exists is overwritten; what was broken off
    is taken up again. ``at`` is a revision to take in place of a commit that is lost. Nothing of
    the run is executed.

    Raises :class:`~mlflow_dvc.errors.CommitLostError`,
    :class:`~mlflow_dvc.errors.OccupiedError`, and whatever
    :func:`~mlflow_dvc.recall.show.show` raises.
    """
    run = carried(ref, tracking_uri)
    return restored(run, home_of(run, path), to, at=at, outputs=True)


def restored(
    run: Carried, home: Home, to: str | None, *, at: str | None, outputs: bool
) -> Restored:
    """The same of a record that was read already; without ``outputs`` less what the run made."""
    _refuse_without_commit(run)
    place = place_for(run, home, to, at)
    try:
        begin(place)
        items = [record_item(run), *_steps(place, outputs), *check(place)]
    except GitError as error:
        remedy = f"Remove {place.directory}, call `git worktree prune`, and try again"
        raise MlflowDvcError(f"in {place.directory} git said {error.problem!r}", remedy) from error
    return Restored(run.run_id, run.name, place.directory, place.sha, worst(items), tuple(items))


def _refuse_without_commit(run: Carried) -> None:
    git = run.snapshot.git
    if git is None or git.sha is None:
        raise MlflowDvcError(
            f"run {run.run_id} has recorded no commit", "Its data can be loaded from its inputs"
        )
    if commit_of(git.sha) is None:
        raise MlflowDvcError(
            f"run {run.run_id}: {git.sha!r} is no commit", "`mlflow-dvc verify` it"
        )


def _steps(place: Place, outputs: bool) -> Iterator[Item]:
    """What is in the tree already from an attempt before is left as it is."""
    yield from place.once("code", lambda: lay_code(place))
    if place.dvc_root is not None:
        yield from place.once("files", lambda: lay_files(place))
        yield from lay_data(place, outputs=outputs)
    elif place.run.snapshot.root is not None:
        yield Item("file", place.run.snapshot.root, "TAMPERED", "it leads out of the tree")
