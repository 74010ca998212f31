"""Models of an attacker's run, which lineage and verify walk to."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from attacks.forgery import Forgery
from attacks.kinds import hostile


@hostile("model-registered")
def registered(run: Forgery) -> None:
    """A version of an odd name, source and description, of this run."""

    def end(artifacts: Path) -> None:
        import mlflow

        client = mlflow.MlflowClient(run.lab.uri)
        client.create_registered_model("evil")
        client.create_model_version(
            "evil", artifacts.as_uri(), artifacts.parent.name, description="\x1b[2J<script>"
        )
        with closing(sqlite3.connect(run.lab.root / "mlflow.db")) as database, database:
            database.execute("UPDATE model_versions SET source = 'ext::sh -c x'")

    run.ends.append(end)


@hostile("model-of-no-run")
def of_no_run(run: Forgery) -> None:
    def end(artifacts: Path) -> None:
        import mlflow

        client = mlflow.MlflowClient(run.lab.uri)
        client.create_registered_model("evil")
        client.create_model_version("evil", artifacts.as_uri(), artifacts.parent.name)
        with closing(sqlite3.connect(run.lab.root / "mlflow.db")) as database, database:
            database.execute("UPDATE model_versions SET run_id = '../../x'")

    run.ends.append(end)
