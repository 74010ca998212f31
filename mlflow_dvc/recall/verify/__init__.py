"""Whether a run can be brought back, asked of everything that it needs; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from mlflow_dvc import tracking
from mlflow_dvc.dvc_backend.exists import Kept, Sought, exists
from mlflow_dvc.errors import RunNotFoundError
from mlflow_dvc.recall.carried import Carried, carried, carried_by
from mlflow_dvc.recall.home import Home, cloned, home_of
from mlflow_dvc.recall.verdict import Item, Verdict, worst
from mlflow_dvc.recall.verify.code import commit_item, patch_item, submodule_items
from mlflow_dvc.recall.verify.data import data_items, found_by_commit, sought
from mlflow_dvc.recall.verify.record import file_items, lock_items, record_item

Stores = tuple[dict[str, Kept], list[str]]  # what `exists` answers


@dataclass(frozen=True)
class Verified:
    """What was found of one run. ``verdict`` is the worst of its ``items``.

    Of a registered model whose run is gone ``run_id`` is empty, ``run_name`` the model.
    """

    run_id: str
    run_name: str
    verdict: Verdict
    items: tuple[Item, ...]


def verify(
    *refs: str,
    everything: bool = False,
    registered: bool = False,
    path: str | None = None,
    tracking_uri: str | None = None,
) -> list[Verified]:
    """Whether code and data of runs can be had, and whether their records agree with themselves.

    Of ``refs`` (see :func:`~mlflow_dvc.recall.show.show`), of ``everything`` with a record on the
    server, or of the runs of all ``registered`` models. The project around ``path`` (default: the
    working directory) is asked for commits and data where the run is of it, a throw-away clone of
    the run's own remote otherwise. Raises whatever ``show`` raises, and OSError where DVC cannot be
    asked.
    """
    found = [carried(ref, tracking_uri) for ref in refs]
    if everything:
        found += [carried_by(run, tracking_uri) for run in tracking.recorded_runs(tracking_uri)]
    gone: list[Verified] = []
    for model in tracking.registered(tracking_uri) if registered else ():
        try:
            found.append(carried(model, tracking_uri))
        except RunNotFoundError as error:
            gone.append(_verified("", model, (Item("record", model, "FAIL", error.problem),)))
    runs = list({one.run_id: one for one in found}.values())
    with ExitStack() as stack:
        homes = [_home(one, path, stack) for one in runs]
        stores = _asked(runs, homes)
        return [
            _verified(one.run_id, one.name, tuple(_items(one, home, _of(home, stores))))
            for one, home in zip(runs, homes, strict=True)
        ] + gone


def _of(home: Home, stores: Mapping[str, Stores]) -> Stores:
    return stores.get(home.dvc_root or "", ({}, []))


def _home(run: Carried, path: str | None, stack: ExitStack) -> Home:
    home = home_of(run, path)
    return home if home.repository or home.dvc_root else stack.enter_context(cloned(run))


def _asked(runs: Sequence[Carried], homes: Sequence[Home]) -> dict[str, Stores]:
    """One question to each project, about all data of its runs."""
    wanted: dict[str, dict[str, Sought]] = {}
    for run, home in zip(runs, homes, strict=True):
        if home.dvc_root:
            wanted.setdefault(home.dvc_root, {}).update(_questions(run))
    foreign = {home.dvc_root for home in homes if home.foreign}
    stores = {
        root: exists(root, mine.values(), foreign=root in foreign) for root, mine in wanted.items()
    }
    for run, home in zip(runs, homes, strict=True):
        if home.dvc_root and not home.foreign:
            kept, _ = stores[home.dvc_root]
            lacking = [one for key, one in _questions(run).items() if kept[key].count]
            kept |= found_by_commit(run, home, lacking)
    return stores


def _questions(run: Carried) -> dict[str, Sought]:
    return {one.key: one for entry in run.data() if (one := sought(run, entry))}


def _verified(run_id: str, name: str, items: tuple[Item, ...]) -> Verified:
    return Verified(run_id, name, worst(items), items)


def _items(run: Carried, home: Home, stores: Stores) -> Iterator[Item]:
    if not run.snapshot:
        yield Item("record", run.run_id, "UNVERIFIED", "the run carries no record")
        return
    yield record_item(run)
    if run.snapshot.git:
        yield commit_item(run, home.repository)
        yield from submodule_items(run, home.repository)
        if run.snapshot.git.dirty is not False or run.code_files:
            yield patch_item(run, home.repository)
    yield from lock_items(run)
    yield from file_items(run)
    yield from data_items(run, home, *stores)
