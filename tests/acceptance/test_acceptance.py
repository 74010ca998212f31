"""The promise: install, change nothing, and each run says which code and which data it saw."""

from __future__ import annotations

import hashlib
import json

import mlflow
import pytest
from conftest import Project, both_stores, lay_out

pytestmark = pytest.mark.hosts

OUT = "dvc.out."


def outs(run) -> dict[str, str]:
    return {key[len(OUT) :]: value for key, value in run.data.tags.items() if key.startswith(OUT)}


@both_stores
def test_plain_script(pipeline: Project, runs, attached):
    """A plain script's run has the commit, each cached output of the lock, and the lock itself."""
    pipeline.python("run.py")
    [run] = runs()
    tags = run.data.tags
    locked = pipeline.lock()
    del locked["metrics.json"]  # cache: false
    raw = hashlib.md5(b"a,b\n1,2\n").hexdigest()
    assert tags["git_sha"] == pipeline.git("rev-parse", "HEAD")
    assert tags["git_branch"] == "main"
    assert outs(run) == locked | {"data/raw.csv": raw}
    assert tags["dvc.data_status"] == "clean"
    assert tags["dvc.seal"] == "none"
    files = attached(run.info.run_id)
    lock = (pipeline.root / "dvc.lock").read_bytes()
    assert files["dvc.lock"] == lock
    assert tags["dvc.lock"] == hashlib.md5(lock).hexdigest()
    for name in ("dvc.yaml", "params.yaml", "data/raw.csv.dvc"):
        assert files[name] == (pipeline.root / name).read_bytes()
    snapshot = json.loads(files["snapshot.json"])
    assert snapshot["schema"] == 1
    assert {e["path"]: e["hash"] for e in snapshot["data"] if e["cached"]} == outs(run)


@both_stores
def test_found_by_hash(pipeline: Project, runs, tracking_uri):
    """The filters that people type find the run, across experiments."""
    pipeline.python("run.py")
    [run] = runs()
    md5 = outs(run)["data/prepared.csv"]
    for text in (
        f"tags.\"dvc.out.data/prepared.csv\" = '{md5}'",
        f"tags.`dvc.out.data/prepared.csv` = '{md5}'",
        f"tags.dvc.hashes LIKE '% {md5}%'",
        f"tags.dvc.hashes LIKE '% {md5[:7]}%'",
    ):
        found = mlflow.search_runs(
            filter_string=text, search_all_experiments=True, output_format="list"
        )
        assert [match.info.run_id for match in found] == [run.info.run_id], text


@both_stores
def test_first_repro(make_project, runs, attached, tracking_uri):
    """In the very first ``dvc repro`` the training run has what was made before it, and at its end
    what it made itself; nothing that comes after it."""
    project = make_project()
    lay_out(project)
    project.dvc("repro")
    [run] = runs()
    locked = project.lock()
    assert run.data.tags["dvc.stage"] == "train"
    assert run.data.tags["git_sha"] == project.git("rev-parse", "HEAD")
    assert outs(run) == {
        "data/raw.csv": hashlib.md5(b"a,b\n1,2\n").hexdigest(),
        "data/prepared.csv": locked["data/prepared.csv"],
        "data/parts": locked["data/parts"],
        "models/model.txt": locked["models/model.txt"],
    }
    assert run.data.tags["dvc.seal"] == "provisional"
    assert locked["data/parts"].endswith(".dir")
    assert "dvc.lock" in attached(run.info.run_id)


def test_no_stale_hash(pipeline: Project, runs):
    """Under ``dvc repro`` the lock still has the last run's model; a naive reader would tag it."""
    pipeline.env["MLFLOW_DVC_SEAL"] = "0"
    old = pipeline.lock()
    pipeline.write("data/raw.csv", "a,b\n3,4\n5,6\n")
    pipeline.dvc("add", "--quiet", "data/raw.csv")
    pipeline.dvc("repro")
    [run] = runs()
    new = pipeline.lock()
    assert {path for path in new if old[path] != new[path]} >= {"data/parts", "models/model.txt"}
    assert outs(run) == {
        "data/raw.csv": hashlib.md5(b"a,b\n3,4\n5,6\n").hexdigest(),
        "data/prepared.csv": new["data/prepared.csv"],
        "data/parts": new["data/parts"],
    }
    assert not set(old.values()) & set(run.data.tags["dvc.hashes"].split())


def test_script_stage(pipeline: Project, runs):
    """A script that one stage declares has the same data version by hand as under DVC."""
    pipeline.dvc("repro", "--force", "--single-item", "train", MLFLOW_DVC_SEAL="0")
    pipeline.python("src/train.py")
    repro, by_hand = runs()
    assert repro.data.tags["dvc.stage"] == "train"
    assert by_hand.data.tags["dvc.script_stage"] == "train"
    assert "dvc.stage" not in by_hand.data.tags
    assert by_hand.data.tags["dvc.data_version"] == repro.data.tags["dvc.data_version"]
    assert outs(by_hand) == outs(repro)
    assert "models/model.txt" not in outs(by_hand)


def test_data_version_follows_inputs(pipeline: Project, runs):
    """Another model changes nothing about a stage's data version; another input does."""
    pipeline.python("src/train.py")
    pipeline.write("params.yaml", "lr: 0.2\n")
    pipeline.dvc("repro")
    pipeline.write("data/raw.csv", "a,b\n1,3\n")
    pipeline.dvc("commit", "--force", "--quiet", "data/raw.csv.dvc")
    pipeline.dvc("repro")
    versions = [run.data.tags["dvc.data_version"] for run in runs()]
    assert len(versions) == 3
    assert versions[0] == versions[1] != versions[2]


@pytest.mark.parametrize("store", ["project"])
def test_looking_leaves_no_trace(pipeline: Project, runs, store):
    """Recording a run changes nothing in the work tree, the index or DVC's directory."""
    before = pipeline.git("status", "--porcelain=v2", "--ignored", "--untracked-files=all")
    index = (pipeline.root / ".git/index").read_bytes()
    pipeline.python("run.py")
    assert len(runs()) == 1
    assert pipeline.git("status", "--porcelain=v2", "--ignored", "--untracked-files=all") == before
    assert (pipeline.root / ".git/index").read_bytes() == index
