"""What runs would lose, and what a person should know before anything is removed."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from mlflow_dvc.dvc_backend.storage.unneeded import Unneeded
from mlflow_dvc.enumeration import first_of
from mlflow_dvc.paths import lies_in
from mlflow_dvc.recall.gc.needs import DataUser

_MAX_NAMED = 5


@dataclass(frozen=True)
class Loss:
    """A run, or a logged model without one, and the data that it would lose: path and hash."""

    kind: str
    id: str
    name: str
    data: tuple[tuple[str, str], ...]


def find_losses(lost: Iterable[DataUser], found: Unneeded) -> tuple[Loss, ...]:
    """Of those that lose any: what no other store is known to have."""
    gone = _gone(found) - found.elsewhere.keys()
    losses = (_loss(user, gone, found.folders) for user in lost)
    return tuple(loss for loss in losses if loss.data)


def moved_lines(lost: Iterable[DataUser], found: Unneeded) -> Iterator[str]:
    """In words, for each store that is not looked through, of which runs it keeps data alone."""
    users: dict[str, list[str]] = {}
    gone = _gone(found) & found.elsewhere.keys()
    for user in lost:
        values = {value for _, value in _loss(user, gone, found.folders).data}
        for name in sorted({found.elsewhere[value] for value in values & gone}):
            users.setdefault(name, []).append(user.id)
    for name, ids in users.items():
        yield f"{name} keeps data, and alone then, of {first_of(ids, _MAX_NAMED)}"


def _gone(found: Unneeded) -> set[str]:
    return {one.hash for store in found.stores for one in store.objects}


def _loss(user: DataUser, gone: Set[str], folders: Mapping[str, Mapping[str, str]]) -> Loss:
    found: dict[tuple[str, str], None] = {}
    for value, path in user.needs.items():
        if value in gone:
            found[path, value] = None
        for inside, oid in folders.get(value, {}).items():
            if oid in gone or value in gone:
                found[posixpath.join(path, inside), oid] = None
    return Loss(user.kind, user.id, user.name, tuple(sorted(found)))


def warnings_of(root: str, kept: Sequence[DataUser], found: Unneeded) -> tuple[str, ...]:
    """In words what a person should know before anything is removed."""
    return (*_damage(kept), *_lost_folders(kept, found), *_shared_caches(root, found))


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
