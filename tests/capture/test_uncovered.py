"""What is not known of the data is said in the record, and nothing is called clean for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from conftest import FIVE_LINES, Project

from mlflow_dvc import tags as tag
from mlflow_dvc.snapshot import Snapshot

pytestmark = pytest.mark.hosts

Run = Callable[..., dict[str, str]]
TWO_RUNS = """\
import mlflow
from pathlib import Path
with mlflow.start_run():
    pass
Path({path!r}).write_text("late")
with mlflow.start_run():
    pass
"""


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def marks(text: str) -> str:
    other = text.replace("md5: ", "md5: 0", 1)
    return f"<<<<<<< HEAD\n{text}=======\n{other}>>>>>>> other\n"


# What DVC refuses, or nobody can read, in place of a sound `b.csv.dvc`.
REFUSED = {
    "merge marks": marks,
    "DVC 0.x": lambda text: f"md5: {'a' * 32}\n{text}relpath: b.csv\n",
    "no YAML": lambda text: text + "\t:\n- [",
    "not of the schema": lambda text: text.replace("outs:", "outputs:"),
    "no hash at all": lambda text: text.replace("md5: ", "etag2: "),
    "binary": lambda text: text + "\udcff",
}


@pytest.fixture
def project(make_project: Callable[..., Project], tracking_uri: str) -> Project:
    """Two tracked files, and a script that no stage declares."""
    project = make_project()
    for name in ("a.csv", "b.csv"):
        project.write(name, name)
    project.dvc("add", "--quiet", "a.csv", "b.csv")
    project.write("run.py", FIVE_LINES)
    project.commit("two files")
    return project


@pytest.fixture
def run(project: Project, runs: Callable[[], list[Any]]) -> Run:
    """``run()``: the tags of a new run of the script; what it warns of is no fault."""

    def start(script: str = "run.py") -> dict[str, str]:
        done = project.call("python", script)
        assert done.returncode == 0, done.stderr
        return dict(runs()[-1].data.tags)

    return start


def test_sound(run: Run):
    """Where everything is known, the run is clean, has a data version and no uncovered file."""
    tags = run()
    assert tags["dvc.data_status"] == "clean"
    assert "dvc.data_version" in tags
    assert "dvc.uncovered" not in tags


@pytest.mark.parametrize("fault", REFUSED)
def test_refused(project: Project, run: Run, attached, runs, fault: str):
    """One file that cannot be read: not clean, no version, the file named; the others stay."""
    path = project.root / "b.csv.dvc"
    path.write_text(REFUSED[fault](path.read_text()), errors="surrogateescape")
    for content in ("b.csv", "other"):
        project.write("b.csv", content)
        tags = run()
        assert tags["dvc.data_status"] == "unverified"
        assert "dvc.data_version" not in tags
        assert tags["dvc.uncovered"].startswith("b.csv.dvc: ")
        assert tags["dvc.out.a.csv"] == md5("a.csv")
        assert "dvc.out.b.csv" not in tags
    snapshot = json.loads(attached(runs()[-1].info.run_id)["snapshot.json"])
    assert [line.partition(": ")[0] for line in snapshot["uncovered"]] == ["b.csv.dvc"]


def test_only_one(project: Project, run: Run):
    """Where the only DVC file cannot be read, the run is not clean either."""
    (project.root / "a.csv.dvc").unlink()
    path = project.root / "b.csv.dvc"
    path.write_text(marks(path.read_text()))
    assert run()["dvc.data_status"] == "unverified"


def test_modified_comes_first(project: Project, run: Run):
    """What is known to be modified is said, whatever else is unknown."""
    path = project.root / "b.csv.dvc"
    path.write_text(marks(path.read_text()))
    project.write("a.csv", "another")
    tags = run()
    assert tags["dvc.data_status"] == "modified"
    assert "dvc.data_version" not in tags


def test_without_a_hash(project: Project, run: Run):
    """Tracked data that DVC has no hash of, and that lies there, is an input nobody knows."""
    project.write("c.csv.dvc", "outs:\n- hash: md5\n  path: c.csv\n")
    sound = run()
    assert sound["dvc.data_status"] == "clean"  # it was never made
    project.write("c.csv", "lies there")
    tags = run()
    assert tags["dvc.data_status"] == "unverified"
    assert "dvc.data_version" not in tags
    assert tags["dvc.uncovered"].startswith("c.csv: ")


def test_comes_between_two_runs(project: Project, run: Run, runs):
    """Data without a hash that appears in the life of a process counts from then on."""
    project.write("c.csv.dvc", "outs:\n- hash: md5\n  path: c.csv\n")
    project.write("two.py", TWO_RUNS.format(path="c.csv"))
    run("two.py")
    first, second = (found.data.tags for found in runs()[-2:])
    assert "dvc.data_version" in first
    assert "dvc.data_version" not in second
    assert second["dvc.uncovered"].startswith("c.csv: ")


def test_stage_that_reads_something_else(pipeline: Project, runs):
    """A stage whose inputs are all known is clean, whatever else of the project is not."""
    pipeline.write("broken.dvc", "outs: [\n")
    pipeline.write("params.yaml", "lr: 0.7\n")
    pipeline.git("add", "--all")
    tags = run_of_stage(pipeline, runs)
    assert tags["dvc.uncovered"].startswith("broken.dvc: ")
    assert tags["dvc.data_status"] == "clean"
    assert "dvc.data_version" in tags


def run_of_stage(pipeline: Project, runs: Callable[[], list[Any]]) -> dict[str, str]:
    """Of the stage train, run by hand: DVC itself would refuse the project."""
    done = pipeline.call("python", "src/train.py")
    assert done.returncode == 0, done.stderr
    tags = dict(runs()[-1].data.tags)
    assert tags["dvc.script_stage"] == "train"
    return tags


def test_dependency_that_is_not_known(pipeline: Project, runs):
    """A dependency whose own DVC file is refused: its hash is that on disk, but not clean."""
    file = pipeline.root / "data/raw.csv.dvc"
    file.write_text(marks(file.read_text()))
    pipeline.write("src/prepare.py", FIVE_LINES)
    done = pipeline.call("python", "src/prepare.py")
    assert done.returncode == 0, done.stderr
    tags = dict(runs()[-1].data.tags)
    assert tags["dvc.script_stage"] == "prepare"
    assert tags["dvc.data_status"] == "unverified"
    assert tags["dvc.dep.data/raw.csv"] == md5((pipeline.root / "data/raw.csv").read_text())


def test_hidden_by_git(project: Project, run: Run, runs):
    """A DVC file that git has, and whose folder a rule hides from DVC, is named in the record."""
    project.write(".gitignore", "data/*\n!data/*.dvc\n")
    project.write("data/c.csv", "c")
    project.write(
        "data/c.csv.dvc", f"outs:\n- md5: {md5('c')}\n  size: 1\n  hash: md5\n  path: c.csv\n"
    )
    project.commit("hidden")
    assert "data/c.csv.dvc" in project.git("ls-files")
    tags = run()
    assert tags["dvc.uncovered"].startswith("data/c.csv.dvc: ")
    assert tags["dvc.data_status"] == "unverified"
    assert "dvc.data_version" not in tags
    done = project.cli("verify", runs()[-1].info.run_id, "--json")
    assert done.returncode == 2
    items = json.loads(done.stdout)["runs"][0]["items"]
    [item] = [item for item in items if item["name"] == "data/c.csv.dvc"]
    assert (item["part"], item["verdict"]) == ("data", "UNVERIFIED")


def test_hidden_on_purpose(project: Project, run: Run):
    """What a .dvcignore hides is left out on purpose, and so is another project below this one."""
    project.write("data/c.csv.dvc", f"outs:\n- md5: {md5('c')}\n  hash: md5\n  path: c.csv\n")
    project.write(".dvcignore", "data\n")
    project.write("below/.dvc/config", "")
    project.write("below/d.csv.dvc", "outs: [\n")
    project.commit("left out")
    tags = run()
    assert "dvc.uncovered" not in tags
    assert tags["dvc.data_status"] == "clean"


def test_round_trip():
    """The tag names as many as fit, one in a line, and reads back."""
    few = Snapshot(root=".", uncovered=("a.dvc: refused", "b: no hash"))
    assert tag.to_tags(few)["dvc.uncovered"] == "a.dvc: refused\nb: no hash"
    assert tag.from_tags(tag.to_tags(few) | {"dvc.seal": "none"}).uncovered == few.uncovered
    many = Snapshot(
        root=".", uncovered=tuple(f"{'x' * 40}{number}: refused" for number in range(500))
    )
    value = tag.to_tags(many)["dvc.uncovered"]
    assert len(value) <= tag.MAX_VALUE_CHARACTERS
    assert value.splitlines()[-1].endswith(" more")
