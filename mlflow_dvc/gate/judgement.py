"""Judge what is to be registered on a server: in a process of its own, and within a time limit.

Records are other people's, and git and DVC may hang: a process can be ended, a thread of the server
cannot. It asks the stores themselves, never the server, which may have no worker left to answer.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mlflow_dvc import settings, tracking
from mlflow_dvc.errors import GateBusyError, PolicyBrokenError
from mlflow_dvc.process import start_process
from mlflow_dvc.program import open_memory, python_program
from mlflow_dvc.recall.check.origin import RegisteredFiles
from mlflow_dvc.recall.check.policy import DEFAULT, find_policy

_CLEAN_UP_SECONDS = 1.0
_TOGETHER = threading.BoundedSemaphore(4)  # processes of one worker; the others wait
_AT_ONCE = threading.BoundedSemaphore(12)  # with those that wait; others need the threads, too


@dataclass(frozen=True)
class ServerStores:
    """Where a server keeps runs, models and artifacts; ``artifacts`` is empty if it has none."""

    tracking: str
    registry: str
    artifacts: str

    @classmethod
    def of_server(cls, env: Mapping[str, str]) -> ServerStores:
        """As ``mlflow server`` tells its workers, in ``env``. Raises KeyError."""
        from mlflow import server

        runs = env[server.BACKEND_STORE_URI_ENV_VAR]
        models = env.get(server.REGISTRY_STORE_URI_ENV_VAR) or runs
        artifacts = env.get(server.ARTIFACTS_DESTINATION_ENV_VAR, "")
        if artifacts and "://" not in artifacts and not artifacts.startswith("file:"):
            artifacts = os.path.abspath(artifacts)
        return cls(tracking.absolute_uri(runs), tracking.absolute_uri(models), artifacts)


def judge(action: str, files: RegisteredFiles, stores: ServerStores, deadline: float) -> str:
    """The run behind ``files``, if it meets the policy.

    ``deadline`` is a time of ``time.monotonic``. Raises PolicyBrokenError, GateBusyError, and
    PolicyFileError.
    """
    find_policy()  # one that is none is told at once
    if not _AT_ONCE.acquire(blocking=False):
        raise GateBusyError(action)
    try:
        answer = _ask_in_turn(action, files, stores, deadline)
    finally:
        _AT_ONCE.release()
    if refused := answer["refused"]:
        raise PolicyBrokenError(action, **refused)
    return str(answer["run_id"])


def late(action: str) -> PolicyBrokenError:
    """What is raised when the time is over."""
    seconds = settings.policy_seconds()
    return PolicyBrokenError(
        action,
        f"the policy was not judged within {seconds:g} s",
        "Try again; if a store, git or a DVC remote is slow, set MLFLOW_DVC_POLICY_WAIT higher",
    )


def _ask_in_turn(
    action: str, files: RegisteredFiles, stores: ServerStores, deadline: float
) -> dict[str, Any]:
    if not _TOGETHER.acquire(timeout=max(0.0, deadline - time.monotonic())):
        raise late(action)
    try:
        return _ask(action, files, stores, deadline)
    finally:
        _TOGETHER.release()


def _ask(
    action: str, files: RegisteredFiles, stores: ServerStores, deadline: float
) -> dict[str, Any]:
    name = settings.policy() or DEFAULT
    question = {
        "action": action,
        "files": asdict(files),
        "policy": name if name == DEFAULT else os.path.abspath(name),
        "project": settings.dvc_root() or os.getcwd(),
        "stores": asdict(stores),
    }
    env = {
        "MLFLOW_TRACKING_URI": stores.tracking,
        "MLFLOW_REGISTRY_URI": stores.registry,
        "MLFLOW_DVC_POLICY": "",  # no gate of a client there
    }
    with open_memory() as given, open_memory() as answer:
        given.write(json.dumps(question).encode())
        child = start_process(python_program("mlflow_dvc.gate", **env), given, answer)
        if child.wait(max(0.0, deadline - time.monotonic())) is None:
            child.send(signal.SIGTERM)
            if child.wait(_CLEAN_UP_SECONDS) is None:
                child.send(signal.SIGKILL)
                child.wait()
            raise late(action)
        answer.seek(0)
        found = json.loads(answer.read())
    if not isinstance(found, dict):
        raise ValueError("its process gave no answer")
    return found
