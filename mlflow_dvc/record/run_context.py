"""The context provider that MLflow asks for tags; its entry point names it.

MLflow survives only ImportError and AttributeError while it loads this: nothing here may fail.
"""

from __future__ import annotations

from mlflow.tracking.context.abstract_context import RunContextProvider

from mlflow_dvc import settings
from mlflow_dvc.guard import guard


class DvcRunContext(RunContextProvider):  # type: ignore[misc, unused-ignore]
    """Tags every run, and every model logged in one, with the code and the data behind it.

    MLflow asks for tags when a run starts and each time it logs a model or builds a dataset. In a
    run, the answer is the record of that run; see ``hooks`` for what a provider cannot do.
    """

    def __init__(self) -> None:
        with guard("hook into MLflow"):
            from mlflow_dvc.record import hooks

            hooks.install()

    def in_context(self) -> bool:
        return settings.is_enabled()

    def tags(self) -> dict[str, str]:
        with guard("tag the run"):
            from mlflow_dvc.record import hooks, run_start

            hooks.wrap_late()
            return run_start.provider_tags(in_run=hooks.is_installed())
        return {}
