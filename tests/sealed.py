"""What is said of a run's seal: by its tag, and by ``mlflow-dvc sync``."""

from __future__ import annotations

import json
from typing import Any

from conftest import Project


def seal_of(run: Any) -> str:
    return str(run.data.tags["dvc.seal"])


def synced(project: Project, *words: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """``mlflow-dvc sync --json``, by run."""
    done = project.cli("sync", *words, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return {row["run_id"]: row for row in json.loads(done.stdout)["runs"]}
