"""What a commit says of a run that was not recorded: claims of its DVC files, and nothing else.

The lock of a run is mostly committed after it, and data may have been changed before that. So
none of it is a fact about the run, and all of it is marked.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from mlflow_dvc.capture.claims import claim_data
from mlflow_dvc.capture.run_capture import DataCapture, RunCapture, files_read
from mlflow_dvc.capture.withheld_files import reasons_to_withhold
from mlflow_dvc.dvcfiles.discovery import PIPELINE_FILE
from mlflow_dvc.dvcfiles.lock_file import lock_path
from mlflow_dvc.dvcfiles.reader import ProjectReader
from mlflow_dvc.dvcfiles.reading import ProjectReading
from mlflow_dvc.dvcfiles.stages import PARAMS
from mlflow_dvc.git.code_files import is_program
from mlflow_dvc.git.repository import Repository
from mlflow_dvc.paths import parents
from mlflow_dvc.project import Project, relative
from mlflow_dvc.snapshot import DataEntry, GitState, Snapshot
from mlflow_dvc.visible_text import escape_hidden

_MAX_NAMED = 5
_NAMES = frozenset({PIPELINE_FILE, lock_path(PIPELINE_FILE), ".dvcignore", ".gitignore"})
_PARAMS_SUFFIXES = (".yaml", ".yml", ".json", ".toml", ".py")
_SETTINGS = "/.dvc/config"
_SOURCE = "mlflow.source.git.commit"  # who says that the run was at the commit
_RECONSTRUCTED = (
    "reconstructed after the run from what its commit says: which data the run read, and whether"
    " code or data differed from the commit, is not known"
)


class NotReconstructibleError(Exception):
    """Why a commit does not tell the record of a run, in words."""


@dataclass(frozen=True)
class RunOrigin:
    """Where a run says that it comes from. ``script`` is the program as it was called."""

    sha: str
    script: str | None = None
    branch: str | None = None
    remote_url: str | None = None


@dataclass(frozen=True)
class _Script:
    """``path`` is from the root of the repository, ``folder`` the working directory if it is told.

    ``warning`` says why it is not known, or not surely.
    """

    path: str | None = None
    folder: str | None = None
    warning: str = ""


class CommittedProject:
    """The DVC projects of one commit, laid out in ``folder``, an empty one, as long as it is there.

    Only DVC's files and those that may hold parameters are laid there. Raises GitError where git
    does not tell, OSError for names that cannot be written.
    """

    def __init__(self, repository: Repository, sha: str, folder: str) -> None:
        self._repository = repository
        self._sha = sha
        self._folder = os.path.realpath(folder)
        self._readings: dict[str, tuple[ProjectReading, Mapping[str, str]]] = {}
        self._captures: dict[tuple[str, _Script], RunCapture] = {}
        self._of_runs: dict[RunOrigin, RunCapture] = {}
        self._files = repository.blobs(sha)
        os.mkdir(os.path.join(self._folder, ".git"))  # ignore rules of git hold below it
        for path, content in self._named_files().items():
            self._lay(path, content)
        for root in self._roots:
            os.makedirs(os.path.join(self._folder, root, ".dvc"), exist_ok=True)

    def capture(self, origin: RunOrigin) -> RunCapture:
        """What the commit says of such a run; the same object for the same origin.

        Raises NotReconstructibleError.
        """
        if origin not in self._of_runs:
            script = self._find_script(origin.script)
            root = self._find_root(script)
            key = (root, script)
            if key not in self._captures:
                self._captures[key] = self._capture(root, script)
            git = GitState(
                self._sha,
                origin.branch,
                remote_url=origin.remote_url,
                source=_SOURCE,
                uncommitted=(),  # what is attached is what the commit has
            )
            self._of_runs[origin] = replace(self._captures[key], git=git)
        return self._of_runs[origin]

    # --- the folder ---

    @cached_property
    def _roots(self) -> list[str]:
        """The DVC projects, each by its folder; empty for the root of the repository."""
        found = (f"/{path}".partition("/.dvc/") for path in self._files)
        return sorted({before.lstrip("/") for before, dvc, _ in found if dvc})

    def _named_files(self) -> dict[str, bytes]:
        """DVC's files, and each file that may hold parameters and is named in a dvc.yaml."""
        found = self._read_files(filter(_is_of_dvc, self._files))
        pipelines = (path for path in found if posixpath.basename(path) == PIPELINE_FILE)
        said = b"\n".join([os.fsencode(PARAMS), *(found[path] for path in pipelines)])
        named = (
            path
            for path in self._files
            if path.endswith(_PARAMS_SUFFIXES) and os.fsencode(posixpath.basename(path)) in said
        )
        return {**self._read_files(named), **found}

    def _read_files(self, paths: Iterable[str]) -> dict[str, bytes]:
        blobs = {path: self._files[path] for path in paths}
        contents = self._repository.read_blobs(blobs.values())
        return {path: contents[blob] for path, blob in blobs.items()}

    def _lay(self, path: str, content: bytes) -> None:
        if _is_safe(path):
            where = os.path.join(self._folder, path)
            os.makedirs(os.path.dirname(where), exist_ok=True)
            with open(where, "wb") as file:
                file.write(content)

    def _lay_programs(self, root: str, reading: ProjectReading) -> None:
        """The names of programs in folders that stages read: these tell that the folder is code."""
        deps = {
            posixpath.normpath(posixpath.join(root, dep))
            for stage in reading.stages
            for dep in stage.deps
        }
        for path in self._files:
            is_laid = os.path.lexists(os.path.join(self._folder, path))
            if not is_laid and posixpath.dirname(path) in deps and is_program(path):
                self._lay(path, b"")

    # --- where a run was ---

    def _find_script(self, name: str | None) -> _Script:
        """The file of the commit that the program of a run was, if only one can have been."""
        if not name:
            return _Script()
        given = name.replace("\\", "/")  # of Windows
        is_absolute = given.startswith("/") or given[1:2] == ":"
        given = posixpath.normpath(given)
        inside = relative(given, self._repository.root)
        if is_absolute and inside in self._files:
            return _Script(inside)
        found = self._find_ends(given, is_absolute=is_absolute)
        named = escape_hidden(", ".join(sorted(found)[:_MAX_NAMED]))
        if len(found) != 1:
            return _Script(warning=f"which of these ran is not clear: {named}" if found else "")
        is_told = not is_absolute and not given.startswith("../")
        folder = found[0].removesuffix(given).rstrip("/") if is_told else None
        if folder in ("", *self._roots):
            return _Script(found[0], folder)
        by_its_end = f"its script is taken for {named}, by the end of {escape_hidden(given)}"
        return _Script(found[0], folder, by_its_end)

    def _find_ends(self, given: str, *, is_absolute: bool) -> list[str]:
        """The files that the program may have been, in a clone at whatever place, or seen from a
        folder of it.
        """
        if is_absolute:
            parts = given.split("/")
            tails = ("/".join(parts[at:]) for at in range(1, len(parts)))
            return [tail for tail in tails if tail in self._files]
        tail = _without_parents(given)
        return [path for path in self._files if f"/{path}".endswith(f"/{tail}")]

    def _find_root(self, script: _Script) -> str:
        """The DVC project of a run: as when it starts, above its working directory, else above its
        script.
        """
        roots = self._roots
        if not roots:
            raise NotReconstructibleError("its commit has no DVC project")
        named = ", ".join(root or "." for root in roots[:_MAX_NAMED])
        if script.path is None:
            if len(roots) > 1:
                raise NotReconstructibleError(
                    f"its commit has several DVC projects ({named}), and its script, by which one"
                    " is chosen, is not known"
                )
            return roots[0]
        if script.folder is not None and (found := _above(script.folder, roots)):
            return found[0]
        found = _above(posixpath.dirname(script.path), roots)
        if not found:
            where = f"{script.path} lies in no DVC project of its commit ({named})"
            raise NotReconstructibleError(where)
        if len(found) > 1 and script.folder is None:
            where = f"{script.path} lies in several DVC projects of its commit"
            raise NotReconstructibleError(f"{where}, and its working directory is not known")
        return found[0]

    # --- what it saw ---

    def _capture(self, root: str, script: _Script) -> RunCapture:
        reading, withheld = self._read(root)
        folder = self._folder
        project = Project(
            directory=os.path.join(folder, script.folder) if script.folder is not None else "",
            git_root=folder,
            dvc_root=reading.root,
            script=os.path.join(folder, script.path) if script.path else None,
        )
        # Whether data without a hash lay there, nobody knows: it counts as if it did.
        claims = claim_data(Snapshot(), project, reading, reading.unhashed)
        capture = RunCapture(DataCapture(project, reading), None, withheld=withheld)
        warnings = filter(None, (script.warning,))
        return capture.with_data(_reconstruct(claims, self._sha, warnings))

    def _read(self, root: str) -> tuple[ProjectReading, Mapping[str, str]]:
        """What DVC's files say, and which of them must not be attached."""
        if root not in self._readings:
            where = os.path.normpath(os.path.join(self._folder, root))
            reading = ProjectReader(where).read().with_templates(foreign=True)
            if not reading.stages and reading.warnings:
                faults = "; ".join(reading.warnings[:_MAX_NAMED])
                raise NotReconstructibleError(f"DVC's files in its commit cannot be read: {faults}")
            if not reading.dvc_files:
                raise NotReconstructibleError("its commit has no files of DVC's")
            self._lay_programs(root, reading)
            self._readings[root] = reading, reasons_to_withhold(files_read(reading))
        return self._readings[root]


