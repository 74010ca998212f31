"""One artifact that holds the files of a project: over a network each artifact is a request.

Any program opens it. What lies beside it, at the path of one of its files, is newer.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from mlflow_dvc.limits import MAX_ARCHIVE_INDEX_BYTES, MAX_ARTIFACT_BYTES, MAX_ARTIFACTS, MIB
from mlflow_dvc.paths import is_inside

ARCHIVE = "project.zip"
# Of the files of a record: what people look at, and what other programs look for.
VISIBLE = frozenset({
    "dvc.lock", "snapshot.json", "record.md", "report.html", "code.patch", "reads.json",
})  # fmt: skip
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_END_BYTES = 22  # of an archive without a comment
_END, _END_OF_LARGE = b"PK\5\6", b"PK\6\7"


def pack_record(files: Mapping[str, bytes], apart: Collection[str] = VISIBLE) -> dict[str, bytes]:
    """The artifacts for ``files``: those ``apart`` as they are, the others in the archive."""
    found = unpacked(files, apart)
    packed = {path: files[path] for path in files if path not in found}
    return {**found, ARCHIVE: pack_files(packed)} if packed else found


def unpacked(files: Mapping[str, bytes], apart: Collection[str] = VISIBLE) -> dict[str, bytes]:
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


def unpack_files(content: bytes, most: int = MAX_ARTIFACT_BYTES) -> dict[str, bytes]:
    """All files in an archive of at most so many bytes. Raises ValueError."""
    archive = Archive(content, most)
    return {path: archive.read(path) for path in archive.paths}


class Archive:
    """An archive, which may be anybody's. No more of it is unpacked than is asked for.

    Raises ValueError for what is not written so for a record, or holds more than ``most`` bytes.
    """

    def __init__(self, content: bytes, most: int = MAX_ARTIFACT_BYTES) -> None:
        end = content[-_END_BYTES:]
        if end[:4] != _END or end[-2:] != b"\0\0" or content[-42:-38] == _END_OF_LARGE:
            raise ValueError("it is no zip archive as it is written for a record")
        if int.from_bytes(end[12:16], "little") > MAX_ARCHIVE_INDEX_BYTES:
            raise ValueError(f"it lists more than {MAX_ARTIFACTS} files")
        with _as_value_error():
            self._file = zipfile.ZipFile(io.BytesIO(content))
        entries = [entry for entry in self._file.infolist() if not entry.is_dir()]
        _check(entries, most)
        self._entries = {entry.filename: entry for entry in entries}

    @property
    def paths(self) -> Collection[str]:
        return self._entries.keys()

    def read(self, path: str, most: int = MAX_ARTIFACT_BYTES) -> bytes:
        """A file of at most so many bytes.

        Of as many as it says itself: asked for all of it, zipfile unpacks a gigabyte first.
        """
        entry = self._entries[path]
        if entry.file_size > most:
            raise ValueError(f"larger than {most // MIB} MiB")
        with _as_value_error(), self._file.open(entry) as file:
            return file.read(entry.file_size or 1)


@contextmanager
def _as_value_error() -> Iterator[None]:
    """What is damaged makes zipfile raise a dozen kinds of errors."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"it is no zip archive that could be read: {error!r}") from error


def _check(entries: Sequence[zipfile.ZipInfo], most: int) -> None:
    if len(entries) > MAX_ARTIFACTS:
        raise ValueError(f"it lists more than {MAX_ARTIFACTS} files")
    if sum(entry.file_size for entry in entries) > most:
        raise ValueError(f"it holds more than {most // MIB} MiB")
    for entry in entries:
        if not is_inside(entry.filename):
            raise ValueError(f"it names a file outside of the project: {entry.filename!r}")
        if entry.compress_type not in _METHODS:
            raise ValueError(f"it is packed in a way that is not read: {entry.compress_type}")


def _is_packable(path: str) -> bool:
    """Whether an archive gives the name back: its names are text, and lie in it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return is_inside(path)
