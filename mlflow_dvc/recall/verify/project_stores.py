"""Ask the stores of projects for the data of many runs: each of them once for each hash."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlflow_dvc.dvc_backend.storage.availability import DataRef, find_available
from mlflow_dvc.recall.locate import ProjectLocation
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.recall.verify.data import (
    StoreAnswer,
    commit_settings,
    data_ref,
    find_in_commit_remotes,
)

_Place = tuple[str, str | None]  # a project, and the one whose settings are the user's


class ProjectStores:
    """``ask`` for some runs, as often as there are more; ``answer`` of each of them."""

    def __init__(self) -> None:
        self._answers: dict[_Place, StoreAnswer] = {}
        self._asked: set[tuple[_Place, bytes, str]] = set()

    def answer(self, location: ProjectLocation) -> StoreAnswer:
        """Of all hashes that were asked for there."""
        return self._answers.setdefault(_place(location), ({}, []))

    def ask(self, runs: Sequence[tuple[StoredRecord, ProjectLocation]]) -> None:
        wanted: dict[_Place, dict[str, DataRef]] = {}
        for run, location in runs:
            known, _ = self.answer(location)
            new = {one.key: one for one in _data_refs(run) if one.key not in known}
            wanted.setdefault(_place(location), {}).update(new)
        for (root, own), refs in wanted.items():
            if root:
                found, unasked = find_available(root, refs.values(), own=own)
                known, reasons = self._answers[root, own]
                known.update(found)
                reasons.extend(one for one in unasked if one not in reasons)
        self._ask_as_committed(runs)

    def _ask_as_committed(self, runs: Iterable[tuple[StoredRecord, ProjectLocation]]) -> None:
        """Of data that the project's remotes lack, those that the run's commit names."""
        wanted: dict[tuple[_Place, bytes], dict[str, DataRef]] = {}
        for run, location in runs:
            if not location.dvc_root or location.untrusted:
                continue
            known, _ = self.answer(location)
            lacking = [one for one in _data_refs(run) if known[one.key].count]
            if lacking and (settings := commit_settings(run, location)):
                place = _place(location)
                asked = {one.key: one for one in lacking}
                new = {
                    key: asked[key] for key in asked if (place, settings, key) not in self._asked
                }
                wanted.setdefault((place, settings), {}).update(new)
        for (place, settings), refs in wanted.items():
            known, _ = self._answers[place]
            known.update(find_in_commit_remotes(settings, place[1], list(refs.values())))
            self._asked.update((place, settings, key) for key in refs)


def _place(location: ProjectLocation) -> _Place:
    return location.dvc_root or "", location.own_root


def _data_refs(run: StoredRecord) -> list[DataRef]:
    return [one for entry in run.data() if (one := data_ref(run, entry))]
