"""Ask the stores of projects for the data of many runs: each of them once for each hash."""

from __future__ import annotations

from collections.abc import Iterable

from mlflow_dvc.dvc_backend.storage.availability import DataRef, find_available
from mlflow_dvc.recall.locate import ProjectLocation
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.recall.verify.data import (
    StoreAnswer,
    commit_settings,
    data_ref,
    find_in_other_remotes,
    settings_of_today,
)

_Place = tuple[str, str | None]  # a project, and the one whose settings are the user's


class ProjectStores:
    """``ask`` for some runs, as often as there are more; ``answer`` of each of them.

    ``pushed``: of the stores only the remotes are asked.
    """

    def __init__(self, *, pushed: bool = False) -> None:
        self._pushed = pushed
        self._answers: dict[_Place, StoreAnswer] = {}
        self._asked: dict[tuple[_Place, bytes], set[str]] = {}

    def answer(self, location: ProjectLocation) -> StoreAnswer:
        """Of all hashes that were asked for there."""
        nowhere = "on no remote" if self._pushed else "neither in the cache nor on a remote"
        return self._answers.setdefault(_place(location), StoreAnswer({}, [], nowhere))

    def ask(self, runs: Iterable[tuple[StoredRecord, ProjectLocation]]) -> None:
        rows = [(run, location, _data_refs(run)) for run, location in runs if location.dvc_root]
        wanted: dict[_Place, dict[str, DataRef]] = {}
        for _, location, refs in rows:
            known = self.answer(location).kept
            new = {one.key: one for one in refs if one.key not in known}
            wanted.setdefault(_place(location), {}).update(new)
        for (root, own), asked in wanted.items():
            found, unasked = find_available(root, asked.values(), own=own, pushed=self._pushed)
            known, reasons, _ = self._answers[root, own]
            known.update(found)
            reasons.extend(one for one in unasked if one not in reasons)
        self._ask_other_remotes(rows)

    def _ask_other_remotes(
        self, rows: Iterable[tuple[StoredRecord, ProjectLocation, list[DataRef]]]
    ) -> None:
        """Of data that the project's remotes lack, those of the run's commit; or, where the project
        is that commit, those of today.
        """
        wanted: dict[tuple[_Place, bytes], dict[str, DataRef]] = {}
        for run, location, refs in rows:
            known = self.answer(location).kept
            lacking = [one for one in refs if known[one.key].count]
            if not lacking:
                continue
            other = settings_of_today if location.untrusted else commit_settings
            if settings := other(run, location):
                place = _place(location), settings
                asked = self._asked.setdefault(place, set())
                new = {one.key: one for one in lacking if one.key not in asked}
                wanted.setdefault(place, {}).update(new)
        for place, new in wanted.items():
            if new:
                (_, own), settings = place
                known = self._answers[place[0]].kept
                known.update(find_in_other_remotes(settings, own, list(new.values())))
                self._asked[place].update(new)


def _place(location: ProjectLocation) -> _Place:
    return location.dvc_root or "", location.own_root


def _data_refs(run: StoredRecord) -> list[DataRef]:
    return [one for entry in run.data() if (one := data_ref(run, entry))]
