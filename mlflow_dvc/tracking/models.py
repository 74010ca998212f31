"""Logged models (MLflow 3) and versions in the model registry."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from mlflow_dvc import tags as tag
from mlflow_dvc.enumeration import first_of
from mlflow_dvc.errors import RunNotFoundError
from mlflow_dvc.guard import first_line
from mlflow_dvc.tracking.server import client_for

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

T = TypeVar("T")
_MAX_IDS_PER_QUERY = 50  # ids in one filter
_MAX_NAMED = 10
_MAX_EXPERIMENTS = 100  # that one request names
_ID = re.compile(r"m-[0-9a-f]+")
_SAFE = re.compile(r"[\w\-]+")
_REF = re.compile(r"models:/(?P<name>.+?)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/]+))")


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model. ``model_id`` is the logged model that it was made of,
    ``source`` where its files are; both may be what whoever registered it said.
    """

    name: str
    version: str
    run_id: str | None
    model_id: str | None
    aliases: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run logged (MLflow 3). Its files are below ``artifact_uri``."""

    model_id: str
    name: str
    run_id: str | None
    artifact_uri: str = ""
    experiment_id: str = ""


@dataclass(frozen=True)
class RecordedModel:
    """A logged model with tags of ours. ``created`` is in milliseconds since 1970."""

    model: LoggedModel
    tags: Mapping[str, str]
    created: int


def get_version(ref: str, tracking_uri: str | None = None) -> ModelVersion:
    """The version that ``models:/name/version`` or ``models:/name@alias`` names.

    Raises RunNotFoundError or TrackingUnavailableError.
    """
    with client_for(tracking_uri) as client:
        return _version(version_at(client, ref))


def version_address(version: ModelVersion, tracking_uri: str | None = None) -> str:
    """Where the registry has its files. Raises RunNotFoundError or TrackingUnavailableError."""
    ref = f"models:/{version.name}/{version.version}"
    with client_for(tracking_uri) as client:
        ask = partial(client.get_model_version_download_uri, version.name, version.version)
        return str(or_not_found(client, ref, ask))


def get_logged_model(model_id: str, tracking_uri: str | None = None) -> LoggedModel:
    """Raises RunNotFoundError or TrackingUnavailableError."""
    with client_for(tracking_uri) as client:
        return _logged(logged_model(client, model_id))


def registered_model_uris(tracking_uri: str | None = None) -> list[str]:
    """``models:/name/version`` of every registered model."""
    with client_for(tracking_uri) as client:
        found = sorted((one.name, one.version) for one in _versions(client, ""))
        return [f"models:/{name}/{version}" for name, version in found]


def registered_versions(
    tracking_uri: str | None = None, *, only_aliased: bool = False
) -> list[ModelVersion]:
    """Every registered version; those alone that an alias names, with ``only_aliased``."""
    with client_for(tracking_uri) as client:
        if not only_aliased:
            return list(_versions(client, ""))
        named = [
            (model.name, alias)
            for model in pages(client.search_registered_models)
            for alias in model.aliases or ()
        ]
        return [_version(client.get_model_version_by_alias(*one)) for one in named]


def recorded_models(tracking_uri: str | None = None) -> list[RecordedModel]:
    """Every logged model with tags of ours; none before MLflow 3."""
    from mlflow.entities import ViewType

    with client_for(tracking_uri) as client:
        search = getattr(client, "search_logged_models", None)
        if search is None:
            return []
        experiments = [
            one.experiment_id for one in pages(client.search_experiments, view_type=ViewType.ALL)
        ]
        found = []
        for start in range(0, len(experiments), _MAX_EXPERIMENTS):
            some = experiments[start : start + _MAX_EXPERIMENTS]
            for raw in pages(search, experiment_ids=some):
                tags = tag.bounded(raw.tags or {})
                if tag.own_tags(tags):
                    found.append(RecordedModel(_logged(raw), tags, raw.creation_timestamp or 0))
        return found


def models_of(
    runs: Sequence[Run], tracking_uri: str | None = None
) -> tuple[list[LoggedModel], list[ModelVersion], list[str]]:
    """The logged models of ``runs``, the registered versions of either, and what went unanswered.

    Not every registry answers every question: in words, which one did not.
    """
    faults: list[str] = []
    with client_for(tracking_uri) as client:
        logged = _answered(faults, "logged models", partial(_logged_by, client, runs))
        run_ids = [run.info.run_id for run in runs]
        by_run = (f"run_id IN ({ids})" for ids in _quoted(run_ids))
        by_model = (
            f"source_path = 'models:/{one.model_id}'" for one in logged if _SAFE.match(one.model_id)
        )
        found: dict[tuple[str, str], ModelVersion] = {}
        for query in (*by_run, *by_model):
            ask = partial(_versions, client, query)
            for version in _answered(faults, "registered models", ask):
                found[version.name, version.version] = version
    return logged, list(found.values()), faults


def version_at(client: MlflowClient, ref: str) -> Any:
    """MLflow's own version object. Raises RunNotFoundError."""
    match = _REF.fullmatch(ref)
    if match is None:
        raise RunNotFoundError(
            ref, client.tracking_uri, "write models:/NAME/VERSION or models:/NAME@ALIAS"
        )
    name, version, alias = match["name"], match["version"], match["alias"]
    try:
        if alias:
            return or_not_found(client, ref, lambda: client.get_model_version_by_alias(name, alias))
        return or_not_found(client, ref, lambda: client.get_model_version(name, version))
    except RunNotFoundError as error:
        reason, remedy = _what_is_there(client, name)
        raise RunNotFoundError(ref, client.tracking_uri, reason, remedy) from error


