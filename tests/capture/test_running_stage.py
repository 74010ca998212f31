"""Which stage runs, and what follows for the record: rules that a plain reader gets wrong."""

from __future__ import annotations

import json
import os

import pytest
from conftest import FIVE_LINES, Project

pytestmark = pytest.mark.hosts

OUT = "dvc.out."


def outs(run) -> set[str]:
    return {key[len(OUT) :] for key in run.data.tags if key.startswith(OUT)}


def writes(path: str) -> str:
    """A script that starts a run and then writes something new to ``path``."""
    return FIVE_LINES + f"import uuid\nopen({path!r}, 'w').write(str(uuid.uuid4()))\n"


@pytest.fixture
def recorded(runs):
    """``recorded()``: the runs that were started with the plugin on."""
    return lambda: [run for run in runs() if "dvc.data_status" in run.data.tags]


@pytest.fixture
def project(make_project, runs) -> Project:
    project = make_project()
    project.write("data/raw.csv", "a,b\n")
    project.dvc("add", "--quiet", "data/raw.csv")
    project.write("src/train.py", writes("model.txt"))
    return project


def pipeline(project: Project, text: str, path: str = "dvc.yaml") -> None:
    project.write(path, text)
    project.dvc("repro", MLFLOW_DVC_ENABLED="0")
    project.commit("reproduced")


def test_equally_named_stages(project: Project, recorded):
    """Of two stages with one name no previous output is tagged, wherever their commands work."""
    project.write("sub/train.py", writes("../sub.txt"))
    pipeline(
        project,
        "stages:\n  train:\n    cmd: cd sub && python train.py\n"
        "    deps: [data/raw.csv]\n    outs: [sub.txt]\n",
    )
    project.write("sub/model.txt", "m")
    project.write(
        "sub/dvc.yaml", "stages:\n  train:\n    cmd: python train.py\n    outs: [model.txt]\n"
    )
    project.dvc("repro", "--force", "dvc.yaml:train")
    [run] = recorded()
    assert "sub.txt" not in outs(run)
    assert run.data.tags.get("dvc.stage") in (None, "train")


def test_stage_address_from_below(project: Project, recorded):
    """``dvc repro`` called in a sub-directory names its stage by a path that we do not know."""
    project.env["MLFLOW_DVC_SEAL"] = "0"
    project.write("sub/train.py", writes("model.txt"))
    text = (
        "stages:\n  fit:\n    cmd: python train.py\n    deps: [train.py]\n    outs: [model.txt]\n"
    )
    pipeline(project, "stages: {}\n")
    project.write("sub/dvc.yaml", text)
    project.run("dvc", "repro", cwd=project.root / "sub")
    project.run("dvc", "repro", "--force", "sub/dvc.yaml")
    for run in recorded():
        assert run.data.tags["dvc.stage"] == "sub/dvc.yaml:fit"
        assert outs(run) == {"data/raw.csv"}


def test_foreach_stage_that_runs(project: Project, recorded):
    """Under a stage that DVC made of a template, its own previous output is not tagged."""
    text = (
        "stages:\n  each:\n    foreach: [a, b]\n    do:\n"
        "      cmd: python src/train.py && mv model.txt ${item}.txt\n"
        "      deps: [data/raw.csv]\n      outs: ['${item}.txt']\n"
    )
    pipeline(project, text)
    project.dvc("repro", "--force", "each@b")
    [run] = recorded()
    assert run.data.tags["dvc.stage"] == "each@b"
    assert outs(run) == {"data/raw.csv", "a.txt"}


def test_foreign_stage(project: Project, make_project, recorded):
    """A script of one project, started by a stage of another, is no stage of its own project."""
    pipeline(
        project,
        "stages:\n  train:\n    cmd: python src/train.py\n    outs: [model.txt]\n",
    )
    script = project.root / "src/train.py"
    other = make_project("other")
    other.write(
        "dvc.yaml",
        f"stages:\n  train:\n    cmd: cd {project.root} && python {script}\n    outs: [x]\n",
    )
    other.call("dvc", "repro", DVC_EXP_NAME="theirs")
    [run] = recorded()
    assert "dvc.stage" not in run.data.tags
    assert "dvc.exp" not in run.data.tags
    assert outs(run) == {"data/raw.csv", "model.txt"}


def test_experiments(project: Project, recorded):
    """``dvc exp run``, in the workspace and in a temporary copy, is a stage of this project."""
    project.env["MLFLOW_DVC_SEAL"] = "0"
    pipeline(
        project,
        "stages:\n  train:\n    cmd: python src/train.py\n"
        "    deps: [data/raw.csv]\n    outs: [model.txt]\n",
    )
    project.dvc("exp", "run", "--force", "--name", "first")
    project.dvc("exp", "run", "--force", "--temp", "--name", "second")
    first, second = recorded()
    head = project.git("rev-parse", "HEAD")
    for run, name in ((first, "first"), (second, "second")):
        assert run.data.tags["dvc.exp"] == name
        assert run.data.tags["dvc.stage"] == "train"
        assert run.data.tags["git_sha"] == head
        assert outs(run) == {"data/raw.csv"}


