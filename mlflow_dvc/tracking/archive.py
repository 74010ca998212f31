"""One artifact that holds the files of a project: over a network each artifact is a request.

Any program opens it. What lies beside it, at the path of one of its files, is newer.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Mapping

from mlflow_dvc.limits import MAX_ARCHIVE_INDEX_BYTES, MAX_ARTIFACT_BYTES, MAX_ARTIFACTS, MIB
from mlflow_dvc.paths import is_inside

ARCHIVE = "project.zip"
# Of the files of a record: what people look at, and what other programs look for.
PEOPLES = frozenset({"dvc.lock", "snapshot.json", "record.md", "report.html", "code.patch"})
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_END_BYTES = 22  # of an archive without a comment
_END, _END_OF_LARGE = b"PK\5\6", b"PK\6\7"


def pack_record(files: Mapping[str, bytes], apart: Collection[str] = PEOPLES) -> dict[str, bytes]:
    """The artifacts for ``files``: those ``apart`` as they are, the others in the archive."""
    found = unpacked(files, apart)
    packed = {path: files[path] for path in files if path not in found}
    return {**found, ARCHIVE: pack_files(packed)} if packed else found


def unpacked(files: Mapping[str, bytes], apart: Collection[str] = PEOPLES) -> dict[str, bytes]:
    """Those of ``files`` that are no part of the archive."""
    return {path: files[path] for path in files if path in apart or not _is_packable(path)}


def pack_files(files: Mapping[str, bytes]) -> bytes:
    """An archive, the same for the same files."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path)  # of the year 1980
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[path])
    return found.getvalue()


def unpack_files(content: bytes) -> dict[str, bytes]:
    """The files in an archive, which may be anybody's. Raises ValueError."""
    end = content[-_END_BYTES:]
    if end[:4] != _END or end[-2:] != b"\0\0" or content[-42:-38] == _END_OF_LARGE:
        raise ValueError("it is no zip archive as it is written for a record")
    if int.from_bytes(end[12:16], "little") > MAX_ARCHIVE_INDEX_BYTES:
        raise ValueError(f"it lists more than {MAX_ARTIFACTS} files")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _check(entries)
            return {entry.filename: _read(archive, entry) for entry in entries}
    except ValueError:
        raise
    except Exception as error:  # zipfile raises a dozen kinds for what is damaged
        raise ValueError(f"it is no zip archive that could be read: {error!r}") from error


def _check(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ARTIFACTS:
        raise ValueError(f"it lists more than {MAX_ARTIFACTS} files")
    if sum(entry.file_size for entry in entries) > MAX_ARTIFACT_BYTES:
        raise ValueError(f"it holds more than {MAX_ARTIFACT_BYTES // MIB} MiB")
    for entry in entries:
        if not is_inside(entry.filename):
            raise ValueError(f"it names a file outside of the project: {entry.filename!r}")
        if entry.compress_type not in _METHODS:
            raise ValueError(f"it is packed in a way that is not read: {entry.compress_type}")


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """As much as it says itself: asked for all of it, zipfile unpacks a gigabyte first."""
    with archive.open(entry) as file:
        return file.read(entry.file_size or 1)


def _is_packable(path: str) -> bool:
    """Whether an archive gives the name back: its names are text, and lie in it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return is_inside(path)
