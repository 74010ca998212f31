"""Where a model, a run or data came from, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mlflow_dvc import tracking
from mlflow_dvc.errors import RunNotFoundError
from mlflow_dvc.recall.lineage import nodes
from mlflow_dvc.recall.lineage.downstream import DownstreamTracer, add_version
from mlflow_dvc.recall.lineage.find_data import DataMatch, find_data
from mlflow_dvc.recall.lineage.graph import Edge as Edge
from mlflow_dvc.recall.lineage.graph import GraphBuilder
from mlflow_dvc.recall.lineage.graph import Lineage as Lineage
from mlflow_dvc.recall.lineage.graph import Node as Node
from mlflow_dvc.recall.lineage.single_files import FileTracer
from mlflow_dvc.recall.lineage.upstream import UpstreamTracer

_RUN_ID = re.compile(r"[0-9a-f]{1,32}")
_LOGGED_MODEL = re.compile(r"(?:models:/)?(m-[0-9a-f]+)")


def lineage(what: str, *, project: str | None = None, tracking_uri: str | None = None) -> Lineage:
    """Where ``what`` came from, up to raw data and imports, and what came of it, down to models.

    ``what`` is a run as :func:`~mlflow_dvc.show` takes it, or data as :func:`~mlflow_dvc.search`
    does. A single file is looked for inside folders too, whose listings the cache and the
    remotes of the DVC project around the directory ``project`` (by default the working one) have.
    The answer is falsy where no run saw it.

    Raises :class:`~mlflow_dvc.RunNotFoundError` for a model that is not there,
    :class:`~mlflow_dvc.AmbiguousRunError` or :class:`~mlflow_dvc.TrackingUnavailableError`.

    >>> graph = mlflow_dvc.lineage("data/raw/train.csv")
    >>> [node.name for node in graph.nodes if node.kind == "model version"]
    ['churn/3']
    """
    what = tracking.as_reference(what)
    asked = _LineageQuery(what, project, tracking_uri)
    with tracking.one_client(tracking_uri):
        if logged := _LOGGED_MODEL.fullmatch(what):
            subjects = asked.logged_model(logged[1])
        elif what.startswith("models:/"):
            subjects = asked.version()
        else:
            is_id = _RUN_ID.fullmatch(what)
            meanings = (asked.run, asked.data) if is_id else (asked.data, asked.run)
            subjects = next(filter(None, (meaning() for meaning in meanings)), [])
    return asked.graph.about(what, subjects)


class _LineageQuery:
    """The graph grows from what is asked for; each kind of it gives the keys of its nodes."""

    def __init__(self, what: str, project: str | None, tracking_uri: str | None) -> None:
        self.graph = GraphBuilder()
        self._what = what
        self._project = project
        self._uri = tracking_uri
        self._upstream = UpstreamTracer(self.graph, tracking_uri)
        self._downstream = DownstreamTracer(self.graph, self._upstream, tracking_uri)

    def version(self) -> list[str]:
        version = tracking.get_version(self._what, self._uri)
        run_id = version.run_id
        if version.model_id:
            run_id = self._logged(version.model_id) or run_id
        key = add_version(self.graph, version)
        self._come_from(run_id)
        return [key]

    def logged_model(self, model_id: str) -> list[str]:
        run_id = self._logged(model_id)
        if run_id and self._come_from(run_id):
            self._downstream.models([tracking.get_run(run_id, self._uri)])
        return [nodes.model_key(model_id)]

    def run(self) -> list[str]:
        """Empty where there is no such run."""
        try:
            run = tracking.find_run(self._what, self._uri)
        except RunNotFoundError:
            return []
        key = self._upstream.run(run)
        self._downstream.runs([run])
        return [key]

    def data(self) -> list[str]:
        found = find_data(self._what, self._project, self._uri)
        for warning in found.warnings:
            self.graph.warn(warning)
        keys = list(dict.fromkeys(self._seen(found)))
        inside = FileTracer(self.graph, self._upstream)
        files = list(dict.fromkeys(inside.files(found.hits)))
        folders = list(inside.folders)
        seen = [*found.seen, *(one for holder in found.hits for one in holder.seen)]
        self._downstream.data([*keys, *files, *folders], seen)
        inside.warn()
        return list(dict.fromkeys([*keys, *files, *folders]))

    def _seen(self, found: DataMatch) -> Iterable[str]:
        """The data that runs saw as it was asked for, with all that it came from."""
        for run, told in found.seen:
            for evidence in self._upstream.evidence_of(run):
                exact = [one for one in evidence.observed_data if found.query.matches(one)]
                for entry in exact or told:
                    if entry.hash:
                        yield self._upstream.data(evidence, entry.path, entry.hash)

    def _logged(self, model_id: str) -> str | None:
        """Add a logged model; the id of its run."""
        model = tracking.get_logged_model(model_id, self._uri)
        key = self.graph.add(nodes.of_logged_model(model))
        if model.run_id:
            self.graph.link(nodes.run_key(model.run_id), key, "logged")
        return model.run_id

    def _come_from(self, run_id: str | None) -> bool:
        if not run_id:
            self.graph.warn("that model was not logged in a run")
            return False
        self._upstream.run(tracking.get_run(run_id, self._uri))
        return True
