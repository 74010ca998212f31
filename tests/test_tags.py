"""Names and limits: what any MLflow store takes, and what can be read back."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlflow_dvc import tags as tag
from mlflow_dvc.snapshot import DataEntry, GitState, Snapshot, data_version, with_data_version

# As MLflow's own `_validate_tag_name` has it, on every version that we support.
MLFLOW_KEY = re.compile(r"^[/\w.\- ]*$")
MD5 = st.integers(0, 16**32 - 1).map("{:032x}".format)
PATHS = st.text(min_size=1, max_size=400).filter(lambda text: text.strip("/. "))
TREES = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join)
SHA = "b9d729067b0a4b1e8a7e2f2f4d39b9d729067b0a"


def entries(hashes: dict[str, str]) -> tuple[DataEntry, ...]:
    return tuple(DataEntry(path, "md5", md5, stage="s") for path, md5 in hashes.items())


@given(st.dictionaries(PATHS | TREES, MD5, max_size=60))
def test_keys_are_legal_everywhere(hashes):
    """Whatever the paths, keys pass MLflow's own check, fit PostgreSQL and can be file names."""
    made = tag.path_tags(tag.OUT, hashes)
    assert sorted(made.values()) == sorted(hashes.values()), "no tag is lost to another"
    for key in made:
        assert MLFLOW_KEY.match(key), key
        assert "\n" not in key
        assert posixpath.normpath(key) == key
        assert len(key) <= 250
        assert all(len(part.encode()) <= 255 for part in key.split("/"))
    keys = list(made)
    assert not any(other.startswith(f"{key}/") for key in keys for other in keys)


@given(st.from_regex(r"[\w\-]{1,20}(/[\w\-]{1,20}){0,3}\.csv", fullmatch=True))
def test_plain_paths_stand_as_they_are(path):
    """A path that is legal as it is can be typed as it is."""
    path = unicodedata.normalize("NFC", path)
    # Of a few letters NFC makes two characters, one of which is no letter.
    assume(re.fullmatch(r"[\w./\-]+", path))
    assert tag.path_tags(tag.OUT, {path: "x"}) == {f"dvc.out.{path}": "x"}


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("data/a(1).csv", "dvc.out.data/a_1_.csv-{}"),
        ("s3://bucket/key", "dvc.out.s3_/bucket/key-{}"),
        ("../outside", "dvc.out.../outside"),
        ("/absolute", "dvc.out./absolute"),
        ("e\u0301t\u00e9", "dvc.out.\u00e9t\u00e9"),
    ],
)
def test_keys_of_odd_paths(path, key):
    """An illegal character becomes ``_`` and the key ends in 8 digits of the true path's md5."""
    digest = hashlib.md5(path.encode()).hexdigest()[:8]
    assert list(tag.path_tags(tag.OUT, {path: "x"})) == [key.format(digest)]


def test_a_key_in_the_way_of_another():
    """The file store makes files of keys: one that is a folder of another's gets the suffix."""
    made = tag.path_tags(tag.OUT, {"data/raw": "1", "data/raw/a.csv": "2", "data/b": "3"})
    digest = hashlib.md5(b"data/raw").hexdigest()[:8]
    assert made == {
        f"dvc.out.data/raw-{digest}": "1",
        "dvc.out.data/raw/a.csv": "2",
        "dvc.out.data/b": "3",
    }


@given(st.lists(MD5, max_size=1200))
def test_hashes(hashes):
    """Each of the first 1,000 hashes stands once, with a space before it, in values that fit."""
    made = tag.hash_tags(hashes)
    assert list(made) == [tag.hashes_key(number + 1) for number in range(len(made))]
    assert all(len(value) <= 5000 and value.startswith(" ") for value in made.values())
    assert tag.hashes_in(made) == set(list(dict.fromkeys(hashes))[:1000])


def test_path_tags_are_counted():
    """50 outputs have a tag, inputs first, then by path; ``dvc.outs`` says how many there are."""
    hashes = {f"p{number:03}": f"{number:032x}" for number in range(70)}
    data = entries(hashes)
    read = (DataEntry("p069", "md5", hashes["p069"], stage="s", role="input"),)
    tags = tag.to_tags(Snapshot(root=".", stage="s", data=data, deps=read))
    outs = [key for key in tags if key.startswith(tag.OUT)]
    assert outs == ["dvc.out.p069", *(f"dvc.out.p{number:03}" for number in range(49))]
    assert tags[tag.OUTS] == "50 of 70"
    assert tag.hashes_in(tags) == set(hashes.values())


