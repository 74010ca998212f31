"""The way back from a run, as a whole: after data, code, workspace and cache have gone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import SECONDS, Project, environment, lay_out, make_home
from remotes import S3

import mlflow_dvc

pytestmark = pytest.mark.hosts

TRAIN = """\
import mlflow
from pathlib import Path
from typing import Any

parts = sorted(Path("data/parts").iterdir())
text = Path("data/prepared.csv").read_text()
with mlflow.start_run() as run:
    mlflow.log_metric("length", len(text) / 3)
    mlflow.log_metric("parts", len(parts))
    Path("models").mkdir(exist_ok=True)
    Path("models/model.txt").write_text(f"model of {text} in {len(parts)}")
    Path("metrics.json").write_text('{"x": 1}')
"""
RAW = "data/raw.csv"
servers = pytest.mark.servers


@pytest.fixture(scope="session")
def story(shared: Callable[..., Path], empty_database: Path, initialised: Path) -> Project:
    """Three runs: on the first data, on changed data, with code that is not committed.

    ``env`` has the server; after the runs the history of the code has moved on.
    """

    def make(home: Path) -> None:
        make_home(home)
        shutil.copy(empty_database, home)
        shutil.copytree(initialised, home / "project")
        tell(of(home))

    def of(home: Path) -> Project:
        server = {"MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}"}
        return Project(home / "project", environment(home) | server)

    return of(shared("story", make))


def tell(project: Project) -> None:
    lay_out(project)
    pipeline = (project.root / "dvc.yaml").read_text()
    project.write(
        "dvc.yaml",
        pipeline.replace("[data/prepared.csv, src", "[data/prepared.csv, data/parts, src"),
    )
    project.write("src/train.py", TRAIN)
    project.commit("train")
    for change in (None, "data", "code"):
        if change == "data":
            project.write(RAW, "a,b\n1,2\n3,4\n")
            project.dvc("add", "--quiet", RAW)
            project.commit("more data")
        if change == "code":
            project.write("src/train.py", TRAIN.replace("/ 3", "/ 7"))
            project.write("src/new.py", "NEW = 1\n")
        project.dvc("repro", "train")
        project.git("add", "dvc.lock")
        project.git("commit", "--quiet", "--message", "reproduced")
    project.commit("moved on")
    project.write("src/train.py", "raise SystemExit('of another time')\n")
    project.commit("moved on again")


@pytest.fixture
def project(story: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the story's project; this process asks the server of its runs."""
    root = tmp_path / "project"
    shutil.copytree(story.root, root, symlinks=True)
    for name, value in story.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(root)
    return Project(root, story.env)


def runs_of(project: Project) -> list[tuple[str, str]]:
    """The three runs of the story, oldest first: id, and the folder that its artifacts are in."""
    import mlflow

    client = mlflow.MlflowClient(project.env["MLFLOW_TRACKING_URI"])
    found = client.search_runs(["0"], "tags.`dvc.stage` = 'train'", order_by=["start_time ASC"])
    mine = [run for run in found if "dvc.reproduces" not in run.data.tags]
    return [(run.info.run_id, run.info.artifact_uri.removeprefix("file://")) for run in mine]


def hash_in(artifacts: str, path: str) -> str:
    """As the attached lock has it."""
    raw = yaml.safe_load(Path(artifacts, "dvc/dvc.lock").read_text(encoding="utf-8"))
    outs = [out for stage in raw["stages"].values() for out in stage.get("outs", [])]
    return next(out["md5"] for out in outs if out["path"] == path)


