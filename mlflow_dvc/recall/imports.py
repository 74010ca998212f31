"""Where imported data came from, as its attached ``.dvc`` file says."""

from __future__ import annotations

from collections.abc import Mapping

from mlflow_dvc.dvc_backend.storage.availability import Origin
from mlflow_dvc.dvcfiles import yaml12
from mlflow_dvc.recall.stored_record import StoredRecord
from mlflow_dvc.snapshot import DataEntry


def import_source(run: StoredRecord, entry: DataEntry) -> Origin | None:
    """The repository, revision and path of what ``dvc import`` brought; None for other data."""
    content = run.files.get(entry.stage or "") if entry.source else None
    if content is None:
        return None
    try:
        raw = yaml12.parse_foreign_yaml(content)
    except ValueError:  # of a shared server, damaged
        return None
    deps = raw.get("deps") if isinstance(raw, Mapping) else None
    for dep in deps if isinstance(deps, list) else ():
        repo = dep.get("repo") if isinstance(dep, Mapping) else None
        if isinstance(repo, Mapping):
            url, path = repo.get("url"), dep.get("path")
            rev = repo.get("rev_lock") or repo.get("rev")
            if isinstance(url, str) and isinstance(path, str) and "\0" not in url + path:
                return Origin(url, str(rev) if rev else None, path)
            return None
    return None
