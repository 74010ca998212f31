"""Links to runs and to their artifacts, as MLflow's own pages open them."""

from __future__ import annotations

from urllib.parse import quote

from mlflow_dvc import tags as tag
from mlflow_dvc.snapshot import DataEntry, Snapshot

_UNSAFE = frozenset("'\\")  # the one ends the filter, the other is an escape to some databases


class RunLinks:
    """The links of one record; none without an experiment.

    The tag ``dvc.hashes`` names what a run read, what it made and what lay there alike. Where a
    record has too many hashes for one tag, there is a link for each: MLflow's filter has no OR.
    """

    def __init__(self, snapshot: Snapshot, experiment_id: str | None) -> None:
        self._experiment_id = experiment_id
        self._tags = tag.data_tags(snapshot) if experiment_id is not None else {}
        self._keys = [
            key for key in map(tag.hashes_key, range(1, tag.MAX_HASH_TAGS + 1)) if key in self._tags
        ]
        self._key_of = {
            value: key for key in reversed(self._keys) for value in self._tags[key].split()
        }

    @property
    def are_there(self) -> bool:
        return bool(self._keys)

    def to_runs_with(self, entry: DataEntry) -> list[tuple[str, str]]:
        """Each link with a name, the likeliest first: by the tag in which this run has the hash.

        Code is in no such tag: by its path, if it has one of its own.
        """
        value = entry.hash
        if value is None or _UNSAFE & set(value):
            return []
        if entry.role == "code" or value not in self._key_of:
            return [("", self._link(tag_is(key, value))) for key in self._own_keys(entry)]
        likeliest = self._key_of[value]
        keys = [likeliest, *(key for key in self._keys if key != likeliest)]
        return [
            (key.removeprefix(tag.HASHES).strip(".") or "1", self._link(_has(key, value)))
            for key in keys
        ]

    def _own_keys(self, entry: DataEntry) -> list[str]:
        """The tag that has the hash of the path; its key may have a suffix."""
        keys = (tag.path_key(tag.DEP, entry.path, suffixed=longer) for longer in (False, True))
        return [key for key in dict.fromkeys(keys) if self._tags.get(key) == entry.hash]

    def _link(self, filter_string: str) -> str:
        return runs_link(self._experiment_id or "", filter_string)


def runs_link(experiment_id: str, filter_string: str) -> str:
    """The list of the runs that a filter of MLflow's search finds."""
    # A quote would end the link in MLflow's viewer: `quote` makes %27 of it.
    query = quote(filter_string, safe="")
    return f"#/experiments/{quote(experiment_id, safe='')}/runs?searchFilter={query}"


def tag_is(key: str, value: str) -> str:
    """As a filter of MLflow's search. A quote in ``value`` would end it."""
    return f"tags.`{key}` = '{value}'"


def artifact_link(experiment_id: str, run_id: str, path: str) -> str:
    """An artifact as the page of its run shows it."""
    page = f"{quote(experiment_id, safe='')}/runs/{quote(run_id, safe='')}"
    return f"#/experiments/{page}/artifacts/{quote(path)}"


def _has(key: str, value: str) -> str:
    return f"tags.`{key}` LIKE '% {value}%'"