def _what_is_there(client: MlflowClient, name: str) -> tuple[str, str]:
    """Why there is no such version, and which there are."""
    try:
        model = or_not_found(client, name, lambda: client.get_registered_model(name))
    except RunNotFoundError:
        page = client.search_registered_models(max_results=_MAX_NAMED + 1)
        names = first_of([repr(one.name) for one in page], _MAX_NAMED)
        there = f"Registered are: {names}" if names else "None is registered there"
        return f"no model of the name {name!r} is registered", there
    query = f"name = '{name}'"
    page = [] if "'" in name else client.search_model_versions(query, max_results=_MAX_NAMED + 1)
    numbers = sorted((str(one.version) for one in page), key=int, reverse=True)
    aliases = [f"@{alias}" for alias in getattr(model, "aliases", None) or ()]
    return "", f"It has: {first_of([*numbers, *aliases], _MAX_NAMED) or 'no version yet'}"


def logged_model(client: MlflowClient, model_id: str) -> Any:
    """MLflow's own object of a logged model. Raises RunNotFoundError."""
    get = getattr(client, "get_logged_model", None)
    if get is None:
        raise RunNotFoundError(model_id, client.tracking_uri, "logged models came with MLflow 3")
    return or_not_found(client, model_id, lambda: get(model_id))


def or_not_found(client: MlflowClient, ref: str, ask: Callable[[], Any]) -> Any:
    """The answer; RunNotFoundError where the server says that there is no such thing."""
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise RunNotFoundError(ref, client.tracking_uri) from error
        raise


def _answered(faults: list[str], of_what: str, ask: Callable[[], Iterable[T]]) -> list[T]:
    from mlflow.exceptions import MlflowException

    try:
        return list(ask())
    except MlflowException as error:
        fault = f"the server does not tell the {of_what} of runs: {first_line(error)}"
        if fault not in faults:
            faults.append(fault)
        return []


def _logged_by(client: MlflowClient, runs: Sequence[Run]) -> Iterator[LoggedModel]:
    search = getattr(client, "search_logged_models", None)
    if search is None:
        return
    known: set[str] = set()
    experiments = sorted({run.info.experiment_id for run in runs})
    for ids in _quoted([run.info.run_id for run in runs]):
        query = {"experiment_ids": experiments, "filter_string": f"source_run_id IN ({ids})"}
        for raw in pages(search, **query):
            known.add(raw.model_id)
            yield _logged(raw)
    for run in runs:  # a model that was begun before the run names none
        for output in getattr(getattr(run, "outputs", None), "model_outputs", None) or ():
            if output.model_id not in known:
                known.add(output.model_id)
                raw = client.get_logged_model(output.model_id)
                yield LoggedModel(raw.model_id, raw.name, run.info.run_id)


def _versions(client: MlflowClient, query: str) -> Iterator[ModelVersion]:
    for raw in pages(client.search_model_versions, filter_string=query):
        yield _version(raw)


def pages(search: Callable[..., Any], **query: Any) -> Iterator[Any]:
    """What a search of MLflow's client finds, page by page."""
    token: str | None = None
    while True:
        page = search(**query, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _quoted(ids: Sequence[str]) -> Iterator[str]:
    safe = [one for one in ids if _SAFE.fullmatch(one)]
    for start in range(0, len(safe), _MAX_IDS_PER_QUERY):
        yield ", ".join(f"'{one}'" for one in safe[start : start + _MAX_IDS_PER_QUERY])


def _version(raw: Any) -> ModelVersion:
    source = str(raw.source or "").removeprefix("models:/")
    model_id = getattr(raw, "model_id", None) or (source if _ID.fullmatch(source) else None)
    aliases: Iterable[str] = getattr(raw, "aliases", None) or ()
    return ModelVersion(
        raw.name, str(raw.version), raw.run_id or None, model_id, tuple(aliases), raw.source or ""
    )


def _logged(raw: Any) -> LoggedModel:
    where = raw.artifact_location or ""
    experiment = str(raw.experiment_id)
    return LoggedModel(raw.model_id, raw.name, raw.source_run_id or None, where, experiment)
