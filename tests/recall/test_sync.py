"""Runs held against what DVC wrote: confirmed, completed, contradicted, or left with the reason."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import FIVE_LINES, Project
from sealed import seal_of, synced

import mlflow_dvc
from mlflow_dvc.recall.sync import SyncResult

pytestmark = pytest.mark.hosts


def recorded_runs(runs: Any) -> list[Any]:
    return [run for run in runs() if "dvc.seal" in run.data.tags]


def reproduce(project: Project, rate: float, **env: str) -> None:
    project.write("params.yaml", f"lr: {rate}\n")
    project.dvc("repro", "train", **env)


def test_confirmed(pipeline: Project, runs, attached):
    """A run that was sealed as DVC then wrote is confirmed, once; asked again nothing changes."""
    reproduce(pipeline, 0.5)
    [run] = runs()
    before = attached(run.info.run_id)
    assert synced(pipeline)[run.info.run_id]["verdict"] == "confirmed"
    [run] = runs()
    assert seal_of(run) == "confirmed"
    after = attached(run.info.run_id)
    assert json.loads(after.pop("snapshot.json"))["seal"] == "confirmed"
    before.pop("snapshot.json")
    for page in ("record.md", "report.html"):  # they say so
        assert after.pop(page) != before.pop(page)
    assert after == before
    tags = dict(run.data.tags)
    again = synced(pipeline)[run.info.run_id]
    assert (again["verdict"], again["changed"]) == ("confirmed", False)
    assert dict(runs()[0].data.tags) == tags


def test_in_a_hook_of_another_repository(pipeline: Project, runs, make_project):
    """With GIT_DIR of another repository in the environment, every run is judged all the same."""
    other = make_project("other", dvc=False)
    pipeline.git("tag", "dataset-v1")
    hook = {"GIT_DIR": str(other.root / ".git")}
    reproduce(pipeline, 0.5)
    pipeline.python("run.py", **hook)
    done = pipeline.cli("sync", "--json", **hook)
    [row] = json.loads(done.stdout)["runs"]
    assert row["verdict"] == "confirmed", row
    assert [run.data.tags.get("git_describe") for run in runs()] == ["dataset-v1"] * 2


def test_completed(pipeline: Project, runs, attached):
    """A run that ended without exit handlers gets what its stage made, and DVC's lock."""
    script = pipeline.root / "src/train.py"
    script.write_text(script.read_text() + "import os; os._exit(0)\n")
    reproduce(pipeline, 0.5)
    [run] = runs()
    assert seal_of(run) == "none"
    row = synced(pipeline)[run.info.run_id]
    assert row["verdict"] == "completed"
    [run] = runs()
    lock = (pipeline.root / "dvc.lock").read_bytes()
    assert seal_of(run) == "confirmed"
    assert run.data.tags["dvc.out.models/model.txt"] == pipeline.lock()["models/model.txt"]
    assert run.data.tags["dvc.lock"] == hashlib.md5(lock).hexdigest()
    assert attached(run.info.run_id)["dvc.lock"] == lock
    assert pipeline.lock()["models/model.txt"] in run.data.tags["dvc.hashes"]


def test_contradicted(pipeline: Project, runs, attached):
    """Where a second command rewrote the output, the run is contradicted, mended, and exit is 1."""
    text = (pipeline.root / "dvc.yaml").read_text()
    second = "python src/train.py && echo more >> models/model.txt"
    pipeline.write("dvc.yaml", text.replace("python src/train.py", second))
    reproduce(pipeline, 0.5)
    [run] = runs()
    wrong = run.data.tags["dvc.out.models/model.txt"]
    right = pipeline.lock()["models/model.txt"]
    assert wrong != right
    row = synced(pipeline, code=1)[run.info.run_id]
    assert row["verdict"] == "contradicted"
    assert row["differences"] == [
        {"path": "models/model.txt", "recorded": wrong, "locked": right},
    ]
    [run] = runs()
    assert seal_of(run) == "contradicted"
    assert run.data.tags["dvc.out.models/model.txt"] == right
    assert wrong not in run.data.tags["dvc.hashes"]
    files = attached(run.info.run_id)
    assert files["dvc.lock"] == (pipeline.root / "dvc.lock").read_bytes()
    assert wrong.encode() in files["contradicted/dvc.lock"], "nothing is lost"
    assert synced(pipeline, code=0)[run.info.run_id]["changed"] is False


