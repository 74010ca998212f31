"""What this machine allows: fanotify, else inotify and Python's audit hook, else the hook alone."""

from __future__ import annotations

import os
from collections.abc import Iterator

from mlflow_dvc.observe.audit import AuditHook
from mlflow_dvc.observe.event import Event, Source
from mlflow_dvc.observe.fanotify import FanotifyGroup
from mlflow_dvc.observe.inotify import InotifyGroup


def open_source() -> Source:
    try:
        return FanotifyGroup()
    except (OSError, AttributeError):  # not allowed; a C library without the call
        pass
    try:
        return _InotifyAndAudit()
    except (OSError, AttributeError):
        return AuditHook()


class _InotifyAndAudit(InotifyGroup):
    """What somebody opened, and what of it this process has opened through Python."""

    def __init__(self) -> None:
        super().__init__()
        self._audit = AuditHook()

    def events(self) -> Iterator[Event]:
        watched = set(self._folders.values())
        yield from (one for one in self._audit.events() if os.path.realpath(one.folder) in watched)
        yield from super().events()

    def close(self) -> None:
        super().close()
        self._audit.close()
