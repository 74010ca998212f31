"""Which hash and which size a DVC file gives an output. The rules of ``dvc/output.py``."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mlflow_dvc.dvcfiles.locked_dataset import dataset_name, locked_version
from mlflow_dvc.foreign_values import as_count

Raw = Mapping[str, Any]

_MD5 = re.compile(r"[0-9a-f]{32}(?:\.dir)?")
_MAX_HASH_CHARACTERS = 1000
_HASH_NAMES = ("md5", "etag", "checksum")
# The name under which each kind of storage keeps a hash of its own (PARAM_CHECKSUM in DVC).
_STORAGE_HASH = {
    **dict.fromkeys(("s3", "gs", "azure", "oss", "webdav", "webdavs"), "etag"),
    **dict.fromkeys(("http", "https", "hdfs", "webhdfs", "gdrive"), "checksum"),
}
# Where an output may lie; "remote" is a storage that DVC's configuration names.
SCHEMES = frozenset({*_STORAGE_HASH, "ssh", "remote", "ds"})


def output_hash(path: str, shown: str, info: Raw) -> tuple[str, Any]:
    """DVC's name for the hash of the output ``path``, and the raw hash value.

    ``shown`` is the path seen from the DVC root. A hash of an output within the project has its
    name beside it; an md5 without one is md5-dos2unix. Of a DVC dataset it is the locked version.
    """
    if dataset_name(path):
        dataset = info.get("dataset")
        return locked_version(dataset if isinstance(dataset, Mapping) else {})
    merged = _with_cloud(info)
    algorithm = _algorithm(path, shown, merged)
    field = _field(algorithm)
    if files := info.get("files"):
        return algorithm, _directory_hash([_with_cloud(file) for file in files], field)
    value = merged.get(field)
    return algorithm, None if value == "" else value


def output_size(info: Raw) -> tuple[int | None, int | None]:
    """Bytes, and the number of files in a directory; None for what the file does not say."""
    if files := info.get("files"):
        sizes = (_count(_with_cloud(file).get("size")) for file in files)
        return sum(filter(None, sizes)), len(files)
    merged = _with_cloud(info)
    return _count(merged.get("size")), _count(merged.get("nfiles"))


def _count(value: Any) -> int | None:
    """None for a number that nothing has: a record with it would not be read."""
    try:
        return as_count(value)
    except ValueError:
        return None


def is_hash(algorithm: str, value: Any) -> bool:
    if not isinstance(value, str):  # a number has lost its zeros
        return False
    if algorithm.startswith("md5"):
        return bool(_MD5.fullmatch(value))
    return 0 < len(value) <= _MAX_HASH_CHARACTERS and value.isprintable() and " " not in value


def _algorithm(path: str, shown: str, info: Raw) -> str:
    if not _is_outside(path, shown):
        # no hash yet: the algorithm that DVC would use
        return str(info.get("hash") or "md5-dos2unix") if info else "md5"
    scheme = path.partition("://")[0] if "://" in path else "local"
    if scheme == "remote":  # of which kind only DVC's configuration tells
        return next((name for name in _HASH_NAMES if info.get(name)), "md5")
    return _STORAGE_HASH.get(scheme, "md5")


def _field(algorithm: str) -> str:
    return "md5" if algorithm == "md5-dos2unix" else algorithm


def _directory_hash(files: Sequence[Raw], field: str) -> str:
    """The ``.dir`` hash of a list of files, which a cloud-versioned directory has in its place.

    It is the md5 of the JSON that DVC keeps for a directory (``dvc_data/hashfile/tree.py``).
    """
    listed = {str(file.get("relpath")): file.get(field) for file in files}
    rows = [
        {field: value, "relpath": path} if value else {"relpath": path}
        for path, value in sorted(listed.items())
    ]
    text = json.dumps(rows, sort_keys=True).encode()
    return hashlib.md5(text, usedforsecurity=False).hexdigest() + ".dir"


def _with_cloud(info: Raw) -> Raw:
    """A cloud-versioned entry keeps what it knows under the name of its remote."""
    cloud = info.get("cloud")
    return {**info, **next(iter(cloud.values()))} if cloud else info


def _is_outside(path: str, shown: str) -> bool:
    return "://" in path or os.path.isabs(shown) or shown == ".." or shown.startswith("../")
