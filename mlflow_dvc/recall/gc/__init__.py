"""Remove data that no commit and no recorded run needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from mlflow_dvc import tracking
from mlflow_dvc.dvc_backend.storage.needed_objects import StoreScope
from mlflow_dvc.dvc_backend.storage.unneeded import (
    CommitScope,
    Needed,
    StoreContent,
    find_unneeded,
    remove_unneeded,
)
from mlflow_dvc.errors import (
    DvcNotInstalledError,
    DvcUnavailableError,
    MlflowDvcError,
    NoDvcProjectError,
    NothingRecordedError,
)
from mlflow_dvc.project import find_dvc_root, find_project
from mlflow_dvc.recall.gc.kept import find_kept
from mlflow_dvc.recall.gc.losses import Loss, find_losses, moved_lines, warnings_of
from mlflow_dvc.recall.gc.needed import find_needed
from mlflow_dvc.recall.gc.needs import DataUser, find_users

EVERYTHING = CommitScope(all_commits=True, all_experiments=True)
T = TypeVar("T")


@dataclass(frozen=True)
class GcPlan:
    """What ``gc`` would remove in the DVC project at ``root``, by the runs of ``server``.

    ``stores`` has each cache and remote with its unneeded objects. ``kept`` of ``recorded`` runs
    and models keep all of their data, ``losses`` are the others that would lose any. ``warnings``
    says in words what could not be kept, as it is lost already, and which records are damaged.
    ``needed`` is what the kept ones and commits name.
    """

    server: str
    root: str
    kept: int
    recorded: int
    stores: tuple[StoreContent, ...]
    losses: tuple[Loss, ...]
    warnings: tuple[str, ...]
    needed: Needed = field(repr=False)

    @property
    def is_empty(self) -> bool:
        return not any(store.objects for store in self.stores)


@dataclass(frozen=True)
class GcResult:
    """``removed`` is how many objects of each store are gone, ``faults`` says which has refused."""

    plan: GcPlan
    removed: Mapping[str, int]
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class GcRequest:
    """What :func:`gc` is asked to do."""

    keep: tuple[str, ...] = ("all",)
    commits: CommitScope = EVERYTHING
    stores: StoreScope = field(default_factory=StoreScope)
    project: str | None = None
    tracking_uri: str | None = None


def gc(  # noqa: PLR0913 - the command has these options
    *,
    keep: Sequence[str] = ("all",),
    cloud: bool = False,
    remotes: Sequence[str] = (),
    projects: Sequence[str] = (),
    dry_run: bool = True,
    project: str | None = None,
    tracking_uri: str | None = None,
) -> GcResult:
    """Remove from DVC's cache what the work tree, no commit and no recorded run needs.

    ``keep`` says which runs: ``all``, ``registered``, ``aliased``, a number of days, or a filter in
    MLflow's syntax; several words keep the runs of each. With ``cloud`` remotes are cleaned as
    well: those named by ``remotes``, else the default one and those that outputs name.
    ``projects`` are the directories of others that share cache or remote. With ``dry_run``
    nothing is removed.

    Raises :class:`~mlflow_dvc.NothingRecordedError` where no run is kept, and
    :class:`~mlflow_dvc.MlflowDvcError` where not all that is needed can be told; then nothing is
    removed.

    >>> mlflow_dvc.gc(keep=["registered", "30"]).plan.losses
    ()
    """
    scope = StoreScope(cloud or bool(remotes), tuple(remotes), tuple(projects))
    request = GcRequest(tuple(keep), EVERYTHING, scope, project, tracking_uri)
    plan = plan_gc(request)
    return GcResult(plan, {}) if dry_run or plan.is_empty else execute_gc(request, plan)


def plan_gc(request: GcRequest) -> GcPlan:
    """What would be removed."""
    root = _root(request.project)
    server = tracking.shown_uri(request.tracking_uri)
    users, kept = _find_users(request, server)
    ids = {user.id for user in kept}
    lost = [user for user in users if user.id not in ids]
    stores = _absolute(request.stores)
    needed = find_needed((root, *stores.projects), request.commits, kept)
    asked = {value for user in lost for value in user.needs}
    found = _asked(lambda: find_unneeded(root, request.commits, stores, needed, asked))
    return GcPlan(
        server,
        root,
        len(kept),
        len(users),
        found.stores,
        find_losses(lost, found),
        (*warnings_of(root, kept, found), *moved_lines(lost, found)),
        needed,
    )


def execute_gc(request: GcRequest, plan: GcPlan) -> GcResult:
    """Remove what ``plan`` lists, less what has come to be needed since."""
    stores = _absolute(request.stores)
    _, kept = _find_users(request, plan.server)
    needed = plan.needed | find_needed((plan.root, *stores.projects), request.commits, kept)
    removed, faults = _asked(
        lambda: remove_unneeded(plan.root, request.commits, stores, needed, plan.stores)
    )
    return GcResult(plan, removed, tuple(faults))


def _root(project: str | None) -> str:
    found = find_project(project)
    if found.dvc_root is None:
        raise NoDvcProjectError(found.directory)
    return found.dvc_root


def _find_users(request: GcRequest, server: str) -> tuple[list[DataUser], list[DataUser]]:
    """All, and those that keep their data. Raises :class:`NothingRecordedError` for none."""
    users = find_users(request.tracking_uri)
    if not users:
        raise NothingRecordedError(
            f"no run on {server} names any data, so that none would be kept",
            "Set MLFLOW_TRACKING_URI to the server that holds the runs",
        )
    kept = find_kept(users, request.keep, request.tracking_uri)
    if not kept:
        raise NothingRecordedError(
            f"none of the {len(users)} runs with data on {server} would be kept",
            f"Name other runs than --keep {' '.join(request.keep)}",
        )
    return users, kept


def _absolute(stores: StoreScope) -> StoreScope:
    """With the DVC roots of the other projects."""
    roots = []
    for project in stores.projects:
        root = find_dvc_root(os.path.abspath(project))
        if root is None:
            raise NoDvcProjectError(project)
        roots.append(root)
    return replace(stores, projects=tuple(roots))


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except DvcNotInstalledError as error:
        raise MlflowDvcError(f"nothing was removed: {error.reason}", error.remedy) from error
    except DvcUnavailableError as error:
        raise MlflowDvcError(
            f"nothing was removed: {error.reason}", "Mend that, and call it again"
        ) from error
