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
        for dep in yaml12.parse_yaml(content)["deps"]:
            repo = dep.get("repo")
            if isinstance(repo, Mapping):
                rev = repo.get("rev_lock") or repo.get("rev")
                return Origin(str(repo["url"]), str(rev) if rev else None, str(dep["path"]))
    except Exception:  # of a shared server: damaged, or no file of DVC's
        return None
    return None
