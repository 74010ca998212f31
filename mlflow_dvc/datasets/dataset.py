"""`mlflow.data.from_dvc`, which MLflow finds by the entry point ``mlflow.dataset_constructor``."""

# MLflow looks at the return annotation of the constructor: it must be the class, not its name.
import json
import os
import warnings
from typing import Any

from mlflow.data.dataset import Dataset

from mlflow_dvc import mlflow_api
from mlflow_dvc.datasets.description import describe_profile, mlflow_digest
from mlflow_dvc.datasets.source import DvcDatasetSource, resolve_source
from mlflow_dvc.guard import warn_once
from mlflow_dvc.snapshot import DataEntry

_MAX_ROWS = 1000
_TABLES = frozenset({".csv", ".tsv", ".parquet"})
_MAX_BYTES = 100 * 1024 * 1024  # of a table that can only be read whole


class DvcDataset(Dataset):  # type: ignore[misc, unused-ignore]
    """Data that DVC tracks; its digest is DVC's own hash.

    ``schema`` is that of a table (``.csv``, ``.tsv``, ``.parquet``) in the work tree, read with
    pandas by its first thousand rows; None for everything else.
    """

    def __init__(
        self,
        source: DvcDatasetSource,
        entry: DataEntry,
        name: str | None = None,
        digest: str | None = None,
        table: str | None = None,
    ) -> None:
        self._entry = entry
        self._table = table
        super().__init__(source=source, name=name or entry.path, digest=digest)

    def _compute_digest(self) -> str:
        return mlflow_digest(self._entry.hash or "")

    @property
    def profile(self) -> dict[str, Any]:
        return describe_profile(self._entry)

    @property
    def schema(self) -> Any:
        suffix = os.path.splitext(self._table or "")[1].lower()
        if self._table is None or suffix not in _TABLES or not os.path.isfile(self._table):
            return None
        try:
            return _schema_of(self._table, suffix)
        except Exception:  # no table after all, or of kinds that MLflow has no name for
            return None

    def to_dict(self) -> dict[str, str]:
        schema = self.schema
        raw: dict[str, str] = {**super().to_dict(), "profile": json.dumps(self.profile)}
        if schema:
            raw["schema"] = json.dumps({"mlflow_colspec": schema.to_dict()})
        return raw


def _schema_of(table: str, suffix: str) -> Any:
    import pandas

    found = mlflow_api.INFER_SCHEMA.find()
    if found is None:
        warn_once(mlflow_api.INFER_SCHEMA.said)
        return None
    _, infer_schema = found
    if suffix == ".parquet":
        if os.path.getsize(table) > _MAX_BYTES:
            return None
        rows = pandas.read_parquet(table).head(_MAX_ROWS)
    else:
        rows = pandas.read_csv(table, sep="\t" if suffix == ".tsv" else ",", nrows=_MAX_ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's advice about whole numbers is for models
        return infer_schema(rows)


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
    return DvcDataset(source, entry, name, digest, path if rev is None and repo is None else None)
