"""List and read the artifacts of a run that is at hand, with few requests.

By a run's id MLflow asks for the run itself up to twice at each step, only to learn where its
artifacts are. A run that was found says so.
"""

from __future__ import annotations

import inspect
import os
import posixpath
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlflow_dvc.errors import UnreadableRecordError
from mlflow_dvc.limits import (
    MAX_ARTIFACT_BYTES,
    MAX_ARTIFACT_DEPTH,
    MAX_ARTIFACTS,
    MAX_SNAPSHOT_BYTES,
)
from mlflow_dvc.scratch_folder import scratch_folder
from mlflow_dvc.tracking.archive import ARCHIVE, Archive, unpack_files
from mlflow_dvc.tracking.server import no_progress_bar, read_artifact, store_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import FileInfo, Run

# What a command has opened: it asks for one file after another.
_archives: dict[tuple[str, str, str, int | None], Archive] = {}
_MAX_ARCHIVES = 2  # `diff` looks at two runs
_MAX_RETRIES = 20  # files that did not come with their folder
_SERVED = "/api/2.0/mlflow-artifacts/artifacts"  # where a server has what it keeps itself
_PLAIN = re.compile(r"(?!.*\.\./)[\w/.@+=, -]+")  # MLflow takes other names for an attack
_UPLOADING = ".artifact.uploading."  # what MLflow was writing when it was killed; it lists none
_DIRECT = frozenset({"", "file", "s3", "gs", "http", "https", "mlflow-artifacts"})


def list_artifacts(client: MlflowClient, run: Run, folder: str) -> list[FileInfo]:
    """What lies in ``folder``; empty where there is no such folder."""
    import mlflow
    from mlflow.entities import FileInfo

    where = _address(client, run)
    if where is None:
        return list(client.list_artifacts(run.info.run_id, folder))
    if (local := _local_path(where, folder)) is not None:
        return list(_list_local(local, folder))
    uri = f"{where}/{folder}"
    found = mlflow.artifacts.list_artifacts(artifact_uri=uri, tracking_uri=client.tracking_uri)
    # Their paths begin above the last folder of the address, wherever that is.
    named = ((f"{folder}/{one.path.rpartition('/')[2]}", one) for one in found)
    return [FileInfo(path, one.is_dir, one.file_size) for path, one in named]


def read_listed(
    client: MlflowClient, run: Run, path: str, listing: list[FileInfo] | None = None
) -> bytes | None:
    """The artifact ``path``; None where it is not there. ``listing`` is that of its folder."""
    import mlflow

    where = _address(client, run)
    if where is None:
        return read_artifact(client, run.info.run_id, path)
    if listing is None:
        listing = list_artifacts(client, run, path.rpartition("/")[0])
    sizes = {entry.path: entry.file_size for entry in listing}
    if path not in sizes:
        return None
    if (sizes[path] or 0) > MAX_ARTIFACT_BYTES:
        raise ValueError(f"larger than {MAX_ARTIFACT_BYTES >> 20} MiB")
    if (local := _local_path(where, path)) is not None:
        return _read_local(local, sizes[path] or 0)
    with scratch_folder() as directory, no_progress_bar():
        found = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{where}/{path}", dst_path=directory, tracking_uri=client.tracking_uri
        )
        return Path(found).read_bytes()


def read_file(
    client: MlflowClient, run: Run, folder: str, path: str, listing: list[FileInfo] | None = None
) -> bytes | None:
    """The file ``path`` of the record in ``folder``, by itself or in the archive there.

    ``listing`` is that of the folder. None where there is no such file. Raises ValueError where
    that, or the archive, is not as we write it.
    """
    if listing is None:
        listing = list_artifacts(client, run, folder)
    first, inside, _ = path.partition("/")
    if any(entry.path == f"{folder}/{first}" for entry in listing):
        content = read_listed(client, run, f"{folder}/{path}", None if inside else listing)
        if content is not None:
            return content
    archive = open_archive(client, run, folder, listing)
    most = MAX_SNAPSHOT_BYTES if path == "snapshot.json" else MAX_ARTIFACT_BYTES
    return archive.read(path, most) if archive and path in archive.paths else None


def open_archive(
    client: MlflowClient, run: Run, folder: str, listing: list[FileInfo]
) -> Archive | None:
    """The archive of a record; None where it has none. Raises ValueError."""
    path = f"{folder}/{ARCHIVE}"
    entry = next((one for one in listing if one.path == path), None)
    if entry is None:
        return None
    key = (str(client.tracking_uri), run.info.run_id, path, entry.file_size)
    if key not in _archives:
        content = read_listed(client, run, path, listing)
        if len(_archives) >= _MAX_ARCHIVES:
            _archives.clear()
        _archives[key] = Archive(content or b"")
    return _archives[key]