def test_for_people(pipeline: Project, runs):
    """``sync`` prints a line per run, and both hashes of what it mended."""
    text = (pipeline.root / "dvc.yaml").read_text()
    second = "python src/train.py && echo more >> models/model.txt"
    pipeline.write("dvc.yaml", text.replace("python src/train.py", second))
    reproduce(pipeline, 0.5)
    [run] = runs()
    wrong = run.data.tags["dvc.out.models/model.txt"]
    done = pipeline.cli("sync")
    assert done.returncode == 1
    for word in (
        run.info.run_id,
        "contradicted",
        wrong[:8],
        pipeline.lock()["models/model.txt"][:8],
    ):
        assert word in done.stdout


def test_older_runs_by_the_history(pipeline: Project, runs):
    """An older run is confirmed by the lock that was committed then; one whose lock was never
    committed stays as it is."""
    reproduce(pipeline, 0.5)
    pipeline.commit("half")
    reproduce(pipeline, 0.6)
    reproduce(pipeline, 0.7)
    rows = synced(pipeline)
    first, lost, last = runs()
    assert [seal_of(run) for run in (first, lost, last)] == [
        "confirmed", "provisional", "confirmed",
    ]  # fmt: skip
    assert "git" in rows[first.info.run_id]["reason"]
    assert rows[lost.info.run_id]["verdict"] == "left"


def test_discarded_rerun(pipeline: Project, runs):
    """A rerun that was thrown away is not contradicted by the lock that was brought back."""
    pipeline.write("src/train.py", (pipeline.root / "src/train.py").read_text() + RANDOM)
    reproduce(pipeline, 0.5)
    pipeline.commit("first")
    pipeline.dvc("repro", "--force", "--single-item", "train")
    pipeline.git("checkout", "dvc.lock")
    pipeline.dvc("checkout", "--force", "--quiet")
    synced(pipeline)
    first, thrown_away = runs()
    assert (seal_of(first), seal_of(thrown_away)) == ("confirmed", "provisional")


RANDOM = "import uuid; Path('models/model.txt').write_text(str(uuid.uuid4()))\n"


def test_stage_that_failed_later(pipeline: Project, runs):
    """A stage whose second command failed has no entry in the lock: its run stays provisional."""
    pipeline.write("src/train.py", (pipeline.root / "src/train.py").read_text() + RANDOM)
    reproduce(pipeline, 0.5)
    text = (pipeline.root / "dvc.yaml").read_text()
    pipeline.write("dvc.yaml", text.replace("python src/train.py", "python src/train.py && false"))
    assert pipeline.call("dvc", "repro", "train").returncode != 0
    pipeline.write("dvc.yaml", text)
    rows = synced(pipeline)
    first, failed = runs()
    assert seal_of(first) == "confirmed"
    assert seal_of(failed) == "provisional"
    assert rows[failed.info.run_id]["verdict"] == "left"


def test_failed_after_its_run(pipeline: Project, runs):
    """A run that finished in a process that then failed is not completed from an older lock that
    another stage has renewed."""
    script = pipeline.root / "src/train.py"
    script.write_text(
        script.read_text() + RANDOM + "import os\nif os.path.exists('gate'):\n"
        "    raise SystemExit('quality gate')\n"
    )
    text = (pipeline.root / "dvc.yaml").read_text()
    pipeline.write(
        "dvc.yaml",
        text + "  other:\n    cmd: cp params.yaml other.txt\n"
        "    deps: [params.yaml]\n    outs: [other.txt]\n",
    )
    reproduce(pipeline, 0.5)
    pipeline.write("gate", "")
    assert pipeline.call("dvc", "repro", "--force", "--single-item", "train").returncode != 0
    pipeline.dvc("repro", "other")
    rows = synced(pipeline)
    good, failed = runs()
    assert (seal_of(good), seal_of(failed)) == ("confirmed", "none")
    assert rows[failed.info.run_id]["verdict"] == "left"
    assert "dvc.out.models/model.txt" not in failed.data.tags


