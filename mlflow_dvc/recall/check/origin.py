"""Which run made the files of a model: told by where they are, not by whom they are said to be of.

Whoever registers a model may name any run. The files decide.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from mlflow_dvc import tracking
from mlflow_dvc.errors import RunNotFoundError, UnknownOriginError

_ODD = re.compile(r"[?#\\\x00-\x1f\x7f]")
_LOGGED = re.compile(r"models:/(m-[0-9a-f]+)")
_VERSION = re.compile(r"models:/([^/]+)/([0-9]+)")
# Below the artifacts of an experiment or a run: those of a run or a model.
_FOLDER_OF_ANOTHER = re.compile(r"/(?:m-)?[0-9a-f]{32}/artifacts/")
_MODEL_FOLDER = re.compile(r"/models/(m-[0-9a-f]{32})/artifacts(?:/|$)")
_RUN_FILES = re.compile(r"runs:/([0-9a-f]{32})/.+")
# What MLflow writes as the source of a prompt, which has no files.
_PROMPT_SOURCES = frozenset({"dummy-source", "prompt-template"})


@dataclass(frozen=True)
class RegisteredFiles:
    """What a version of a model is made of, as whoever registers it says.

    ``source`` is an address, or a name: a name is what is registered, and never what is kept.
    """

    source: str
    run_id: str | None = None
    model_id: str | None = None

    @classmethod
    def of(cls, version: Any, find_address: Callable[[], str]) -> RegisteredFiles:
        """Of a version, as MLflow or as this package has it.

        Of one that was made of another version, ``find_address`` tells where the files are: at
        the name and number by which it was made may stand another one today.
        """
        model_id = getattr(version, "model_id", None)
        source = version.source or ""
        address = find_address() if _VERSION.fullmatch(source) else source
        return cls(address, version.run_id or None, model_id or None)

    @property
    def is_prompt(self) -> bool:
        """Whether it is a prompt, which MLflow keeps among the models: of no run, without files."""
        return self.source in _PROMPT_SOURCES and not (self.run_id or self.model_id)


def files_of(model: str, tracking_uri: str | None = None) -> RegisteredFiles:
    """Of the version that ``models:/name/version`` or ``models:/name@alias`` names."""
    version = tracking.get_version(model, tracking_uri)
    return RegisteredFiles.of(version, lambda: tracking.version_address(version, tracking_uri))


def resolve_copy(
    files: RegisteredFiles, find_files: Callable[[str, str], RegisteredFiles]
) -> RegisteredFiles:
    """What a copy of a version is made of, by its name and number: others are what they are.

    Raises UnknownOriginError for an address that may be read as another one, and where the original
    is of another run or model than was said.
    """
    _refuse_odd(files.source)
    match = _VERSION.fullmatch(files.source)
    if match is None:
        return files
    original = find_files(match[1], match[2])
    _refuse_odd(original.source)
    for said, known in ((files.run_id, original.run_id), (files.model_id, original.model_id)):
        if said and known and said != known:
            raise UnknownOriginError(files.source, f"it is of {known}, said was {said}")
    return original


def find_run_id(files: RegisteredFiles, tracking_uri: str | None = None) -> str:
    """The run that made them.

    Raises UnknownOriginError where that is not known, or is another one than was said.
    """
    source = files.source
    try:
        files = resolve_copy(files, lambda *_: files_of(source, tracking_uri))
        found = _run_id(files, tracking_uri)
    except RunNotFoundError as error:
        reason = "there is no such run, model or version"
        raise UnknownOriginError(files.source, reason) from error
    if files.run_id and files.run_id != found:
        reason = f"it is of run {found}, said was run {files.run_id}"
        raise UnknownOriginError(files.source, reason)
    return found


def _refuse_odd(source: str) -> None:
    """MLflow reads addresses by parsing them: what it drops then must not be there."""
    is_name = source.startswith(("models:", "runs:"))
    if source != source.strip() or _ODD.search(source) or (is_name and "%" in source):
        raise UnknownOriginError(source, "it may be read as another address")


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
    if model_id := files.model_id or _model_id_in(files.source):
        return _run_of_logged(model_id, files, tracking_uri)
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


def _model_id_in(address: str) -> str | None:
    """The logged model in whose folder it lies: where a copy is all that is known of it."""
    match = _MODEL_FOLDER.search(address)
    return match[1] if match else None


def _is_below(source: str, folder: str | None) -> bool:
    """Whether ``source`` is ``folder`` or in it; an address that says more than a path is not.

    Nor is what is of a run or a model whose own folder was put into ``folder``.
    """
    inner, outer = _place(source), _place(folder or "")
    if inner is None or outer is None or inner[:2] != outer[:2]:
        return False
    inside, above = f"{inner[2]}/", f"{outer[2]}/"
    is_in = inside.startswith(above)
    return is_in and not _FOLDER_OF_ANOTHER.search(inside, len(above) - 1)


def _place(address: str) -> tuple[str, str, str] | None:
    parts = urlsplit(address)
    path = unquote(parts.path)
    is_plain = not (parts.query or parts.fragment or "\\" in path or ".." in path.split("/"))
    # What is still escaped could be read as something else by whoever opens it.
    if not is_plain or "%" in path or not path.strip("/"):
        return None
    return parts.scheme or "file", parts.netloc, posixpath.normpath(path).rstrip("/")
