"""Where a project's data can be had from: its default DVC remote, without asking DVC."""

from __future__ import annotations

import os
from contextlib import suppress

from mlflow_dvc.capture.config import settings
from mlflow_dvc.capture.files import UnreadableError
from mlflow_dvc.capture.git import without_credentials


def default_remote(root: str) -> str | None:
    """Its URL, less credentials, or absolute path; None where the project at ``root`` has none.

    By ``.dvc/config`` and ``.dvc/config.local``, of which the latter counts more.
    """
    default, urls = "", {}
    for name in ("config", "config.local"):
        with suppress(OSError, UnreadableError):
            for setting in settings(os.path.join(root, ".dvc", name)):
                if (setting.section, setting.key) == ("core", "remote"):
                    default = setting.value
                elif (setting.section, setting.key) == ("remote", "url"):
                    urls[setting.name] = setting.value
    url = urls.get(default) or (next(iter(urls.values())) if len(urls) == 1 else None)
    if url is None or "://" in url:
        return without_credentials(url) if url else None
    return os.path.normpath(os.path.join(root, ".dvc", url))
