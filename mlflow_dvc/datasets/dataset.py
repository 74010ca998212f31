"""`mlflow.data.from_dvc`, which MLflow finds by the entry point ``mlflow.dataset_constructor``."""

# MLflow looks at the return annotation of the constructor: it must be the class, not its name.
import json
from typing import Any

from mlflow.data.dataset import Dataset

from mlflow_dvc.datasets.description import describe_profile, mlflow_digest
from mlflow_dvc.datasets.source import DvcDatasetSource, resolve_source
from mlflow_dvc.dvc_backend.schema_cache import NO_SCHEMA, SchemaCache
from mlflow_dvc.project import find_running_project
from mlflow_dvc.snapshot import DataEntry


class DvcDataset(Dataset):  # type: ignore[misc, unused-ignore]
    """Data that DVC tracks; its digest is DVC's own hash.

    ``schema`` is that of a table, None for everything else.
    """

    def __init__(
        self,
        source: DvcDatasetSource,
        entry: DataEntry,
        name: str | None = None,
        digest: str | None = None,
        schema: str = NO_SCHEMA,
    ) -> None:
        self._entry = entry
        self._schema = schema
        super().__init__(source=source, name=name or entry.path, digest=digest)

    def _compute_digest(self) -> str:
        return mlflow_digest(self._entry.hash or "")

    @property
    def profile(self) -> dict[str, Any]:
        return describe_profile(self._entry, vars(self.source))

    @property
    def schema(self) -> Any:
        from mlflow.types import Schema

        columns = json.loads(self._schema).get("mlflow_colspec")
        try:
            return Schema.from_json(json.dumps(columns)) if columns else None
        except Exception:  # an older MLflow has no type `any`
            return None

    def to_dict(self) -> dict[str, str]:
        return {**super().to_dict(), "profile": json.dumps(self.profile), "schema": self._schema}


def from_dvc(
    path: str,
    rev: str | None = None,
    repo: str | None = None,
    name: str | None = None,
    digest: str | None = None,
) -> DvcDataset:
    """The data that DVC tracks at ``path``, to be given to ``mlflow.log_input``.

    Of the project around the working directory, or of the git repository ``repo`` (a URL or path);
    as it lies there, or as it was at ``rev``. ``digest`` defaults to DVC's hash, cut to MLflow's 36
    characters. Raises :class:`~mlflow_dvc.UntrackedPathError`, which names the nearest path
    that is tracked, and :class:`~mlflow_dvc.NoDvcProjectError`.
    """
    source, entry = resolve_source(path, rev=rev, repo=repo)
    known = SchemaCache(find_running_project().dvc_root or "")
    return DvcDataset(source, entry, name, digest, known.recall(entry.path, entry.hash))
