"""Every environment variable of the package, read at the moment it is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

_OFF = frozenset({"0", "false", "no", "off"})
_MAX_WAIT_SECONDS = 1e6  # seconds; `inf` and the like are more than a lock can wait
_disabled: ContextVar[bool] = ContextVar("mlflow_dvc_disabled", default=False)


def is_enabled() -> bool:
    return not _disabled.get() and _flag("MLFLOW_DVC_ENABLED", default=True)


def is_strict() -> bool:
    return _flag("MLFLOW_DVC_STRICT", default=False)


def dvc_root() -> str | None:
    return os.environ.get("MLFLOW_DVC_ROOT") or None


def snapshot_file() -> str | None:
    """The file of a record made by ``mlflow-dvc snapshot``, used instead of reading the
    workspace.
    """
    return os.environ.get("MLFLOW_DVC_SNAPSHOT") or None


def tracking_uri() -> str | None:
    """The server that MLflow's own variable names."""
    return os.environ.get("MLFLOW_TRACKING_URI") or None


def artifacts_enabled() -> bool:
    return _flag("MLFLOW_DVC_ARTIFACTS", default=True)


def description_enabled() -> bool:
    """Whether a run that has no description gets one."""
    return _flag("MLFLOW_DVC_DESCRIPTION", default=True)


def inputs_enabled() -> bool:
    """Whether what a run reads is logged as its inputs, which MLflow's own page shows."""
    return _flag("MLFLOW_DVC_INPUTS", default=True)


def patch_mode() -> Literal["off", "tracked", "source"]:
    """Which uncommitted code is attached: none, changes of files in git, or new programs too."""
    value = os.environ.get("MLFLOW_DVC_PATCH", "").strip().lower()
    if value in _OFF:
        return "off"
    return "tracked" if value == "tracked" else "source"


def check_enabled() -> bool:
    """Whether what lies on disk is compared with what is claimed of it, beside the training."""
    return _flag("MLFLOW_DVC_CHECK", default=True)


def reads_enabled() -> bool:
    """Whether it is observed what a run reads."""
    return _flag("MLFLOW_DVC_READS", default=True)


def seal_enabled() -> bool:
    """Whether what a stage has made is recorded at the end of its process."""
    return _flag("MLFLOW_DVC_SEAL", default=True)


def wait_seconds() -> float:
    return _seconds("MLFLOW_DVC_WAIT", default=10.0)


def policy() -> str | None:
    """The policy that models must meet before they are registered: a file, or ``default``."""
    return os.environ.get("MLFLOW_DVC_POLICY") or None


def policy_seconds() -> float:
    """How long a server judges one request at most; then it refuses."""
    return _seconds("MLFLOW_DVC_POLICY_WAIT", default=60.0)


def trusted_addresses() -> list[str]:
    """Addresses that only records name, and that the user's credentials may be used for."""
    return os.environ.get("MLFLOW_DVC_TRUST", "").replace(",", " ").split()


@contextmanager
def disabled() -> Iterator[None]:
    """Record nothing for runs started inside the ``with`` block, in this thread or async task.

    >>> with mlflow_dvc.disabled():
    ...     mlflow.start_run()
    """
    token = _disabled.set(True)
    try:
        yield
    finally:
        _disabled.reset(token)


def _flag(name: str, *, default: bool) -> bool:
    value = os.environ.get(name, "").strip().lower()
    return value not in _OFF if value else default


def _seconds(name: str, *, default: float) -> float:
    """A wrong value must not stop a training run: it counts as not set."""
    try:
        seconds = float(os.environ[name])
    except (KeyError, ValueError):
        return default
    return min(seconds, _MAX_WAIT_SECONDS) if seconds >= 0 else default
