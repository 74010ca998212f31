"""Runs held against what DVC wrote: confirmed, completed, contradicted, or left with the reason."""

from __future__ import annotations

import hashlib
import json
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import FIVE_LINES, Project, few
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


def test_more_runs_than_are_looked_at(
    pipeline: Project, runs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Of a stage with many runs the newest are judged, which is said; an older one is if it is
    named."""
    monkeypatch.setattr("mlflow_dvc.recall.sync.candidate._MAX_RUNS", 2)
    script = pipeline.root / "src/train.py"
    script.write_text(
        script.read_text().replace("with mlflow", "for _ in range(4):\n  with mlflow")
    )
    reproduce(pipeline, 0.5)
    monkeypatch.chdir(pipeline.root)
    in_order = [run.info.run_id for run in runs()][::-1]
    assert [result.run_id for result in mlflow_dvc.sync()] == in_order[:2]
    assert "only the newest 2 runs of the stage train are looked at" in caplog.text
    [oldest] = mlflow_dvc.sync(in_order[-1])
    assert (oldest.run_id, oldest.verdict) == (in_order[-1], "confirmed")
    assert [seal_of(run) for run in runs()] == ["confirmed", "provisional", *["confirmed"] * 2]


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
    reproduce(clone, 0.7, MLFLOW_DVC_ENABLED="0")
    assert "checkout" in synced(clone)[run.info.run_id]["reason"]


def test_lock_of_other_inputs(pipeline: Project, runs):
    """A run that ran again with the same inputs is left for that reason, whatever ran since."""
    pipeline.write("src/train.py", (pipeline.root / "src/train.py").read_text() + RANDOM)
    reproduce(pipeline, 0.5)
    pipeline.commit("first")
    pipeline.dvc("repro", "--force", "--single-item", "train")
    reproduce(pipeline, 0.7)
    again = runs()[1].info.run_id
    row = synced(pipeline)[again]
    assert (row["verdict"], row["changed"]) == ("left", False)
    assert "a committed lock has other outputs for the same inputs" in row["reason"]


def with_child(project: Project) -> None:
    text = (project.root / "src/train.py").read_text()
    child = "    with mlflow.start_run(nested=True): pass\n    mlflow.log_metric"
    project.write("src/train.py", text.replace("    mlflow.log_metric", child))
    project.commit("children")


def test_children(pipeline: Project, runs):
    """Child runs of a stage are confirmed with their parent, whose record is theirs."""
    with_child(pipeline)
    reproduce(pipeline, 0.5)
    rows = synced(pipeline)
    assert {row["verdict"] for row in rows.values()} == {"confirmed"}, rows
    assert [seal_of(run) for run in runs()] == ["confirmed"] * 2
    pipeline.commit("trained")
    assert pipeline.cli("verify", "--all").returncode == 0


def test_parent_alone(pipeline: Project, runs):
    """Where sync was asked for the parent alone, its child is not confirmed, and not tampered."""
    with_child(pipeline)
    reproduce(pipeline, 0.5)
    pipeline.commit("trained")
    [child, parent] = sorted(runs(), key=lambda run: "mlflow.parentRunId" not in run.data.tags)
    assert list(synced(pipeline, parent.info.run_id)) == [parent.info.run_id]
    assert pipeline.cli("verify", child.info.run_id).returncode == 0
    assert synced(pipeline)[child.info.run_id]["changed"]


def test_children_are_completed(pipeline: Project, runs):
    """What the lock says of a parent that was not sealed is said of its child, too."""
    with_child(pipeline)
    reproduce(pipeline, 0.5, MLFLOW_DVC_SEAL="0")
    assert {row["verdict"] for row in synced(pipeline).values()} == {"completed"}
    one, other = (run.data.tags for run in runs())
    assert one["dvc.out.models/model.txt"] == other["dvc.out.models/model.txt"]
    pipeline.commit("trained")
    assert pipeline.cli("verify", "--all").returncode == 0


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


def test_store_is_what_the_stage_makes(make_project: Any, monkeypatch: Any):
    """So are runs that are kept in the output of their own stage, whatever its lock may be."""
    project = make_project("own")
    project.write("train.py", LOGS)
    project.write(
        "dvc.yaml", "stages: {train: {cmd: python train.py, deps: [train.py], outs: [mlruns]}}"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:./mlruns")
    project.dvc("repro", "--quiet")
    before = project.dvc("status")
    [row] = synced(project).values()
    assert row["verdict"] == "left"
    assert "mlruns" in row["reason"]
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


# --- whose lock it is ----------------------------------------------------------------------------


def train_at_random(project: Project, more: str = "") -> None:
    script = project.root / "src/train.py"
    script.write_text(script.read_text() + RANDOM + more)
    project.commit("random")


def run_by_hand(project: Project) -> None:
    project.python("src/train.py", MLFLOW_DVC_ENABLED="0")
    project.dvc("commit", "--force", "--quiet", "train")


def run_elsewhere(project: Project) -> None:
    project.dvc("repro", "--force", "--single-item", "train", MLFLOW_DVC_ENABLED="0")


def run_that_fails_in_mlflow(project: Project) -> None:
    project.dvc("repro", "--force", "--single-item", "train", STATUS="FAILED")


OTHERS = {
    "by hand": (run_by_hand, ()),
    "elsewhere": (run_elsewhere, ()),
    "a run that failed": (run_that_fails_in_mlflow, ()),
    "no run cache": (run_by_hand, ("--no-run-cache",)),
    "nothing known": (run_elsewhere, ()),
}


@pytest.mark.parametrize(
    ("how", "is_sealed"),
    few(*zip(OTHERS, (True, False) * 3, strict=False), of=product(OTHERS, (True, False))),
)
def test_lock_of_another_execution(pipeline: Project, runs, how: str, is_sealed: bool):
    """A lock that another execution left, with the same inputs, says nothing of a run: neither on
    disk nor in a commit."""
    script = pipeline.root / "src/train.py"
    text = script.read_text().replace(
        'with mlflow.start_run() as run:\n    mlflow.log_metric("x", 1)\n',
        "import os\nmlflow.start_run()\nmlflow.end_run(os.environ.get('STATUS', 'FINISHED'))\n",
    )
    script.write_text(text)
    train_at_random(pipeline)
    another, words = OTHERS[how]
    seal = {} if is_sealed else {"MLFLOW_DVC_SEAL": "0"}
    pipeline.dvc("repro", *words, "train", **seal)
    mine = pipeline.lock()["models/model.txt"]
    another(pipeline)
    assert pipeline.lock()["models/model.txt"] != mine
    if how == "nothing known":
        shutil.rmtree(pipeline.root / ".dvc/cache/runs")
    run_id = runs()[0].info.run_id
    for _ in range(2):
        row = synced(pipeline)[run_id]
        assert (row["verdict"], row["changed"]) == ("left", False)
        tags = runs()[0].data.tags
        assert tags.get("dvc.out.models/model.txt") == (mine if is_sealed else None)
        pipeline.commit("the lock of another execution")


@pytest.mark.parametrize("is_sealed", [True, False], ids=["sealed", "unsealed"])
def test_restored_from_the_run_cache(pipeline: Project, runs, is_sealed: bool):
    """What DVC brought back from its run cache is what the run made."""
    train_at_random(pipeline)
    seal = {} if is_sealed else {"MLFLOW_DVC_SEAL": "0"}
    reproduce(pipeline, 0.5, **seal)
    mine = pipeline.lock()["models/model.txt"]
    reproduce(pipeline, 0.6, **seal)
    reproduce(pipeline, 0.5, **seal)
    assert pipeline.lock()["models/model.txt"] == mine
    first, second = runs()
    rows = synced(pipeline)
    assert rows[first.info.run_id]["verdict"] == ("confirmed" if is_sealed else "completed")
    assert rows[second.info.run_id]["verdict"] == "left"
    assert runs()[0].data.tags["dvc.out.models/model.txt"] == mine


@pytest.mark.fresh  # one execution is told by its processes
@pytest.mark.parametrize("is_sealed", few(True, of=[True, False]), ids=["sealed", "unsealed"])
def test_two_processes_of_one_command(pipeline: Project, runs, is_sealed: bool):
    """Runs of several processes of one execution, and several of one, all have what DVC locked."""
    pipeline.write("src/post.py", FIVE_LINES + "open('models/model.txt', 'a').write('more')\n")
    script = pipeline.root / "src/train.py"
    script.write_text(script.read_text() + "mlflow.start_run()\nmlflow.end_run()\n")
    text = (pipeline.root / "dvc.yaml").read_text()
    both = "python src/train.py && python src/post.py"
    pipeline.write("dvc.yaml", text.replace("python src/train.py", both))
    reproduce(pipeline, 0.5, **({} if is_sealed else {"MLFLOW_DVC_SEAL": "0"}))
    rows = synced(pipeline, code=1 if is_sealed else 0)
    locked = pipeline.lock()["models/model.txt"]
    found = runs()
    wanted = ["contradicted", "contradicted", "confirmed"] if is_sealed else ["completed"] * 3
    assert [rows[run.info.run_id]["verdict"] for run in found] == wanted
    assert [run.data.tags["dvc.out.models/model.txt"] for run in found] == [locked] * 3


@pytest.mark.parametrize("is_sealed", [True, False], ids=["sealed", "unsealed"])
def test_experiments(pipeline: Project, runs, is_sealed: bool):
    """Runs of an experiment in a copy of the project are judged by the experiment's own lock."""
    train_at_random(pipeline)
    seal = {} if is_sealed else {"MLFLOW_DVC_SEAL": "0"}
    before = pipeline.lock()["models/model.txt"]
    pipeline.dvc("exp", "run", "--temp", "--name", "one", "-S", "lr=0.7", "train", **seal)
    row = synced(pipeline)[runs()[0].info.run_id]
    assert row["verdict"] == ("confirmed" if is_sealed else "completed"), row
    tags = runs()[0].data.tags
    assert (tags["dvc.seal"], tags["dvc.exp"]) == ("confirmed", "one")
    assert tags["dvc.out.models/model.txt"] not in (None, before)
    verified = pipeline.cli("verify", runs()[0].info.run_id)
    assert verified.returncode == 0, verified.stdout  # by the experiment's commit


def test_amended(pipeline: Project, runs):
    """A run on a commit that was amended is completed by the lock that was taken in so."""
    train_at_random(pipeline)
    pipeline.dvc("repro", "train", MLFLOW_DVC_SEAL="0")
    mine = pipeline.lock()["models/model.txt"]
    pipeline.git("commit", "--quiet", "--all", "--amend", "--message", "with the lock")
    pipeline.write("params.yaml", "lr: 0.9\n")
    pipeline.dvc("repro", "train", MLFLOW_DVC_ENABLED="0")
    run_id = runs()[0].info.run_id
    assert synced(pipeline)[run_id]["verdict"] == "completed"
    assert runs()[0].data.tags["dvc.out.models/model.txt"] == mine


# --- what changed while the stage ran ------------------------------------------------------------

PARTS = "data/parts"
EDITS = {
    "data": ("data/prepared.csv", "Path('data/prepared.csv').write_text('other')"),
    "folder": (PARTS, "Path('data/parts/0.csv').write_text('other')"),
    "code": ("src/train.py", "Path('src/train.py').open('a').write('# more')"),
    "params": ("params.yaml", "Path('params.yaml').write_text('lr: 0.9')"),
}


def edit_while_it_runs(project: Project, edit: str) -> None:
    """The edit is made after the run; the stage reads a folder as well."""
    script = project.root / "src/train.py"
    script.write_text(script.read_text() + edit + "\n")
    text = (project.root / "dvc.yaml").read_text()
    more = text.replace(
        "deps: [data/prepared.csv, src/", f"deps: [data/prepared.csv, {PARTS}, src/"
    )
    project.write("dvc.yaml", more)
    project.commit("edits")


def dep_hashes(project: Project) -> dict[str, str]:
    import yaml

    lock = yaml.safe_load((project.root / "dvc.lock").read_text())
    return {dep["path"]: dep["md5"] for dep in lock["stages"]["train"]["deps"]}


@pytest.mark.parametrize("name", EDITS)
def test_changed_while_the_stage_ran(pipeline: Project, runs, attached, name: str):
    """A run whose stage's dependency changed meanwhile tells what it read, and is contradicted: DVC
    locks what lay there at the end. With a lock of what lay there before it is confirmed."""
    path, edit = EDITS[name]
    edit_while_it_runs(pipeline, edit)
    made = pipeline.lock()
    before = made | {"src/train.py": md5(pipeline.root / "src/train.py")}
    pipeline.dvc("repro", "--single-item", "train")
    [run] = runs()
    tags = run.data.tags
    assert tags["dvc.changed"] == path
    locked = dep_hashes(pipeline)
    for dep, value in locked.items():
        assert tags[f"dvc.dep.{dep}"] == before[dep]
        assert (value != before[dep]) == (dep == path)
        assert (value in tags["dvc.hashes"]) == (dep not in (path, "src/train.py"))
    [digest] = [i.dataset.digest for i in run.inputs.dataset_inputs if i.dataset.name == PARTS]
    assert digest == before[PARTS]
    row = synced(pipeline, code=1)[run.info.run_id]
    assert row["verdict"] == "contradicted"
    assert path in row["reason"]
    after = runs()[0].data.tags
    assert (after.pop("dvc.seal"), tags.pop("dvc.seal")) == ("contradicted", "provisional")
    assert after == tags


@pytest.mark.parametrize("name", ["data", "folder"])
def test_locked_as_it_was_read(pipeline: Project, runs, attached, name: str):
    """A DVC that hashes dependencies before the command confirms such a run, by its lock."""
    path, edit = EDITS[name]
    edit_while_it_runs(pipeline, edit)
    read = pipeline.lock()[path]
    pipeline.dvc("repro", "--single-item", "train")
    lock = pipeline.root / "dvc.lock"
    lock.write_text(lock.read_text().replace(dep_hashes(pipeline)[path], read))
    [run] = runs()
    assert synced(pipeline)[run.info.run_id]["verdict"] == "confirmed"
    tags = runs()[0].data.tags
    assert (tags["dvc.changed"], tags[f"dvc.dep.{path}"]) == (path, read)
    assert attached(run.info.run_id)["dvc.lock"] == lock.read_bytes()
    assert tags["dvc.lock"] == md5(lock)


@pytest.mark.parametrize(
    "edit",
    [
        "path = Path('data/prepared.csv'); path.write_text(path.read_text())",
        "path = Path('params.yaml'); path.write_text(path.read_text() + 'unread: 1\\n')",
    ],
    ids=["equal", "other keys"],
)
def test_touched(pipeline: Project, runs, edit: str):
    """What was written and is as it was, and parameters that the stage does not read, contradict
    nothing."""
    edit_while_it_runs(pipeline, edit)
    pipeline.dvc("repro", "--single-item", "train")
    [run] = runs()
    assert synced(pipeline)[run.info.run_id]["verdict"] == "confirmed"


def test_changed_before_anybody_looked(pipeline: Project, runs):
    """Of a dependency that changed before it was hashed nothing is known: no hash, no version."""
    edit_while_it_runs(pipeline, EDITS["data"][1])
    claim = pipeline.lock()["data/prepared.csv"]
    pipeline.dvc("repro", "--single-item", "train", MLFLOW_DVC_CHECK="0")
    [run] = runs()
    tags = run.data.tags
    assert (tags["dvc.changed"], tags["dvc.data_status"]) == ("data/prepared.csv", "unverified")
    assert "dvc.data_version" not in tags
    assert "dvc.dep.data/prepared.csv" not in tags
    assert dep_hashes(pipeline)["data/prepared.csv"] not in tags["dvc.hashes"]
    assert claim != dep_hashes(pipeline)["data/prepared.csv"]
    row = synced(pipeline)[run.info.run_id]
    assert (row["verdict"], "is not known" in row["reason"]) == ("left", True)


# --- one run for several stages ------------------------------------------------------------------


def test_later_part_is_corrected(pipeline: Project, runs, attached):
    """A later part of a run is judged by the lock of its own stage; what it was wrong about is
    found no more, and the first part stays."""
    script = pipeline.root / "src/prepare.py"
    script.write_text(FIVE_LINES + script.read_text())
    edited = pipeline.root / "src/train.py"
    edited.write_text(edited.read_text() + EDITS["code"][1] + "\n")
    code = md5(edited)
    text = (pipeline.root / "dvc.yaml").read_text()
    second = "python src/train.py && echo more >> models/model.txt"
    pipeline.write("dvc.yaml", text.replace("python src/train.py", second))
    pipeline.commit("two stages that log")
    with mlflow_dvc.disabled(), mlflow.start_run() as run:
        run_id = run.info.run_id
    pipeline.dvc("repro", "train", MLFLOW_RUN_ID=run_id)
    [run] = runs()
    wrong = run.data.tags["dvc.out.models/model.txt"]
    right = pipeline.lock()["models/model.txt"]
    assert wrong != right
    first = attached(run_id)["snapshot.json"]
    done = pipeline.cli("sync", "--json")
    assert done.returncode == 1
    rows = {row["stage"]: row for row in json.loads(done.stdout)["runs"]}
    assert [rows[stage]["verdict"] for stage in ("prepare", "train")] == [
        "confirmed", "contradicted",
    ]  # fmt: skip
    [run] = runs()
    tags = run.data.tags
    assert (tags["dvc.out.models/model.txt"], tags["dvc.stages"]) == (right, "prepare\ntrain")
    hashes = tags["dvc.hashes"] + tags.get("dvc.hashes.2", "")
    assert wrong not in hashes
    assert right in hashes
    assert (tags["dvc.changed"], tags["dvc.dep.src/train.py"]) == ("src/train.py", code)
    files = attached(run_id)
    assert files["resume-1/dvc.lock"] == (pipeline.root / "dvc.lock").read_bytes()
    was = json.loads(first)
    was.pop("mlflow_dvc")
    assert json.loads(files["snapshot.json"]) == was | {"seal": "confirmed"}
    assert right in files["record.md"].decode()
    pipeline.commit("locked")
    assert pipeline.cli("verify", run_id).returncode == 0
    mlflow.MlflowClient().set_tag(run_id, "dvc.out.models/model.txt", "0" * 32)
    assert "TAMPERED" in pipeline.cli("verify", run_id).stdout


# --- where DVC does not answer -------------------------------------------------------------------


def test_dvc_does_not_answer(pipeline: Project, runs, tmp_path: Path):
    """Where DVC cannot be asked, ``sync``, ``verify`` and ``restore`` say so in one line."""
    reproduce(pipeline, 0.5, MLFLOW_DVC_SEAL="0")
    [run] = runs()
    pipeline.write(".dvc/config", "[core\n")
    for words in (["sync"], ["verify", run.info.run_id]):
        done = pipeline.cli(*words)
        assert done.returncode == 2, words
        assert "DVC could not be asked" in done.stderr
        assert "Traceback" not in done.stderr


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()
