"""What a process had no time left to write to a run, or a server did not take, kept for later.

It lies in the user's cache. The next run of the project completes it, or `mlflow-dvc sync`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from mlflow_dvc import user_cache
from mlflow_dvc.errors import TrackingUnavailableError
from mlflow_dvc.guard import first_line
from mlflow_dvc.tracking.health import require_answer
from mlflow_dvc.tracking.run_writes import (
    Input,
    attach_files,
    delete_run_tag,
    inputs_of,
    read_run,
    send_inputs,
    set_run_tags,
)
from mlflow_dvc.tracking.server import store_errors

if TYPE_CHECKING:
    from mlflow.entities import Run

_KIND = "leftovers"


@dataclass(frozen=True)
class Leftover:
    """What is still to be written to one run.

    ``tags`` and ``before`` are what the tags are to be, and what they were made by us; a tag that
    is only in ``before`` is to go. ``files`` go to ``folder``, ``inputs`` have a ``source_type``
    and a ``context``.
    """

    tracking_uri: str
    run_id: str
    artifact_uri: str | None
    folder: str | None
    tags: Mapping[str, str]
    before: Mapping[str, str]
    files: Mapping[str, bytes] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    source_type: str = ""
    context: str = ""

    def complete(self) -> Run | None:
        """Write it. None where the run is gone. Raises MLflow's errors."""
        run = read_run(self.tracking_uri, self.run_id)
        if run is None:
            return None
        there = run.data.tags
        fresh = {
            key: value
            for key, value in self.tags.items()
            if there.get(key) in (None, self.before.get(key)) and there.get(key) != value
        }
        if fresh:
            set_run_tags(self.tracking_uri, self.run_id, fresh)
        for key in self.before.keys() - self.tags.keys():
            if there.get(key) == self.before[key]:
                delete_run_tag(self.tracking_uri, self.run_id, key)
        known = {(one.name, one.digest) for one in inputs_of(run)}
        missing = [one for one in self.inputs if (one.name, one.digest) not in known]
        if missing:
            where = self.tracking_uri, self.run_id
            send_inputs(*where, missing, self.source_type, self.context)
        if self.files and self.folder is not None:
            where = self.tracking_uri, self.run_id
            attach_files(*where, self.files, self.folder, self.artifact_uri)
        return run


def keep(project: str, leftover: Leftover) -> bool:
    """Keep it for whoever works in ``project`` next. False where there is no place for it."""
    raw = asdict(leftover)
    raw["files"] = {path: base64.b64encode(text).decode() for path, text in leftover.files.items()}
    folder = (leftover.folder or "").replace("/", "-")
    key = f"{_name(project)}-{leftover.run_id}-{folder}"
    return user_cache.write(_KIND, key, json.dumps(raw).encode())


def has_leftovers(project: str) -> bool:
    """Whether something was kept that no other process is writing."""
    return bool(user_cache.find(_KIND, _name(project)))


def complete_leftovers(project: str, most: int | None = None) -> Iterator[Run]:
    """Write what was kept, but for what another process is writing; the runs that it was of.

    Raises TrackingUnavailableError: then it is kept further.
    """
    for key in user_cache.find(_KIND, _name(project))[:most]:
        content = user_cache.take(_KIND, key)
        if content is None:
            continue
        found = _parse(content)
        try:
            require_answer(found.tracking_uri)
            run = found.complete()
        except store_errors() as error:
            user_cache.put_back(_KIND, key)
            raise TrackingUnavailableError(found.tracking_uri, first_line(error)) from error
        except BaseException:
            user_cache.put_back(_KIND, key)
            raise
        user_cache.drop(_KIND, key)
        if run is not None:
            yield run


def _parse(content: bytes) -> Leftover:
    raw = json.loads(content)
    raw["files"] = {path: base64.b64decode(text) for path, text in raw["files"].items()}
    raw["inputs"] = tuple(Input(**one) for one in raw["inputs"])
    return Leftover(**raw)


def _name(project: str) -> str:
    return hashlib.sha256(project.encode("utf-8", "surrogateescape")).hexdigest()[:16]
