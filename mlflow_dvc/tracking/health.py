"""Whether a tracking server, or a database, answers at all, asked once before the first question.

MLflow itself tries for minutes, in silence, before it says that there is nobody.
"""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

from mlflow_dvc.errors import TrackingUnavailableError
from mlflow_dvc.guard import first_line

_MAX_SECONDS = 4.0  # also for the name of the host
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
_answered: set[str] = set()


def require_answer(tracking_uri: str) -> None:
    """Raises TrackingUnavailableError where nobody answers at an address on the network.

    Any answer counts, a refusal too: what is wrong then MLflow tells best.
    """
    parts = urlsplit(tracking_uri)
    scheme = parts.scheme.partition("+")[0]
    if tracking_uri in _answered or not parts.hostname or scheme not in _PORTS:
        return
    where = (parts.hostname, parts.port or _PORTS[scheme])
    is_http = scheme.startswith("http")
    faults: list[str | None] = []
    # In a thread: nothing bounds the time that a name server takes.
    asking = threading.Thread(
        target=lambda: faults.append(_ask(tracking_uri) if is_http else _connect(where)),
        daemon=True,
    )
    asking.start()
    asking.join(_MAX_SECONDS)
    fault = faults[0] if faults else f"it did not answer within {_MAX_SECONDS:g} s"
    if fault is not None:
        raise TrackingUnavailableError(tracking_uri, fault)
    _answered.add(tracking_uri)


def _ask(url: str) -> str | None:
    """Why a server gives no answer; None where it gives one."""
    import requests

    try:
        requests.get(f"{url.rstrip('/')}/health", timeout=2 * _MAX_SECONDS, stream=True).close()
    except requests.exceptions.SSLError:  # MLflow has settings for that
        return None
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        return first_line(error)
    except requests.exceptions.RequestException:
        return None
    return None


def _connect(where: tuple[str, int]) -> str | None:
    """Why nobody takes a connection of a database; None where somebody does."""
    try:
        socket.create_connection(where, timeout=2 * _MAX_SECONDS).close()
    except OSError as error:
        return first_line(error)
    return None
