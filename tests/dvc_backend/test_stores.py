"""What a store lists as the files of a folder, which may be anybody's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from dvc_data.hashfile.db.local import LocalHashFileDB
from dvc_objects.fs.local import LocalFileSystem

from mlflow_dvc.dvc_backend.storage.stores import read_listing

MD5 = "0123456789abcdef0123456789abcdef"
ROW = {"md5": MD5, "relpath": "a/b.csv"}


@pytest.mark.parametrize(
    "odd",
    [
        *({"md5": MD5, "relpath": name} for name in ("", ".", "a/..", "../c", "/c", ".git/config")),
        *({"md5": value, "relpath": "c"} for value in ("", "..", f"../../{MD5}", f"{MD5}.dir")),
        {"relpath": "c"},
        {"md5": MD5},
        {"md5": None, "relpath": "c"},
        "c",
    ],
)
def test_odd_rows(tmp_path: Path, odd: object):
    """A listing is refused whole where one row is no file inside the folder with its hash."""
    odb = LocalHashFileDB(LocalFileSystem(), str(tmp_path))
    assert read_listing(odb, _store(odb, [ROW])) == [ROW]
    for rows in ([odd, ROW], [ROW, odd]):
        with pytest.raises(ValueError, match=r"no list of files|no file inside of it"):
            read_listing(odb, _store(odb, rows))


def _store(odb: LocalHashFileDB, rows: list[object]) -> str:
    content = json.dumps(rows).encode()
    value = hashlib.md5(content).hexdigest() + ".dir"
    path = Path(odb.oid_to_path(value))
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return value