def read_artifacts(
    client: MlflowClient, run: Run, folder: str
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Every file of ``folder``, by its path there, and the paths of those that cannot be had.

    Those in an archive are among them, and it is not.

    Raises UnreadableRecordError; where no file can be had, whatever MLflow raises.
    """
    run_id = run.info.run_id
    sizes = dict(walk(client, run, folder))
    if sum(sizes.values()) > MAX_ARTIFACT_BYTES:
        reason = f"it is larger than {MAX_ARTIFACT_BYTES >> 20} MiB"
        raise UnreadableRecordError(run_id, reason)
    where = _address(client, run)
    local = {path: _local_path(where, path) if where else None for path in sizes}
    with scratch_folder() as directory, no_progress_bar():
        if all(local.values()):
            failed = None
            found = {path: _content(local[path], size) for path, size in sizes.items()}
        else:
            failed = _download_folder(client, run_id, folder, directory)
            found = {path: _downloaded(directory, path) for path in sizes}
        missing = [path for path, content in found.items() if content is None]
        for path in missing[:_MAX_RETRIES]:
            found[path] = _download_file(client, run_id, path, directory)
        known = {path: content for path, content in found.items() if content is not None}
    # MLflow takes a name with a tab in it for an attack.
    unread = [path for path in missing if path not in known and path.isprintable()]
    if failed is not None and unread and not known:
        raise failed
    packed: dict[str, bytes] = {}
    left = MAX_ARTIFACT_BYTES
    for path in [path for path in known if path.rpartition("/")[2] == ARCHIVE]:
        try:
            files = unpack_files(known[path], left)
        except ValueError:
            unread.append(path)
            continue
        left -= sum(map(len, files.values()))
        packed |= {posixpath.join(posixpath.dirname(path), name): files[name] for name in files}
        del known[path]
    files = {path.removeprefix(f"{folder}/"): text for path, text in {**packed, **known}.items()}
    return files, tuple(path.removeprefix(f"{folder}/") for path in unread)


def _download_folder(
    client: MlflowClient, run_id: str, folder: str, directory: str
) -> Exception | None:
    """All in one go: MLflow takes 20 ms for a file by itself. What it raises is returned, as the
    other files are there nonetheless.
    """
    try:
        client.download_artifacts(run_id, folder, directory)
    except store_errors() as error:  # such as a name that MLflow takes for an attack
        return error
    return None


def _download_file(client: MlflowClient, run_id: str, path: str, directory: str) -> bytes | None:
    try:
        return Path(client.download_artifacts(run_id, path, directory)).read_bytes()
    except store_errors():
        return None


def _downloaded(directory: str, path: str) -> bytes | None:
    try:
        return Path(directory, path).read_bytes()
    except OSError:
        return None


def _content(path: str | None, size: int) -> bytes | None:
    try:
        return _read_local(path, size) if path is not None else None
    except (OSError, ValueError):
        return None


def walk(client: MlflowClient, run: Run, folder: str) -> Iterator[tuple[str, int]]:
    """The path and the size in bytes of every artifact below ``folder``.

    Raises UnreadableRecordError where there are more of them, or deeper, than in any record.
    """
    pending, seen = [folder], 0
    while pending:
        for entry in list_artifacts(client, run, pending.pop()):
            seen += 1
            if seen > MAX_ARTIFACTS:
                reason = f"more than {MAX_ARTIFACTS} files and folders lie in {folder}/"
                raise UnreadableRecordError(run.info.run_id, reason)
            if not entry.is_dir:
                yield entry.path, entry.file_size or 0
            elif entry.path.count("/") > MAX_ARTIFACT_DEPTH:
                reason = f"folders lie deeper than {MAX_ARTIFACT_DEPTH} in {folder}/"
                raise UnreadableRecordError(run.info.run_id, reason)
            else:
                pending.append(entry.path)


def artifact_repository(tracking_uri: str, artifact_uri: str) -> Any:
    """MLflow's own access to the artifacts of a run; None where it must be asked by the run's id.

    Older MLflow looks for a server's artifacts on the server of the process, whatever is said.
    """
    import mlflow
    from mlflow.store.artifact import artifact_repository_registry as registry

    if urlsplit(artifact_uri).scheme not in _DIRECT:
        return None
    make = registry.get_artifact_repository
    if "tracking_uri" in inspect.signature(make).parameters:
        return make(artifact_uri, tracking_uri=tracking_uri)
    return make(artifact_uri) if mlflow.get_tracking_uri() == tracking_uri else None


def _local_path(address: str, path: str) -> str | None:
    """Where on this machine ``path`` is: there MLflow takes five times as long as the system.

    None where it is elsewhere, or where MLflow has to judge it: a link may lead out, and some names
    are an attack.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("", "file") or parts.netloc or not _PLAIN.fullmatch(path):
        return None
    if posixpath.isabs(path) or posixpath.normpath(path) != path:
        return None
    found = parts.path
    for name in path.split("/"):
        found = os.path.join(found, name)
        if name == ".." or os.path.islink(found):
            return None
    return found


def _list_local(where: str, folder: str) -> Iterator[FileInfo]:
    """What lies at ``where``, the place of ``folder``."""
    from mlflow.entities import FileInfo

    if not os.path.isdir(where):
        return
    with os.scandir(where) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(_UPLOADING):
                continue
            is_folder = entry.is_dir()
            size = None if is_folder else entry.stat().st_size
            yield FileInfo(f"{folder}/{entry.name}", is_folder, size)


def _read_local(path: str, size: int) -> bytes:
    """Raises ValueError where more lies there than the listing says: it may be a device."""
    # A pipe would be waited for when it is opened.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("no file")
        content = file.read(size + 1) or b""
    if len(content) > size:
        raise ValueError("it grows")
    return content


def _address(client: MlflowClient, run: Run) -> str | None:
    """Where the artifacts of ``run`` are; None where only MLflow itself can put that together."""
    uri = run.info.artifact_uri or ""
    parts = urlsplit(uri)
    if not uri or parts.query or parts.fragment or "%" in uri or parts.scheme not in _DIRECT:
        return None
    if parts.scheme != "mlflow-artifacts":
        return str(uri).rstrip("/")
    server = str(client.tracking_uri)
    if parts.netloc or not server.startswith(("http://", "https://")):
        return None
    # Older MLflow looks for a server's artifacts on the server of the process, whatever is said.
    return f"{server.rstrip('/')}{_SERVED}{parts.path.rstrip('/')}"
