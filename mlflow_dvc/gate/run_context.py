"""Where MLflow lets a plugin in early: the gate of the client is put up, if a policy is set.

It is a context provider by its entry point alone, and never gives a tag.
"""

from __future__ import annotations

from mlflow.tracking.context.abstract_context import RunContextProvider

from mlflow_dvc import settings


class PolicyRunContext(RunContextProvider):  # type: ignore[misc, unused-ignore]
    """Puts the gate up when MLflow is imported, or before the next run after the policy was set."""

    def __init__(self) -> None:
        self.in_context()

    def in_context(self) -> bool:
        if settings.policy():
            from mlflow_dvc.gate import client

            client.install()
        return False

    def tags(self) -> dict[str, str]:
        return {}
