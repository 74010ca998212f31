"""The archive that most files of a record lie in."""

from __future__ import annotations

import io
import zipfile

import pytest
from attacks.kinds.archives import ARCHIVES

from mlflow_dvc.tracking.archive import ARCHIVE, VISIBLE, pack_files, pack_record, unpack_files

FILES = {
    "dvc.yaml": b"stages: {}\n",
    "data/raw \u00e9t\u00e9.csv.dvc": b"outs: []\n",
    "empty.dvc": b"",
}


def test_round_trip():
    """What is packed comes back, the same files make the same archive, and any program opens it."""
    content = pack_files(FILES)
    assert unpack_files(content) == FILES
    assert pack_files(dict(reversed(FILES.items()))) == content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None


def test_what_stays_apart():
    """What people look at is no part of it, nor is what an archive would not give back."""
    odd = {"../other/dvc.yaml": b"a", "data/\udcff.dvc": b"b", "a\\b.dvc": b"c"}
    found = pack_record(FILES | dict.fromkeys(VISIBLE, b"page") | odd)
    assert unpack_files(found.pop(ARCHIVE)) == FILES
    assert found == dict.fromkeys(VISIBLE, b"page") | odd
    assert pack_record({"dvc.lock": b"lock"}) == {"dvc.lock": b"lock"}


# Nothing is wrong with these as archives: what they hold is looked at where it is used.
SOUND = {"part", "snapshot", "archive"}


@pytest.mark.parametrize("name", ARCHIVES)
def test_hostile(name: str):
    """An archive that is not as one is written for a record gives nothing, or just its files."""
    content = ARCHIVES[name]()
    if name in SOUND | {"twice"}:
        assert len(unpack_files(content)) == 1 + (name == "part")
    else:
        with pytest.raises(ValueError, match=r"^it "):
            unpack_files(content)
