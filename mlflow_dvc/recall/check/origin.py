"""Which run made the files of a model: told by where they are, not by whom they are said to be of.

Whoever registers a model may name any run. The files decide.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from mlflow_dvc import tracking
from mlflow_dvc.errors import RunNotFoundError, UnknownOriginError

_MAX_COPIES = 20  # a version that is a copy of a version, and so on
_ODD = re.compile(r"[?#\\\x00-\x1f\x7f]")
_LOGGED = re.compile(r"models:/(m-[0-9a-f]+)")
_VERSION = re.compile(r"models:/[^@]+/[0-9]+")
_RUN_FILES = re.compile(r"runs:/([0-9a-f]{32})/.+")
# What MLflow writes as the source of a prompt, which has no files.
_PROMPT_SOURCES = frozenset({"dummy-source", "prompt-template"})


@dataclass(frozen=True)
class RegisteredFiles:
    """What a version of a model is made of, as whoever registers it says."""

    source: str
    run_id: str | None = None
    model_id: str | None = None

    @classmethod
    def of(cls, version: Any) -> RegisteredFiles:
        """Of a version, as MLflow or as this package has it."""
        model_id = getattr(version, "model_id", None)
        return cls(version.source or "", version.run_id or None, model_id or None)

    @property
    def is_prompt(self) -> bool:
        """Whether it is a prompt, which MLflow keeps among the models: of no run, without files."""
        return self.source in _PROMPT_SOURCES and not (self.run_id or self.model_id)


def files_of(model: str, tracking_uri: str | None = None) -> RegisteredFiles:
    """Of the version that ``models:/name/version`` or ``models:/name@alias`` names."""
    return RegisteredFiles.of(tracking.get_version(model, tracking_uri))


def find_run_id(files: RegisteredFiles, tracking_uri: str | None = None) -> str:
    """The run that made them.

    Raises UnknownOriginError where that is not known, or is another one than was said.
    """
    _refuse_odd(files.source)
    for _ in range(_MAX_COPIES):
        if not _VERSION.fullmatch(files.source):
            break
        files = _copied(files, tracking_uri)
    try:
        found = _run_id(files, tracking_uri)
    except RunNotFoundError as error:
        raise UnknownOriginError(files.source, "there is no such run or model") from error
    if files.run_id and files.run_id != found:
        reason = f"it is of run {found}, said was run {files.run_id}"
        raise UnknownOriginError(files.source, reason)
    return found


def _refuse_odd(source: str) -> None:
    """MLflow reads addresses by parsing them: what it drops then must not be there."""
    is_name = source.startswith(("models:", "runs:"))
    if source != source.strip() or _ODD.search(source) or (is_name and "%" in source):
        raise UnknownOriginError(source, "it may be read as another address")


def _copied(files: RegisteredFiles, tracking_uri: str | None) -> RegisteredFiles:
    """What that version is made of which ``files`` copy."""
    try:
        original = files_of(files.source, tracking_uri)
        _refuse_odd(original.source)
    except RunNotFoundError as error:
        raise UnknownOriginError(files.source, "there is no such version") from error
    for said, known in ((files.run_id, original.run_id), (files.model_id, original.model_id)):
        if said and known and said != known:
            raise UnknownOriginError(files.source, f"it is of {known}, said was {said}")
    return original


def _run_id(files: RegisteredFiles, tracking_uri: str | None) -> str:
    if match := _LOGGED.fullmatch(files.source):
        if files.model_id not in (None, match[1]):
            raise UnknownOriginError(files.source, f"said was the model {files.model_id}")
        return _run_of_logged(match[1], files, tracking_uri)
    if match := _RUN_FILES.fullmatch(files.source):
        if ".." in unquote(files.source).split("/"):
            raise UnknownOriginError(files.source, "it leads out of the run")
        return match[1]
    if files.source.startswith("models:"):
        raise UnknownOriginError(files.source, "name a version by its number")
    if files.model_id:
        return _run_of_logged(files.model_id, files, tracking_uri)
    if not files.run_id:
        raise UnknownOriginError(files.source, "no run is named")
    run = tracking.get_run(files.run_id, tracking_uri)
    if run.info.run_id != files.run_id or not _is_below(files.source, run.info.artifact_uri):
        raise UnknownOriginError(files.source, f"it is no artifact of run {files.run_id}")
    return files.run_id


def _run_of_logged(model_id: str, files: RegisteredFiles, tracking_uri: str | None) -> str:
    model = tracking.get_logged_model(model_id, tracking_uri)
    is_named = files.source == f"models:/{model_id}"
    if not is_named and not _is_below(files.source, model.artifact_uri):
        raise UnknownOriginError(files.source, f"it is no file of the model {model_id}")
    if not model.run_id:
        raise UnknownOriginError(files.source, f"the model {model_id} was not logged in a run")
    run = tracking.get_run(model.run_id, tracking_uri)
    if run.info.experiment_id != model.experiment_id:  # whoever logs a model may name any run
        reason = f"the model {model_id} lies in another experiment than its run"
        raise UnknownOriginError(files.source, reason)
    return model.run_id


def _is_below(source: str, folder: str | None) -> bool:
    """Whether ``source`` is ``folder`` or in it; an address that says more than a path is not."""
    inner, outer = _place(source), _place(folder or "")
    if inner is None or outer is None or inner[:2] != outer[:2]:
        return False
    return f"{inner[2]}/".startswith(f"{outer[2]}/")


def _place(address: str) -> tuple[str, str, str] | None:
    parts = urlsplit(address)
    path = unquote(parts.path)
    is_plain = not (parts.query or parts.fragment or "\\" in path or ".." in path.split("/"))
    # What is still escaped could be read as something else by whoever opens it.
    if not is_plain or "%" in path or not path.strip("/"):
        return None
    return parts.scheme or "file", parts.netloc, posixpath.normpath(path).rstrip("/")
