"""``python -m mlflow_dvc.gate``: what is to be registered in, in JSON; whether it may be out."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any
from urllib.parse import urlsplit

from mlflow_dvc.gate.refusal import refusal, refuse_unless_met
from mlflow_dvc.recall.check import check_files
from mlflow_dvc.recall.check.origin import RegisteredFiles

_NICENESS = 10  # the server goes on answering others meanwhile


def main() -> None:
    os.nice(_NICENESS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended, too
    question = json.load(sys.stdin)
    out, sys.stdout = sys.stdout, sys.stderr  # the answer alone goes there
    print(json.dumps(_answer(**question)), file=out)


def _answer(
    action: str, files: dict[str, Any], policy: str, project: str, stores: dict[str, str]
) -> dict[str, Any]:
    try:
        _read_artifacts_from(stores["artifacts"])
        result = check_files(
            RegisteredFiles(**files), policy, project=project, tracking_uri=stores["tracking"]
        )
        refuse_unless_met(action, result)
    except Exception as error:
        refused = refusal(action, error)
        names = ("reason", "remedy", "rules", "run_id")
        return {"refused": {name: getattr(refused, name) for name in names}}
    return {"refused": None, "run_id": result.run_id}


def _read_artifacts_from(destination: str) -> None:
    """What clients ask the server for is read where the server keeps it."""
    from mlflow.store.artifact import artifact_repository_registry as registry

    def open_kept(uri: str, *args: Any, **kwargs: Any) -> Any:
        return registry.get_artifact_repository(f"{destination.rstrip('/')}/{_kept_path(uri)}")

    if destination:
        registry._artifact_repository_registry.register("mlflow-artifacts", open_kept)


def _kept_path(uri: str) -> str:
    """Of ``mlflow-artifacts:/path`` and ``mlflow-artifacts://host/path``, the path.

    Raises ValueError where it leads out of where artifacts are kept.
    """
    path = urlsplit(uri).path.lstrip("/")
    if "%" in path or ".." in path.split("/"):
        raise ValueError("the artifacts of the run are outside of those that the server keeps")
    return path


if __name__ == "__main__":
    main()
