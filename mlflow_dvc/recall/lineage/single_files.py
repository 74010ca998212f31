"""Single files of folders: which folders hold them, and which runs were seen to read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from mlflow_dvc.enumeration import first_of
from mlflow_dvc.recall.lineage import nodes
from mlflow_dvc.recall.lineage.directories import DirectoryHit
from mlflow_dvc.recall.lineage.graph import GraphBuilder
from mlflow_dvc.recall.lineage.upstream import UpstreamTracer

if TYPE_CHECKING:
    from mlflow.entities import Run

_MAX_NAMED = 5


class FileTracer:
    """Adds files to a graph.

    A run that is known to have read none of them of a folder came of that folder, but not of them.
    """

    def __init__(self, graph: GraphBuilder, upstream: UpstreamTracer) -> None:
        self._graph = graph
        self._upstream = upstream
        self._untold: dict[str, list[Run]] = {}  # by the folder's key
        self.folders: dict[str, str] = {}  # their paths, by their keys

    def files(self, hits: Iterable[DirectoryHit]) -> Iterator[str]:
        """The key of each file, in each folder that it lies in."""
        for hit in hits:
            for run, _ in hit.seen:
                first = self._upstream.evidence_of(run)[0]
                folder = self._upstream.data(first, hit.folder.path, str(hit.folder.hash))
                self.folders[folder] = hit.folder.path
                files = {inside: self._file(hit, md5, inside) for md5, inside in hit.files}
                for file in files.values():
                    self._graph.link(file, folder, "part of")
                self._link(run, hit, folder, files)
                yield from files.values()

    def warn(self) -> None:
        """Name the runs of a folder of which nothing tells whether they read the files."""
        for folder, runs in self._untold.items():
            ids = [
                run.info.run_id
                for run in runs
                if any((folder, one) in self._graph.edges for one in self._readers(run))
            ]
            if ids:
                path, named = self.folders[folder], first_of(ids, _MAX_NAMED)
                self._graph.warn(f"nothing tells which files of {path} were read by {named}")

    def _link(self, run: Run, hit: DirectoryHit, folder: str, files: dict[str, str]) -> None:
        evidences = self._upstream.evidence_of(run)
        told = set()
        for inside, file in files.items():
            relations = {one.relation_to_file(hit.folder, inside) for one in evidences}
            if "read" in relations:
                self._graph.link(file, self._upstream.run(run), "read")
            is_told = relations.isdisjoint((None, "committed"))
            told.add("read" if "read" in relations else "lay there" if is_told else None)
        if None in told:
            self._untold.setdefault(folder, []).append(run)
        else:  # then it came of these files alone
            for reader in self._readers(run):
                self._graph.bar(folder, reader)

    def _readers(self, run: Run) -> set[str]:
        """The keys of the run, and of its stage: these read."""
        stages = (one.stage for one in self._upstream.evidence_of(run))
        run_id = run.info.run_id
        return {
            nodes.run_key(run_id),
            *(nodes.of_stage(stage, run_id).key for stage in stages if stage is not None),
        }

    def _file(self, hit: DirectoryHit, md5: str, inside: str) -> str:
        return self._graph.add(nodes.of_file(f"{hit.folder.path}/{inside}", md5))