def test_another_branch(pipeline: Project, runs):
    """A run on another branch is completed by the lock that was committed there."""
    pipeline.write("src/train.py", (pipeline.root / "src/train.py").read_text() + RANDOM)
    reproduce(pipeline, 0.5, MLFLOW_DVC_ENABLED="0")
    pipeline.commit("on main")
    pipeline.git("checkout", "--quiet", "-b", "try")
    pipeline.dvc("repro", "--force", "--single-item", "train", MLFLOW_DVC_SEAL="0")
    there = pipeline.lock()["models/model.txt"]
    pipeline.commit("tried")
    pipeline.git("checkout", "--quiet", "main")
    pipeline.dvc("checkout", "--quiet", "--force")
    [run] = recorded_runs(runs)
    assert pipeline.lock()["models/model.txt"] != there
    assert synced(pipeline)[run.info.run_id]["verdict"] == "completed"
    [run] = recorded_runs(runs)
    assert (seal_of(run), run.data.tags["dvc.out.models/model.txt"]) == ("confirmed", there)


def test_reverted_experiment(pipeline: Project, runs, attached):
    """A sealed run is not contradicted by the lock that it started from, brought back."""
    pipeline.write("src/train.py", (pipeline.root / "src/train.py").read_text() + RANDOM)
    reproduce(pipeline, 0.5, MLFLOW_DVC_ENABLED="0")
    pipeline.commit("first")
    pipeline.dvc("repro", "--force", "--single-item", "train")
    [run] = recorded_runs(runs)
    files = attached(run.info.run_id)
    pipeline.git("checkout", "dvc.lock")
    pipeline.dvc("checkout", "--quiet", "--force")
    assert synced(pipeline)[run.info.run_id]["verdict"] == "left"
    assert attached(run.info.run_id) == files


def test_runs_of_another_project(pipeline: Project, runs, tmp_path):
    """Of a server's runs only those of this project are judged, and listed."""
    import shutil

    other = Project(tmp_path / "other", pipeline.env)
    shutil.copytree(pipeline.root, other.root, symlinks=True)
    other.commit("a history of its own")
    reproduce(other, 0.5)
    assert synced(pipeline) == {}


def test_another_checkout(pipeline: Project, runs, tmp_path):
    """In another clone nothing is contradicted: the lock there may be of another run."""
    pipeline.write("src/train.py", (pipeline.root / "src/train.py").read_text() + RANDOM)
    pipeline.commit("random")
    pipeline.git("clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone", pipeline.env)
    clone.dvc("cache", "dir", "--local", str(pipeline.root / ".dvc/cache"))
    clone.dvc("checkout", "--quiet", "--force", "data/raw.csv.dvc", "prepare")
    pipeline.dvc("repro", "train")
    clone.dvc("repro", "--no-run-cache", "train", MLFLOW_DVC_ENABLED="0")
    [run, *_] = runs()
    row = synced(clone)[run.info.run_id]
    assert (row["verdict"], row["changed"]) == ("left", False)
    assert "checkout" in row["reason"]


def test_one_run(pipeline: Project, runs):
    """``sync RUN`` touches that run alone; a run of no stage is told apart."""
    pipeline.python("run.py")
    reproduce(pipeline, 0.5)
    pipeline.dvc("repro", "--force", "--single-item", "train")
    by_hand, first, second = runs()
    rows = synced(pipeline, by_hand.info.run_id, second.info.run_id[:12])
    assert rows[by_hand.info.run_id]["verdict"] == "left"
    assert rows[second.info.run_id]["verdict"] == "confirmed"
    assert seal_of(runs()[1]) == "provisional"
    assert first.info.run_id not in rows


def test_in_python(pipeline: Project, runs):
    """``mlflow_dvc.sync`` returns what the command prints."""
    reproduce(pipeline, 0.5)
    [run] = runs()
    [result] = mlflow_dvc.sync(project=str(pipeline.root))
    assert isinstance(result, SyncResult)
    assert (result.run_id, result.verdict, result.stage) == (run.info.run_id, "confirmed", "train")


def test_no_project(directory: Project, tracking_uri):
    """Outside a DVC project ``sync`` says so, what to do, and exits with 2."""
    done = directory.cli("sync")
    assert done.returncode == 2
    assert "no DVC project" in done.stderr
    assert "MLFLOW_DVC_ROOT" in done.stderr