def test_what_is_no_fact_has_no_tag():
    """Stale, uncached and unknown hashes are in no tag: a naive writer would tag all three."""
    data = (
        DataEntry("stale", "md5", "a" * 32, certainty="stale"),
        DataEntry("uncached", "md5", "b" * 32, cached=False),
        DataEntry("unknown", "md5", None),
        DataEntry("fact", "md5", "c" * 32),
    )
    tags = tag.to_tags(Snapshot(root=".", data=data))
    assert tags == {"dvc.out.fact": "c" * 32, "dvc.hashes": " " + "c" * 32}


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,3})?", fullmatch=True), MD5, max_size=50)
)
def test_round_trip(hashes):
    """What tags hold is read back as it was, and makes the same tags again."""
    snapshot = Snapshot(
        git=GitState(SHA, "main", "v1-2-gb9d7290", dirty=True),
        root="sub",
        stage="train@a",
        experiment="exp-1",
        data=tuple(sorted(entries(hashes), key=lambda entry: entry.path)),
        data_version="0123456789ab",
        data_status="unverified",
        seal="none",
        lock="d" * 32,
    )
    tags = tag.to_tags(snapshot)
    back = tag.from_tags(tags)
    assert tag.to_tags(back) == tags
    assert {entry.path: entry.hash for entry in back.data} == hashes
    assert (back.git.sha, back.git.describe, back.git.dirty) == (SHA, "v1-2-gb9d7290", True)
    assert (back.root, back.stage, back.experiment) == ("sub", "train@a", "exp-1")
    assert json.loads(json.dumps(snapshot.to_dict())) == json.loads(
        json.dumps(Snapshot.from_dict(snapshot.to_dict()).to_dict())
    )


def test_values_are_text_that_fits():
    """Every value is a str of 5,000 characters at most: anything else breaks a user's start."""
    long = "x" * 9000
    snapshot = Snapshot(
        git=GitState(SHA, branch=long, describe=long, dirty=False, remote_url=long),
        root=long,
        stage=long,
        experiment=long,
        data=(DataEntry("p", "md5", "a" * 32, source=long),),
    )
    tags = tag.to_tags(snapshot) | tag.mlflow_git_tags(snapshot.git)
    assert all(isinstance(value, str) and 0 < len(value) <= 5000 for value in tags.values())


@given(st.dictionaries(st.text(max_size=250), st.text(max_size=5000), max_size=30))
def test_core_is_small(tags):
    """What the provider returns takes 16 KB of JSON at most, and is part of the whole."""
    kept = tag.limit_size(tags)
    assert len(json.dumps(kept)) <= 16_000
    assert kept.items() <= tags.items()


def test_tags_of_others_are_no_record():
    """A run without our tags reads back as nothing."""
    assert not tag.from_tags({"mlflow.user": "me", "git.commit": "x", "team": "dvc"})


def test_data_version():
    """The documented formula, and None rather than a guess where a hash is unknown."""
    data = (DataEntry("b", "md5", "2" * 32), DataEntry("a", "md5-dos2unix", "1" * 32))
    text = f"a\tmd5-dos2unix:{'1' * 32}\nb\tmd5:{'2' * 32}\n"
    assert data_version(data) == hashlib.sha256(text.encode()).hexdigest()[:12]
    assert data_version(()) is None
    assert data_version((*data, DataEntry("c", "md5", None))) is None
    read = tuple(replace(entry, role="input") for entry in data)
    made_never = DataEntry("c", "md5", None)
    snapshot = with_data_version(Snapshot(data=(*read, made_never)))
    assert snapshot.data_version == data_version(data)


@pytest.mark.parametrize("raw", [[], {"data": [{"nope": 1}]}, {"git": 5}, {"data": 7}])
def test_what_is_no_snapshot(raw):
    """What lies on a shared server and is no snapshot is refused as a ValueError."""
    with pytest.raises(ValueError, match="not a snapshot"):
        Snapshot.from_dict(raw)
