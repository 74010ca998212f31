"""The one place where a fault of ours is swallowed, so that it never reaches the training.

``with guard("read dvc.lock"):`` goes around our own work and never around a call into MLflow that
the user made. Only ``Exception`` is caught: Ctrl-C, ``SystemExit`` and the like pass.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType

from mlflow_dvc import settings
from mlflow_dvc.secrets.urls import public_text

_logger = logging.getLogger("mlflow_dvc")
_said: set[str] = set()
_MAX_SAID = 1000


class guard:  # noqa: N801 - used as a statement
    """Log what goes wrong inside, once per cause, and go on. MLFLOW_DVC_STRICT=1 lets it out.

    ``silent`` is asked when something went wrong; it returns True to drop the log line.
    """

    def __init__(self, doing: str) -> None:
        self.doing = doing
        self.silent: Callable[[], bool] = bool

    def __enter__(self) -> guard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception) or settings.is_strict():
            return False
        if not self.silent():
            log_swallowed(self.doing, error)
        return True


def log_swallowed(doing: str, error: Exception) -> None:
    """One line for the user; the traceback for those who log at DEBUG."""
    cause = first_line(error)
    line = f"could not {doing}: {cause} (MLFLOW_DVC_ENABLED=0 turns the plugin off)"
    warn_once(line, cause=f"{type(error).__name__}: {cause}")
    _logger.debug("mlflow-dvc: could not %s", doing, exc_info=error)


def first_line(error: Exception) -> str:
    """What ``error`` says, for one line of a log."""
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


def warn_once(message: str, cause: str = "") -> None:
    """Say ``message`` on the log, unless this process has named the same cause before."""
    key = cause or message
    if key in _said:
        return
    if len(_said) < _MAX_SAID:
        _said.add(key)
    _logger.warning("mlflow-dvc: %s", public_text(message))
