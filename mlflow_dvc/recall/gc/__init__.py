"""Remove data that no commit and no recorded run needs."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TypeVar

from mlflow_dvc import tracking
from mlflow_dvc.dvc_backend.storage.unneeded import (
    CommitScope,
    Needed,
    StoreContent,
    StoreScope,
    Unneeded,
    find_unneeded,
    remove_unneeded,
)
from mlflow_dvc.enumeration import first_of
from mlflow_dvc.errors import (
    DvcUnavailableError,
    MlflowDvcError,
    NoDvcProjectError,
    NothingRecordedError,
)
from mlflow_dvc.git.tracked_hashes import hashes_in_commits
from mlflow_dvc.paths import lies_in
from mlflow_dvc.project import find_dvc_root, find_git_root, find_project
from mlflow_dvc.recall.gc.kept import find_kept
from mlflow_dvc.recall.gc.needs import Count, DataUser, find_users
from mlflow_dvc.secrets.urls import public_url

EVERYTHING = CommitScope(all_commits=True, all_experiments=True)
T = TypeVar("T")
_MAX_NAMED = 5


@dataclass(frozen=True)
class Loss:
    """A run, or a logged model without one, and the data that it would lose: path and hash."""

    kind: str
    id: str
    name: str
    data: tuple[tuple[str, str], ...]


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


def plan_gc(request: GcRequest, count: Count = lambda done, total: None) -> GcPlan:
    """What would be removed. ``count`` is called with how many runs were read."""
    root = _root(request.project)
    server = public_url(tracking.uri(request.tracking_uri))
    users, kept = _find_users(request, server, count)
    ids = {user.id for user in kept}
    lost = [user for user in users if user.id not in ids]
    stores = _absolute(request.stores)
    needed = _needed(root, stores, request.commits, kept)
    folders = {value for user in lost for value in user.needs if value.endswith(".dir")}
    found = _asked(lambda: find_unneeded(root, request.commits, stores, needed, folders))
    gone = {one.hash for store in found.stores for one in store.objects}
    losses = (_loss(user, gone, found.folders) for user in lost)
    return GcPlan(
        server,
        root,
        len(kept),
        len(users),
        found.stores,
        tuple(loss for loss in losses if loss.data),
        (*_damage(kept), *_lost_folders(kept, found), *_shared_caches(root, found)),
        needed,
    )


def execute_gc(request: GcRequest, plan: GcPlan) -> GcResult:
    """Remove what ``plan`` lists, less what has come to be needed since."""
    stores = _absolute(request.stores)
    _, kept = _find_users(request, plan.server, lambda done, total: None)
    now = _needed(plan.root, stores, request.commits, kept)
    needed = Needed(
        plan.needed.hashes | now.hashes, plan.needed.without_listing & now.without_listing
    )
    removed, faults = _asked(
        lambda: remove_unneeded(plan.root, request.commits, stores, needed, plan.stores)
    )
    return GcResult(plan, removed, tuple(faults))


def _root(project: str | None) -> str:
    found = find_project(project)
    if found.dvc_root is None:
        raise NoDvcProjectError(found.directory)
    return found.dvc_root


def _needed(
    root: str, stores: StoreScope, commits: CommitScope, kept: Iterable[DataUser]
) -> Needed:
    """What the kept ones name, and the files of DVC's in commits, of other projects too."""
    found: dict[str, bool] = {}
    for user in kept:
        for value in user.needs:
            found[value] = found.get(value, False) or value not in user.read
    for project in (root, *stores.projects):
        if tracking.has_leftovers(project):
            raise MlflowDvcError(
                f"some records of {project} were not written to their server yet",
                "Call `mlflow-dvc sync` there first: what they name is needed too",
            )
        for value, is_output in _named_in_commits(project, commits).items():
            found[value] = found.get(value, False) or is_output
    return Needed(
        frozenset(found),
        frozenset(value for value, is_output in found.items() if not is_output),
    )


def _named_in_commits(project: str, commits: CommitScope) -> dict[str, bool]:
    git_root = find_git_root(project)
    if git_root is None:
        return {}
    try:
        return hashes_in_commits(
            git_root, commits=commits.all_commits, experiments=commits.all_experiments
        )
    except OSError as error:
        remedy = "Fetch all of it (`git fetch --unshallow`), or say which commits count, as by -w"
        raise MlflowDvcError(f"nothing was removed: {error}", remedy) from error


def _find_users(
    request: GcRequest, server: str, count: Count
) -> tuple[list[DataUser], list[DataUser]]:
    """All, and those that keep their data. Raises :class:`NothingRecordedError` for none."""
    users = find_users(request.tracking_uri, count)
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
    except DvcUnavailableError as error:
        raise MlflowDvcError(
            f"nothing was removed: {error.reason}", "Mend that, and call it again"
        ) from error


def _loss(user: DataUser, gone: Set[str], folders: Mapping[str, Mapping[str, str]]) -> Loss:
    found: dict[tuple[str, str], None] = {}
    for value, path in user.needs.items():
        if value in gone:
            found[path, value] = None
        for inside, oid in folders.get(value, {}).items():
            found[posixpath.join(path, inside), oid] = None
    return Loss(user.kind, user.id, user.name, tuple(sorted(found)))


def _damage(kept: Iterable[DataUser]) -> Iterator[str]:
    for user in kept:
        yield from (f"{user.kind} {user.id}: {line}; its tags count" for line in user.damage)


def _lost_folders(kept: Iterable[DataUser], found: Unneeded) -> Iterator[str]:
    users: dict[str, list[str]] = {value: [] for value in found.unlisted}
    for user in kept:
        for value in user.needs.keys() & users.keys():
            users[value].append(user.id)
    for value, ids in users.items():
        of_whom = f"of {first_of(ids, _MAX_NAMED)}" if ids else "of a commit"
        yield f"the folder {value} {of_whom} is lost: no cache or remote here lists its files"


def _shared_caches(root: str, found: Unneeded) -> Iterator[str]:
    for store in found.stores:
        place = os.path.realpath(store.path)
        if store.objects and store.name.startswith("cache") and not lies_in(place, {root}):
            yield (
                f"{store.path} is not in this project: name the others that use it by --projects,"
                " or what their commits need goes"
            )