def test_data_that_dvc_does_not_track(project: Project, recorded):
    """A dependency in git that is no program is data: its hash is known by a look at the disk, and
    without one there is no version."""
    project.write("labels.csv", "1\n")
    project.write("conf/train.yaml", "x: 1\n")
    stage = "stages:\n  train:\n    cmd: python src/train.py\n    outs: [model.txt]\n    deps: "
    pipeline(project, stage + "[data/raw.csv, src/train.py, conf]\n")
    project.dvc("repro", "--force")
    project.write("dvc.yaml", stage + "[data/raw.csv, src/train.py, labels.csv]\n")
    project.dvc("repro", MLFLOW_DVC_CHECK="0")
    project.dvc("repro", "--force")
    project.write("labels.csv", "2\n")
    project.dvc("repro")
    tags = [run.data.tags for run in recorded()]
    without, unlooked, labelled, otherwise = (each.get("dvc.data_version") for each in tags)
    assert unlooked is None
    assert None not in {without, labelled, otherwise}
    assert len({without, labelled, otherwise}) == 3
    assert "dvc.dep.labels.csv" in tags[-1]


@pytest.mark.parametrize("dep", ["src", "src/", "src/train.py"])
def test_script_in_a_declared_folder(project: Project, recorded, dep: str):
    """A script is its stage's by hand as well when the stage declares the folder it lies in."""
    project.env["MLFLOW_DVC_SEAL"] = "0"
    pipeline(
        project,
        "stages:\n  train:\n    cmd: python src/train.py\n"
        f"    deps: [data/raw.csv, {dep}]\n    outs: [model.txt]\n",
    )
    project.dvc("repro", "--force")
    project.python(os.path.join("src", "train.py"))
    repro, by_hand = recorded()
    assert by_hand.data.tags["dvc.script_stage"] == "train"
    assert by_hand.data.tags["dvc.data_version"] == repro.data.tags["dvc.data_version"]
    assert outs(by_hand) == outs(repro) == {"data/raw.csv"}


def test_final_outputs_are_no_inputs(project: Project, recorded):
    """Of a script that no stage declares, what a stage makes and no stage reads is no input."""
    project.write("prepare.py", "open('prepared.csv', 'w').write('p')")
    project.write("fit.py", "open('model.bin', 'w').write('first')")
    pipeline(
        project,
        "stages:\n  prepare: {cmd: python prepare.py, deps: [data/raw.csv], outs: [prepared.csv]}\n"
        "  fit: {cmd: python fit.py, deps: [prepared.csv, fit.py], outs: [model.bin]}\n",
    )
    project.write("look.py", FIVE_LINES)
    project.python("look.py")
    project.write("fit.py", "open('model.bin', 'w').write('second')")
    pipeline(project, (project.root / "dvc.yaml").read_text())
    project.python("look.py")
    first, second = recorded()
    assert first.data.tags["dvc.data_version"] == second.data.tags["dvc.data_version"]
    assert first.data.tags["dvc.out.model.bin"] != second.data.tags["dvc.out.model.bin"]
    names = {found.dataset.name for found in second.inputs.dataset_inputs}
    assert names == {"data/raw.csv", "prepared.csv"}


def test_script_of_several_stages(project: Project, recorded):
    """By hand, a script of several stages is none's: no data version, no output of any of them."""
    project.write("src/train.py", writes("model.txt"))
    text = (
        "stages:\n  each:\n    foreach: [a, b]\n    do:\n"
        "      cmd: python src/train.py && mv model.txt ${item}.txt\n"
        "      deps: [data/raw.csv, src/train.py]\n      outs: ['${item}.txt']\n"
    )
    pipeline(project, text)
    done = project.call("python", "src/train.py")
    [run] = recorded()
    assert outs(run) == {"data/raw.csv"}
    assert not {"dvc.script_stage", "dvc.data_version"} & set(run.data.tags)
    assert "each@a, each@b" in done.stderr


@pytest.mark.fresh  # an execution is told by its processes
def test_stage_that_calls_dvc(project: Project, recorded, attached):
    """A stage that DVC runs twice from within another one has two executions."""
    text = (
        "stages:\n  train: {cmd: python src/train.py, deps: [src/train.py], outs: [model.txt]}\n"
        "  sweep:\n    cmd: dvc repro -q -f -s train && dvc repro -q -f -s train\n"
    )
    project.write("dvc.yaml", text)
    project.commit("sweep")
    project.run("dvc", "repro", "-s", "sweep")
    told = [json.loads(attached(run.info.run_id)["snapshot.json"]) for run in recorded()]
    assert [one["stage"] for one in told] == ["train", "train"]
    first, second = (one["execution"] for one in told)
    assert first != second