def lose_everything(project: Project) -> None:
    """The workspace, the cache: what is left is git, and the project's configuration."""
    for entry in project.root.iterdir():
        if entry.name not in (".git", ".dvc"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    shutil.rmtree(project.root / ".dvc/cache")
    project.git("checkout", "--quiet", ".")


def files_in(root: Path) -> dict[str, bytes]:
    """All code and data there, less what git and DVC keep for themselves."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {".git", ".dvc"} & set(path.relative_to(root).parts)
    }


def seen(number: int) -> dict[str, bytes]:
    """What the run of that number read and made, and the code that it ran."""
    raw = "a,b\n1,2\n" if number == 0 else "a,b\n1,2\n3,4\n"
    dirty = number == 2
    parts = raw.splitlines()
    return {
        RAW: raw.encode(),
        "data/prepared.csv": (raw * 2).encode(),
        **{f"data/parts/{n}.csv": line.encode() for n, line in enumerate(parts)},
        "models/model.txt": f"model of {raw * 2} in {len(parts)}".encode(),
        "src/train.py": (TRAIN.replace("/ 3", "/ 7") if dirty else TRAIN).encode(),
        **({"src/new.py": b"NEW = 1\n"} if dirty else {}),
    }


class Folder:
    """A DVC remote that is a folder beside the project."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def configure(self, project: Project) -> None:
        project.dvc("remote", "add", "--quiet", "--force", "--default", "folder", str(self.path))

    def remove(self, hash_: str) -> None:
        (self.path / "files/md5" / hash_[:2] / hash_[2:]).unlink()


def give(project: Project, remote: Any) -> None:
    """Let ``remote`` be the project's, with all data of all commits."""
    remote.configure(project)
    # Of a commit DVC pushes to the remote that was configured there, unless it is local.
    local = shutil.copy(project.root / ".dvc/config", project.root / ".dvc/config.local")
    if isinstance(remote, Folder | S3):
        project.dvc("push", "--quiet", "--all-commits")
    else:
        remote.push(project)
    Path(local).unlink()
    project.commit("remote")


@pytest.fixture(
    params=["folder", pytest.param("s3", marks=servers), pytest.param("http_remote", marks=servers)]
)
def remote(request: pytest.FixtureRequest, tmp_path: Path, project: Project) -> Any:
    """Each kind of DVC remote, with all data of all commits."""
    is_folder = request.param == "folder"
    found = Folder(tmp_path / "remote") if is_folder else request.getfixturevalue(request.param)
    give(project, found)
    return found


def test_the_whole_way_back(project: Project, remote: Any, tmp_path: Path):
    """From a remote alone each run comes back byte for byte; what is lost or forged is named."""
    runs = runs_of(project)
    lose_everything(project)
    verified = mlflow_dvc.verify(*(run_id for run_id, _ in runs))
    assert [item for run in verified for item in run.items if item.verdict != "PASS"] == []
    assert [run.verdict for run in verified] == ["PASS"] * 3
    for number, (run_id, _) in enumerate(runs):
        target = tmp_path / f"restored-{number}"
        found = mlflow_dvc.restore(run_id, str(target))
        assert found.verdict == "PASS", found.items
        there = files_in(target)
        assert {path: there.get(path) for path in seen(number)} == seen(number)
        assert ("src/new.py" in there) == (number == 2)

    run_id, artifacts = runs[2]
    lost = hash_in(artifacts, "data/parts")
    remote.remove(lost)
    shutil.rmtree(project.root / ".dvc/cache", ignore_errors=True)
    done = project.cli("verify", run_id)
    assert done.returncode == 1, done.stderr
    assert any(
        "FAIL" in line and "data/parts" in line and lost in line
        for line in done.stdout.splitlines()
    )
    assert [found.verdict for found in mlflow_dvc.verify(*(run for run, _ in runs[:1]))] == ["PASS"]


def test_reproduced(project: Project, tmp_path: Path):
    """Each run done again has the metrics it had, and says which run it reproduces."""
    import mlflow

    give(project, Folder(tmp_path / "remote"))
    runs = runs_of(project)
    lose_everything(project)
    of_this_process = {"MLFLOW_RUN_ID": "0" * 32, "MLFLOW_EXPERIMENT_NAME": "another"}
    project.env |= {**of_this_process, "MLFLOW_DVC_ROOT": str(project.root)}
    for number, (run_id, _) in enumerate(runs):
        target = tmp_path / f"again-{number}"
        done = project.cli("reproduce", run_id, "--yes", "--to", str(target), "--json")
        assert done.returncode == 0, done.stderr
        raw = json.loads(done.stdout)
        assert raw["equal"]
        assert [metric["before"] == metric["after"] for metric in raw["metrics"]] == [True, True]
        assert [out["before"] == out["after"] for out in raw["outputs"]] == [True]
        new = mlflow.MlflowClient(project.env["MLFLOW_TRACKING_URI"]).get_run(raw["new_run_id"])
        assert new.data.tags["dvc.reproduces"] == run_id
        assert new.data.tags["dvc.seal"] == "provisional"
        assert new.data.tags["dvc.stage"] == "train"


def test_nothing_runs_unasked(project: Project, tmp_path: Path):
    """The commands are shown before anything of the run is executed, and only a yes runs them."""
    run_id, _ = runs_of(project)[0]
    done = project.cli("reproduce", run_id, "--to", str(tmp_path / "again"))
    assert done.returncode == 2
    assert "python src/train.py" in done.stderr
    assert "nothing was run" in done.stderr
    assert not (tmp_path / "again/metrics.json").exists()


def answered(project: Project, answer: str, *words: str) -> subprocess.CompletedProcess[str]:
    """`reproduce` with somebody who types an answer."""
    return subprocess.run(
        [sys.executable, "-m", "mlflow_dvc", "reproduce", *words],
        cwd=project.root, env=os.environ | project.env, input=f"{answer}\n", text=True,
        capture_output=True, timeout=SECONDS, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("answer", ["y", "yes", "", "Y ", "0" * 8, "report"])
def test_a_yes_runs_nothing(project: Project, tmp_path: Path, answer: str):
    """Whoever has not read what would run cannot have it run by a habit."""
    run_id, _ = runs_of(project)[0]
    done = answered(project, answer, run_id, "--to", str(tmp_path / "again"))
    assert done.returncode == 2
    assert f"Type the run's id ({run_id[:8]}) to run this:" in done.stderr
    assert "nothing was run" in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "again/metrics.json").exists()


@pytest.mark.parametrize("name", ["id", "stage"])
def test_asked_by_name(project: Project, tmp_path: Path, name: str):
    """The id of the run, or the name of its stage, runs it."""
    run_id, _ = runs_of(project)[0]
    answer = run_id[:8] if name == "id" else "train"
    done = answered(project, answer, run_id, "--to", str(tmp_path / "again"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["equal"]


def test_told_before_it_runs(project: Project, tmp_path: Path):
    """Who recorded the run, when and where, the code that nobody reviewed, and the commands."""
    import mlflow

    run_id, _ = runs_of(project)[2]  # with code that is not committed
    run = mlflow.MlflowClient(project.env["MLFLOW_TRACKING_URI"]).get_run(run_id)
    done = project.cli("reproduce", run_id, "--to", str(tmp_path / "again"))
    told = done.stderr
    assert f"by {run.data.tags['mlflow.user']}, 20" in told
    assert "in the experiment Default" in told
    assert f"{run.data.tags['git_sha'][:8]} of this repository" in told
    assert "in no commit, so that nobody reviewed it" in told
    assert "in code.patch" in told
    assert "1 command, 19 characters" in told
    assert "1  python src/train.py\n" in told
    assert f"All of it: {tmp_path / 'again/dvc.yaml'}\n" in told
    clean, _ = runs_of(project)[1]
    done = project.cli("reproduce", clean, "--to", str(tmp_path / "clean"))
    assert "nobody reviewed it" not in done.stderr


def test_told_of_a_foreign_repository(project: Project, tmp_path: Path, story: Project):
    """A run whose code is cloned from elsewhere says from where."""
    import mlflow

    give(project, Folder(tmp_path / "remote"))
    own = f"[core]\n    remote = own\n['remote \"own\"']\n    url = {tmp_path / 'remote'}\n"
    Project(tmp_path).write("settings/dvc/config", own)
    project.env |= {"XDG_CONFIG_HOME": str(tmp_path / "settings")}
    run_id, artifacts = runs_of(project)[0]
    client = mlflow.MlflowClient(project.env["MLFLOW_TRACKING_URI"])
    client.set_tag(run_id, "mlflow.source.git.repoURL", str(story.root))
    path = Path(artifacts, "dvc/snapshot.json")
    before = path.read_bytes()
    raw = json.loads(before)
    raw["git"]["remote_url"] = str(story.root)
    try:
        path.write_text(json.dumps(raw))
        done = project.cli("reproduce", run_id, "--to", str(tmp_path / "x"), cwd=tmp_path)
    finally:
        path.write_bytes(before)
        client.delete_tag(run_id, "mlflow.source.git.repoURL")
    told = " ".join(done.stderr.split())
    assert f"cloned from a repository that is not this one: {story.root} " in told


def test_forged_lock(project: Project):
    """An attached lock that was edited is called tampered with, whatever else is in order."""
    run_id, artifacts = runs_of(project)[0]
    lock = Path(artifacts, "dvc/dvc.lock")
    before = lock.read_bytes()
    try:
        lock.write_bytes(before.replace(b"md5: ", b"md5:  ", 1))
        done = project.cli("verify", run_id, "--json")
    finally:
        lock.write_bytes(before)
    (found,) = json.loads(done.stdout)["runs"]
    assert (done.returncode, found["verdict"]) == (1, "TAMPERED")
    assert {item["part"] for item in found["items"] if item["verdict"] == "TAMPERED"} == {"lock"}


def test_metrics_that_differ(project: Project, tmp_path: Path):
    """A metric that comes out another way is shown beside the old one, and answered with no."""
    run_id, _ = runs_of(project)[1]
    sha = project.git("rev-parse", "HEAD~1")  # "moved on": the code that was not committed then
    done = project.cli("reproduce", run_id, "--yes", "--at", sha, "--to", str(tmp_path / "again"))
    assert done.returncode == 1, done.stderr
    assert "length" in done.stdout
    assert "-" in done.stdout