def test_users_tags_stay(pipeline: Project, runs, tracking_uri):
    """What the user put under a name of ours is not overwritten by a mended record."""
    script = pipeline.root / "src/train.py"
    mine = "    mlflow.set_tag('dvc.out.models/model.txt', 'mine')\n"
    text = script.read_text().replace("    mlflow.log_metric", mine + "    mlflow.log_metric", 1)
    script.write_text(text)
    reproduce(pipeline, 0.5)
    synced(pipeline)
    [run] = runs()
    assert seal_of(run) == "confirmed"
    assert run.data.tags["dvc.out.models/model.txt"] == "mine"


def test_five_lines_without_a_stage(pipeline: Project, runs):
    """A run of no stage is none of ``sync``'s business."""
    pipeline.write("run.py", FIVE_LINES)
    pipeline.python("run.py")
    assert synced(pipeline) == {}
    assert seal_of(runs()[0]) == "none"


# --- a store that DVC tracks -------------------------------------------------------------------

LOGS = "import mlflow\nwith mlflow.start_run(): mlflow.log_metric('a', 1)\n"
# By name: the tracking server seen from the project, and what DVC tracks of it.
TRACKED = {
    "file store": ("file:./mlruns", "mlruns"),
    "in an output": ("file:./store/mlruns", "store"),
    "an experiment": ("file:./mlruns", "mlruns/0"),
    "database": ("sqlite:///mlflow.db", "./mlflow.db"),
    "database in an output": ("sqlite:///store/mlflow.db", "store"),
    "artifacts": ("sqlite:///{outside}/mlflow.db", "mlruns"),
}


def logging_project(make_project: Any, out: str) -> Project:
    """A stage that starts a run, and another one that tracks what is called ``out``."""
    project: Project = make_project("tracked")
    project.write("train.py", LOGS + "open('model.txt', 'w').write('1')\n")
    project.write(".gitignore", "/mlruns\n/mlflow.db\n/store\n")
    project.write(
        "dvc.yaml",
        "stages:\n"
        "  train: {cmd: python train.py, deps: [train.py], outs: [model.txt]}\n"
        f"  keep: {{cmd: 'true', deps: [model.txt], outs: [{{'{out}': {{persist: true}}}}]}}\n",
    )
    return project


@pytest.mark.parametrize("name", TRACKED)
def test_store_is_an_output(
    make_project: Any, empty_database: Path, tmp_path: Path, monkeypatch: Any, name: str
):
    """Runs that are kept in an output of DVC's are left, and named: to write there would make
    ``dvc status`` dirty."""
    uri, out = TRACKED[name]
    project = logging_project(make_project, out)
    (project.root / "store").mkdir()
    for folder in (tmp_path, project.root, project.root / "store"):
        shutil.copy(empty_database, folder / "mlflow.db")
    uri = uri.format(outside=tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    if name == "artifacts":
        place = (project.root / "mlruns").as_uri()
        made = mlflow.MlflowClient(uri).create_experiment("here", artifact_location=place)
        monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", made)
    project.dvc("repro", "--quiet")
    before = project.dvc("status")
    assert "changed" not in before
    [row] = synced(project).values()
    assert (row["verdict"], row["changed"]) == ("left", False)
    assert out.removeprefix("./") in row["reason"]
    assert "keep" in row["reason"]
    assert project.dvc("status") == before


def test_store_with_a_dvc_file(make_project: Any, monkeypatch: Any):
    """The same of a store that a ``.dvc`` file tracks."""
    project = logging_project(make_project, "other.txt")
    project.write(".gitignore", "")
    project.write("other.txt", "x")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:./mlruns")
    project.dvc("repro", "--quiet")
    project.dvc("add", "--quiet", "mlruns")
    before = project.dvc("status")
    [row] = synced(project).values()
    assert row["verdict"] == "left"
    assert "mlruns.dvc" in row["reason"]
    assert project.dvc("status") == before


def test_store_beside_outputs(make_project: Any, monkeypatch: Any):
    """A store beside outputs, or one that holds an output which is of no run's record, is written
    to as ever."""
    project = logging_project(make_project, "mlruns/models")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:./mlruns")
    mlflow.MlflowClient((project.root / "mlruns").as_uri()).search_experiments()
    project.write("mlruns/models/x", "1")
    project.dvc("repro", "--quiet")
    [row] = synced(project).values()
    assert (row["verdict"], row["changed"]) == ("confirmed", True)
    assert "changed" not in project.dvc("status")