def _reconstruct(claims: Snapshot, sha: str, warnings: Iterable[str]) -> Snapshot:
    """``claims`` as what the commit has, and nothing that was seen."""
    return replace(
        claims,
        data=tuple(map(_as_committed, claims.data)),
        deps=tuple(map(_as_committed, claims.deps)),
        data_version=None,
        committed_version=claims.data_version,
        reconstructed=sha,
        warnings=(_RECONSTRUCTED, *warnings, *claims.warnings),
    )


def _as_committed(entry: DataEntry) -> DataEntry:
    if entry.certainty == "stale":
        return entry
    return replace(entry, certainty="committed", state="unverified")


def _without_parents(path: str) -> str:
    while path.startswith("../"):
        path = path.removeprefix("../")
    return path


def _is_of_dvc(path: str) -> bool:
    name = posixpath.basename(path)
    return name in _NAMES or name.endswith(".dvc") or f"/{path}".endswith(_SETTINGS)


def _is_safe(path: str) -> bool:
    """A tree that git would not check out names folders above it."""
    return ".." not in path.split("/") and not os.path.isabs(path)


def _above(folder: str, roots: Iterable[str]) -> list[str]:
    """Those of ``roots`` that ``folder`` lies in, the nearest first."""
    known = frozenset(roots)
    return [one for one in _upwards(folder) if one in known]


def _upwards(folder: str) -> Iterator[str]:
    yield folder
    if folder:
        yield from parents(folder)
        yield ""
