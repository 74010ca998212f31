"""Where a project's data can be had from: its default DVC remote, without asking DVC."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

from mlflow_dvc.capture.config import settings
from mlflow_dvc.capture.files import UnreadableError
from mlflow_dvc.capture.git import without_credentials


@dataclass(frozen=True)
class Remote:
    """``url`` is an address less credentials, or an absolute path.

    ``endpoint`` is where its server is, for a bucket of which the URL does not say that.
    """

    url: str
    endpoint: str | None = None


def default_remote(root: str) -> Remote | None:
    """None where the project at ``root`` has none.

    By ``.dvc/config`` and ``.dvc/config.local``, of which the latter counts more.
    """
    default = ""
    urls: dict[str, str] = {}
    endpoints: dict[str, str] = {}
    for name in ("config", "config.local"):
        with suppress(OSError, UnreadableError):
            for setting in settings(os.path.join(root, ".dvc", name)):
                if (setting.section, setting.key) == ("core", "remote"):
                    default = setting.value
                elif (setting.section, setting.key) == ("remote", "url"):
                    urls[setting.name] = setting.value
                elif (setting.section, setting.key) == ("remote", "endpointurl"):
                    endpoints[setting.name] = setting.value
    name = default if default in urls or len(urls) != 1 else next(iter(urls))
    if not (url := urls.get(name)):
        return None
    if "://" not in url:
        return Remote(os.path.normpath(os.path.join(root, ".dvc", url)))
    endpoint = endpoints.get(name)
    return Remote(without_credentials(url), without_credentials(endpoint) if endpoint else None)
