"""The automatic path, run by run: what each way of starting one gets."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import mlflow
import pytest
from conftest import PYTHON, Project, both_stores, lay_out
from mlflow.entities import RunTag

import mlflow_dvc
from mlflow_dvc import tags as tag
from mlflow_dvc.recall import stored_record

pytestmark = pytest.mark.hosts

LOGS_MODELS = hasattr(mlflow, "create_external_model")
needs_logged_models = pytest.mark.skipif(not LOGS_MODELS, reason="logged models came with MLflow 3")


@pytest.fixture
def here(pipeline: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The pipeline project, as this process's working directory."""
    monkeypatch.chdir(pipeline.root)
    return pipeline


def tags_of(run_id: str) -> dict[str, str]:
    return dict(mlflow.get_run(run_id).data.tags)


def ours(run_id: str) -> dict[str, str]:
    return tag.own_tags(tags_of(run_id))


def change_data(project: Project, content: str = "a,b\n7,8\n") -> None:
    project.write("data/raw.csv", content)
    project.dvc("add", "--quiet", "data/raw.csv")


def has_record(run_id: str, project: Project) -> None:
    tags = tags_of(run_id)
    assert tags["git_sha"] == project.git("rev-parse", "HEAD")
    assert tags["dvc.out.data/prepared.csv"] == project.lock()["data/prepared.csv"]


@both_stores
def test_fluent(here: Project, attached):
    """A run of ``start_run`` carries the record when its block ends."""
    with mlflow.start_run() as run:
        pass
    has_record(run.info.run_id, here)
    assert attached(run.info.run_id)["dvc.lock"] == (here.root / "dvc.lock").read_bytes()


@both_stores
def test_client(here: Project, attached):
    """A run of ``MlflowClient.create_run``, which asks no provider, carries the same, and MLflow's
    own git tags besides."""
    client = mlflow.MlflowClient()
    [experiment] = [e for e in client.search_experiments() if e.name == "tests"]
    run = client.create_run(experiment.experiment_id, tags={"mine": "kept"})
    client.set_terminated(run.info.run_id)
    has_record(run.info.run_id, here)
    tags = tags_of(run.info.run_id)
    assert tags["mine"] == "kept"
    assert tags["mlflow.source.git.commit"] == tags["git_sha"]
    assert tags["mlflow.source.git.branch"] == "main"
    assert "snapshot.json" in attached(run.info.run_id)


def test_tags_are_there_at_the_start(here: Project):
    """The record's tags are part of the run's creation: there while the training goes on."""
    with mlflow.start_run() as run:
        has_record(run.info.run_id, here)
        assert run.data.tags["git_sha"] == here.git("rev-parse", "HEAD")


@both_stores
def test_nested(here: Project, attached):
    """A child run with its parent's record carries the tags and no second copy of the files."""
    with mlflow.start_run() as parent, mlflow.start_run(nested=True) as child:
        pass
    has_record(child.info.run_id, here)
    assert attached(parent.info.run_id)
    assert attached(child.info.run_id) == {}


def test_nested_on_other_data(here: Project, attached):
    """A child run that starts on other data has a record of its own: naive is the parent's."""
    with mlflow.start_run() as parent:
        change_data(here)
        with mlflow.start_run(nested=True) as child:
            pass
    key = "dvc.out.data/raw.csv"
    assert tags_of(child.info.run_id)[key] != tags_of(parent.info.run_id)[key]
    assert (
        attached(child.info.run_id)["data/raw.csv.dvc"]
        == here.root.joinpath("data/raw.csv.dvc").read_bytes()
    )


def test_child_of_a_run_of_another_process(here: Project, attached):
    """A worker's run under a parent that another process made has no second copy either."""
    script = here.write("parent.py", "import mlflow\nprint(mlflow.start_run().info.run_id)\n")
    here.commit("a script")
    parent = here.python(str(script)).split()[-1]
    with mlflow.start_run(tags={"mlflow.parentRunId": parent}) as child:
        pass
    assert attached(parent)
    assert attached(child.info.run_id) == {}


def test_fresh_at_every_run(here: Project):
    """HEAD and the data may change within a process; MLflow's own commit tag is cached for life."""
    with mlflow.start_run() as first:
        pass
    change_data(here)
    here.commit("new data")
    with mlflow.start_run() as second:
        pass
    assert tags_of(first.info.run_id)["git_sha"] != tags_of(second.info.run_id)["git_sha"]
    has_record(second.info.run_id, here)


@both_stores
def test_resumed_without_record(here: Project, attached):
    """A run that was started without the plugin gets its record when it is resumed with it."""
    with mlflow_dvc.disabled(), mlflow.start_run() as run:
        pass
    assert ours(run.info.run_id) == {}
    with mlflow.start_run(run_id=run.info.run_id):
        pass
    has_record(run.info.run_id, here)
    assert attached(run.info.run_id)["dvc.lock"] == (here.root / "dvc.lock").read_bytes()


def test_resumed_on_equal_data(here: Project, attached):
    """Resuming a run on what it saw before adds nothing."""
    with mlflow.start_run() as run:
        pass
    before, files = ours(run.info.run_id), attached(run.info.run_id)
    with mlflow.start_run(run_id=run.info.run_id):
        pass
    assert ours(run.info.run_id) == before
    assert attached(run.info.run_id) == files


@needs_logged_models  # an older MLflow refuses that
def test_taken_up_while_active(here: Project, attached):
    """A run that a thread takes up by its id while it is active has one record, and its state."""
    with mlflow.start_run() as run:

        def take_up() -> None:
            with mlflow.start_run(run_id=run.info.run_id):
                mlflow.log_metric("x", 1)

        thread = threading.Thread(target=take_up)
        thread.start()
        thread.join()
    assert not any(path.startswith("resume-") for path in attached(run.info.run_id))
    assert ours(run.info.run_id)["dvc.data_status"] == "clean"


@both_stores
def test_resumed_on_other_data(here: Project, attached):
    """A run resumed on other data keeps its first record; the second stands beside it, and the run
    is found by either hash."""
    with mlflow.start_run() as run:
        pass
    first = ours(run.info.run_id)
    lock = attached(run.info.run_id)["data/raw.csv.dvc"]
    for number in (1, 2):
        change_data(here, f"other,{number}\n")
        with mlflow.start_run(run_id=run.info.run_id):
            pass
    now = ours(run.info.run_id)
    assert {key: now[key] for key in first} == first
    files = attached(run.info.run_id)
    assert files["data/raw.csv.dvc"] == lock
    assert (
        json.loads(files["resume-1/snapshot.json"])["data"]
        != json.loads(files["resume-2/snapshot.json"])["data"]
    )
    for name in ("snapshot.json", "resume-1/snapshot.json", "resume-2/snapshot.json"):
        data = {e["path"]: e["hash"] for e in json.loads(files[name])["data"]}
        assert data["data/raw.csv"] in tag.hashes_in(now)


def inputs_of(run_id: str) -> list[tuple[str, str]]:
    found = mlflow.get_run(run_id).inputs.dataset_inputs
    return sorted((one.dataset.name, one.dataset.digest) for one in found)


def test_told_like_the_first(here: Project, attached, tmp_path: Path):
    """What a run saw when it was resumed is among its inputs, in ``show`` and in record.md; of a
    path that both parts have, ``restore`` brings what the first one saw."""
    with mlflow.start_run() as run:
        pass
    run_id = run.info.run_id
    first = inputs_of(run_id)
    change_data(here, "other\n")
    with mlflow.start_run(run_id=run_id):
        pass
    other = hashlib.md5(b"other\n").hexdigest()
    assert inputs_of(run_id) == sorted([*first, ("data/raw.csv", other)])
    assert other[:8] in here.cli("show", run_id).stdout
    page = attached(run_id)["record.md"].decode()
    assert other[:8] in page
    assert "resume-1" in page
    mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    assert (tmp_path / "back/data/raw.csv").read_bytes() != b"other\n"
    assert "TAMPERED" not in [one.verdict for one in mlflow_dvc.verify(run_id)[0].items]


@pytest.mark.parametrize("is_dirty", [False, True], ids=["clean", "dirty"])
def test_resumed_on_what_a_later_part_saw(here: Project, attached, is_dirty: bool):
    """A run that goes on with what one of its parts saw gets no other record of it, whether this
    process or another one resumes it."""
    with mlflow.start_run() as run:
        pass
    run_id = run.info.run_id
    change_data(here, "other\n")
    if is_dirty:
        here.write("src/train.py", "# changed\n")
    for _ in range(2):
        with mlflow.start_run(run_id=run_id):
            pass
        here.python("run.py", MLFLOW_RUN_ID=run_id)
    assert "resume-2/snapshot.json" not in attached(run_id)
    here.write("src/train.py", "# changed again\n")
    with mlflow.start_run(run_id=run_id):
        pass
    assert "resume-2/snapshot.json" in attached(run_id)


def test_child_of_a_resumed_run(here: Project, attached):
    """A child run that saw what its resumed parent saw then has a record of its own; an earlier one
    is not given what the parent saw later."""
    with mlflow.start_run() as run, mlflow.start_run(nested=True) as before:
        pass
    change_data(here, "other\n")
    with mlflow.start_run(run_id=run.info.run_id), mlflow.start_run(nested=True) as after:
        pass
    other = hashlib.md5(b"other\n").hexdigest()
    assert "snapshot.json" in attached(after.info.run_id)
    assert ours(after.info.run_id)["dvc.out.data/raw.csv"] == other
    data = stored_record.load_record(before.info.run_id).data()
    assert other not in [entry.hash for entry in data]


def test_resumed_from_the_environment(here: Project, attached):
    """MLFLOW_RUN_ID, as job schedulers set it, is a resumed run like any other."""
    with mlflow_dvc.disabled(), mlflow.start_run() as run:
        pass
    here.python("run.py", MLFLOW_RUN_ID=run.info.run_id)
    has_record(run.info.run_id, here)
    assert "dvc.lock" in attached(run.info.run_id)


@pytest.mark.clients
def test_mlflow_run(here: Project, attached, tmp_path: Path):
    """``mlflow run`` makes the run in a launcher elsewhere; the record is the project's."""
    here.write("MLproject", "name: p\nentry_points:\n  main: {command: python run.py}\n")
    here.commit("project")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    here.run("git", "init", "--quiet", cwd=elsewhere)
    here.run("git", "commit", "--quiet", "--allow-empty", "-m", "x", cwd=elsewhere)
    here.run("mlflow", "run", str(here.root), "--env-manager", "local", cwd=elsewhere)
    [run] = mlflow.search_runs(search_all_experiments=True, output_format="list")
    has_record(run.info.run_id, here)
    assert "dvc.lock" in attached(run.info.run_id)


def test_users_tags_win(here: Project):
    """A tag that the user gives under a name of ours is not overwritten."""
    mine = {"git_sha": "mine", "dvc.lock": "mine too", "dvc.data_version": "v7"}
    with mlflow.start_run(tags=mine) as run:
        pass
    tags = tags_of(run.info.run_id)
    assert {key: tags[key] for key in mine} == mine
    assert tags["git_branch"] == "main"


def test_mlflows_git_tags_stay(here: Project):
    """What MLflow or the user says under ``mlflow.source.git`` is not overwritten."""
    with mlflow.start_run(tags={"mlflow.source.git.commit": "theirs"}) as run:
        pass
    assert tags_of(run.info.run_id)["mlflow.source.git.commit"] == "theirs"


def test_git_describe(here: Project):
    """The nearest git tag is added beside the training, which does not wait for git."""
    here.git("tag", "dataset-v1")
    with mlflow.start_run() as run:
        pass
    assert tags_of(run.info.run_id)["git_describe"] == "dataset-v1"


def test_templated_pipeline(here: Project, attached):
    """Outputs of a templated dvc.yaml are claimed when DVC has said what they are."""
    here.write(
        "dvc.yaml",
        "vars: [{names: [a, b]}]\nstages:\n  make:\n    foreach: ${names}\n    do:\n"
        "      cmd: echo ${item} > ${item}.txt\n      outs: ['${item}.txt']\n",
    )
    here.root.joinpath("dvc.lock").unlink()
    here.dvc("repro", MLFLOW_DVC_ENABLED="0")
    with mlflow.start_run() as run:
        pass
    tags = ours(run.info.run_id)
    assert {key: value for key, value in tags.items() if key.endswith(".txt")} == {
        f"dvc.out.{path}": md5 for path, md5 in here.lock().items()
    }
    with mlflow.start_run() as second:
        at_start = tag.own_tags(second.data.tags)
    assert at_start["dvc.data_version"] == tags["dvc.data_version"], "known at once by now"


@pytest.mark.clients
@needs_logged_models
def test_autolog(here: Project, attached):
    """An autologged fit has one record, and so has the model that it logs."""
    from sklearn.linear_model import LinearRegression

    mlflow.sklearn.autolog(log_datasets=True)
    try:
        LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    finally:
        mlflow.sklearn.autolog(disable=True)
    run = mlflow.last_active_run()
    has_record(run.info.run_id, here)
    assert attached(run.info.run_id)["dvc.lock"]
    [model] = mlflow.search_logged_models(output_format="list")
    assert tag.own_tags(model.tags) == ours(run.info.run_id)


@needs_logged_models
def test_model_of_a_run(here: Project):
    """A model logged in the middle of a run has the record of its run, not of the moment."""
    here.git("tag", "dataset-v1")
    with mlflow.start_run() as run:
        change_data(here)
        here.commit("meanwhile")
        model = mlflow.create_external_model(name="m")
    tags = mlflow.get_logged_model(model.model_id).tags
    assert tag.own_tags(tags) == ours(run.info.run_id)
    assert tags["git_describe"] == "dataset-v1"


@needs_logged_models
def test_model_of_another_process(here: Project):
    """A model logged for a run of another process has that run's record."""
    here.python("run.py")
    [run] = mlflow.search_runs(search_all_experiments=True, output_format="list")
    change_data(here)
    logs = f"mlflow.create_external_model(name='m', source_run_id='{run.info.run_id}')\n"
    here.write("model.py", "import mlflow\n" + logs)
    here.python("model.py")
    [model] = mlflow.search_logged_models(output_format="list")
    assert tag.own_tags(model.tags) == ours(run.info.run_id)


@needs_logged_models
def test_model_logged_at_once(here: Project):
    """A model that is logged before the late facts are known has them all the same."""
    here.git("tag", "dataset-v1")
    with mlflow.start_run() as run:
        models = [mlflow.create_external_model(name=f"m{number}") for number in range(3)]
    for model in models:
        tags = mlflow.get_logged_model(model.model_id).tags
        assert tag.own_tags(tags) == ours(run.info.run_id)
        assert tags["git_describe"] == "dataset-v1"


@pytest.mark.clients
def test_autologged_sweep(here: Project, attached):
    """Autologging makes the runs of a sweep in a thread of its own: still no second copies."""
    import numpy as np
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV

    mlflow.sklearn.autolog(max_tuning_runs=3, log_models=False)
    try:
        xs = np.arange(12.0)
        GridSearchCV(Ridge(), {"alpha": [0.1, 1.0, 10.0]}, cv=2).fit(xs.reshape(-1, 1), xs)
    finally:
        mlflow.sklearn.autolog(disable=True)
    found = mlflow.search_runs(search_all_experiments=True, output_format="list")
    children = [run for run in found if "mlflow.parentRunId" in run.data.tags]
    [parent] = [run for run in found if run not in children]
    assert len(children) == 3
    assert attached(parent.info.run_id)
    for child in children:
        has_record(child.info.run_id, here)
        assert attached(child.info.run_id) == {}


def test_copied_run(here: Project, attached):
    """A run that a tool copies from elsewhere keeps that run's record, and gets none of ours."""
    theirs = {
        "git_sha": "f" * 40,
        "dvc.data_version": "0" * 12,
        "dvc.data_status": "unverified",
        "dvc.seal": "none",
        "dvc.out.data/raw.csv": "e" * 32,
    }
    client = mlflow.MlflowClient()
    [experiment] = [e for e in client.search_experiments() if e.name == "tests"]
    run = client.create_run(experiment.experiment_id, tags=theirs)
    client.set_terminated(run.info.run_id)
    assert ours(run.info.run_id) == theirs
    assert "mlflow.source.git.commit" not in tags_of(run.info.run_id)
    assert attached(run.info.run_id) == {}


@pytest.mark.parametrize(
    "name", ["git_commit", "git_sha", "dvc.data_version", "dvc.data_status", "dvc.seal"]
)
def test_resumed_with_the_users_own_tag(here: Project, attached, name: str):
    """A tag of the user's that looks like ours is no record: the resumed run gets one."""
    with mlflow_dvc.disabled(), mlflow.start_run(tags={name: "mine"}) as run:
        pass
    with mlflow.start_run(run_id=run.info.run_id):
        pass
    tags = tags_of(run.info.run_id)
    assert tags[name] == "mine"
    assert tags["dvc.out.data/prepared.csv"] == here.lock()["data/prepared.csv"]
    assert "snapshot.json" in attached(run.info.run_id)


def test_found_by_the_data_of_a_resumed_run(here: Project):
    """``search`` finds a run by the path and hash that it saw when it was resumed."""
    with mlflow.start_run() as run:
        pass
    change_data(here, "other\n")
    with mlflow.start_run(run_id=run.info.run_id):
        pass
    md5 = hashlib.md5(b"other\n").hexdigest()
    [match] = mlflow_dvc.search(f"data/raw.csv@{md5}")
    assert (match.run_id, match.data[0].path) == (run.info.run_id, "data/raw.csv")


def test_params_named_like_our_files(here: Project, attached):
    """A parameter file of the project cannot take the place of the snapshot."""
    here.write("snapshot.json", '{"lr": 1}')
    text = here.root.joinpath("dvc.yaml").read_text().replace("[lr]", "[{snapshot.json: [lr]}]")
    here.write("dvc.yaml", text)
    with mlflow.start_run() as run:
        pass
    assert json.loads(attached(run.info.run_id)["snapshot.json"])["schema"] == 1
    assert mlflow_dvc.show(run.info.run_id).snapshot


def test_vars_of_a_template_seen_first_now(here: Project, attached):
    """The files that a template was filled in from are attached the first time as well."""
    here.write("conf/vars.yaml", "name: one\n")
    here.write(
        "dvc.yaml",
        "vars: [conf/vars.yaml]\nstages:\n  s:\n    cmd: x\n    outs: ['${name}.txt']\n",
    )
    with mlflow.start_run() as run:
        pass
    assert attached(run.info.run_id)["conf/vars.yaml"] == b"name: one\n"


def test_users_modules_stay_unused(here: Project):
    """DVC is asked in a process that does not run Python files of the user's directory."""
    here.write("dvc.yaml", "stages:\n  s:\n    foreach: [a]\n    do: {cmd: x, outs: ['${item}']}\n")
    for name in ("platformdirs", "dvc", "yaml"):
        here.write(f"{name}.py", "raise SystemExit(open('executed', 'w').write('by us'))\n")
    here.write("scripts/run.py", here.root.joinpath("run.py").read_text())
    done = here.call("python", "scripts/run.py")
    assert done.returncode == 0, done.stderr
    assert not here.root.joinpath("executed").exists()
    assert "mlflow-dvc" not in done.stderr


def test_off(here: Project, attached, monkeypatch: pytest.MonkeyPatch):
    """MLFLOW_DVC_ENABLED=0 and ``disabled()`` leave a run as MLflow makes it."""
    with mlflow_dvc.disabled(), mlflow.start_run() as one:
        pass
    monkeypatch.setenv("MLFLOW_DVC_ENABLED", "0")
    with mlflow.start_run() as two:
        pass
    for run in (one, two):
        assert ours(run.info.run_id) == {}
        assert attached(run.info.run_id) == {}


def test_no_artifacts(here: Project, attached, monkeypatch: pytest.MonkeyPatch):
    """MLFLOW_DVC_ARTIFACTS=0 leaves the tags and attaches nothing."""
    monkeypatch.setenv("MLFLOW_DVC_ARTIFACTS", "0")
    with mlflow.start_run() as run:
        pass
    has_record(run.info.run_id, here)
    assert attached(run.info.run_id) == {}


def test_neither_git_nor_dvc(directory: Project, tracking_uri, monkeypatch, attached):
    """Where there is neither git nor DVC nothing is recorded, and no thread is started."""
    monkeypatch.chdir(directory.root)
    with mlflow.start_run() as run:
        assert not [t for t in threading.enumerate() if t.name == "mlflow-dvc"]
    assert ours(run.info.run_id) == {}
    assert attached(run.info.run_id) == {}


def test_artifacts_inside_the_project(make_project, monkeypatch):
    """MLflow's default store lies in the project: what we attach there is no pipeline to DVC, nor
    to the next run."""
    project = make_project()
    lay_out(project)
    project.root.joinpath(".gitignore").write_text("")
    project.commit("nothing is ignored")
    uri = f"sqlite:///{project.root}/mlflow.db"
    project.dvc("repro", MLFLOW_TRACKING_URI=uri)
    project.python("run.py", MLFLOW_TRACKING_URI=uri)
    before = claims(project)
    project.python("run.py", MLFLOW_TRACKING_URI=uri)
    assert list(project.root.glob("mlruns/**/artifacts/dvc/project.zip"))
    assert sorted(project.dvc("stage", "list", "--all", "--name-only").split()) == [
        "data/raw.csv.dvc", "prepare", "report", "train",
    ]  # fmt: skip
    assert "up to date" in project.dvc("repro", MLFLOW_TRACKING_URI=uri)
    assert claims(project) == before
    assert before["warnings"] == []


def claims(project: Project) -> dict[str, object]:
    """What ``status`` says, less what has been looked at on disk by now."""
    answer = json.loads(project.cli("status", "--json").stdout)
    del answer["tags"]["dvc.data_status"]
    return {**answer, "data": [{**row, "state": ""} for row in answer["data"]]}


def test_git_without_dvc(make_project, tracking_uri, monkeypatch, attached):
    """A git repository without DVC gives the commit, and says nothing of data."""
    project = make_project(dvc=False)
    monkeypatch.chdir(project.root)
    with mlflow.start_run() as run:
        pass
    assert ours(run.info.run_id) == {
        "git_sha": project.git("rev-parse", "HEAD"),
        "git_branch": "main",
        "git_dirty": "false",
    }
    assert list(attached(run.info.run_id)) == ["record.md", "report.html", "snapshot.json"]


def test_dvc_without_git(make_project, tracking_uri, monkeypatch):
    """A DVC project without git gives the data, and says nothing of a commit."""
    project = make_project(git=False)
    project.write("x.csv", "1\n")
    project.dvc("add", "--quiet", "x.csv")
    monkeypatch.chdir(project.root)
    with mlflow.start_run() as run:
        pass
    tags = ours(run.info.run_id)
    assert tags["dvc.out.x.csv"] == "b026324c6904b2a9cb4b88d6d61c81d1"
    assert not any(key.startswith("git_") for key in tags)


def test_no_commit_yet(directory: Project, tracking_uri, monkeypatch):
    """A repository without a commit starts runs that name none."""
    directory.git("init", "--quiet")
    directory.dvc("init", "--quiet")
    monkeypatch.chdir(directory.root)
    with mlflow.start_run() as run:
        pass
    assert "git_sha" not in ours(run.info.run_id)


def test_threads(here: Project, attached):
    """Runs started by many threads at once have one record each."""
    client = mlflow.MlflowClient()
    [experiment] = [e for e in client.search_experiments() if e.name == "tests"]
    made: list[str] = []

    def work() -> None:
        run = client.create_run(experiment.experiment_id)
        client.set_terminated(run.info.run_id)
        made.append(run.info.run_id)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    for run_id in made:
        has_record(run_id, here)
        assert attached(run_id)["dvc.lock"] == (here.root / "dvc.lock").read_bytes()


def test_no_thread_is_left(here: Project):
    """When the record is attached our thread is gone: it would make every ``fork`` warn."""
    with mlflow.start_run():
        pass
    assert not [t for t in threading.enumerate() if t.name == "mlflow-dvc" and t.is_alive()]


@pytest.mark.clients
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes(here: Project, attached, method: str):
    """A run of a forked or spawned worker has its record when its block ends."""
    script = f"""
import multiprocessing, mlflow

def work(answer):
    with mlflow.start_run(nested=True) as run:
        pass
    answer.put(run.info.run_id)

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    with mlflow.start_run() as run:
        pass
    answer = context.SimpleQueue()
    child = context.Process(target=work, args=(answer,))
    child.start()
    print("ids", run.info.run_id, answer.get())
    child.join()
"""
    here.write("spawning.py", script)
    words = here.python("spawning.py").split()
    for run_id in words[words.index("ids") + 1 :][:2]:
        has_record(run_id, here)
        assert "dvc.lock" in attached(run_id)


SENT = """\
import mlflow

def work():
    from pathlib import Path
    with mlflow.start_run(run_name="sent"):
        Path(DATA).read_text()

if __name__ == "__main__":
    import cloudpickle
    from pathlib import Path
    DATA = str(Path("data/prepared.csv").resolve())
    Path("work.pkl").write_bytes(cloudpickle.dumps(work))
"""
WORKER = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))()"


def test_function_sent_elsewhere(here: Project, runs, attached, tmp_path: Path):
    """A worker of a cluster on this machine is nobody's script and works in a folder of its own:
    the record is that of the program whose function it was sent."""
    here.write("sending.py", SENT)
    here.commit("a program that sends a function")
    here.run(PYTHON, "sending.py")
    here.write("sending.py", SENT + "# changed\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = here.call(PYTHON, "-c", WORKER, str(here.root / "work.pkl"), cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert "mlflow-dvc" not in done.stderr
    [run] = runs()
    has_record(run.info.run_id, here)
    tags = tags_of(run.info.run_id)
    assert (tags["git_dirty"], tags["dvc.data_status"]) == ("true", "clean")
    assert tags["dvc.reads"].startswith("partial: ")
    assert b"+# changed" in attached(run.info.run_id)["code.patch"]


@pytest.mark.parametrize(
    "ending",
    [
        "mlflow.start_run()",
        "mlflow.start_run(); raise SystemExit(3)",
        "mlflow.start_run(); raise ValueError('a fault of the user')",
        "mlflow.MlflowClient().create_run('{experiment}')",
    ],
)
def test_run_left_open(here: Project, runs, attached, ending: str):
    """A run that nobody ends has its record when the process has ended."""
    [experiment] = [e for e in mlflow.MlflowClient().search_experiments() if e.name == "tests"]
    line = ending.format(experiment=experiment.experiment_id)
    here.write("open.py", f"import mlflow\n{line}\n")
    done = here.call("python", "open.py")
    assert "mlflow-dvc" not in done.stderr
    [run] = runs()
    has_record(run.info.run_id, here)
    assert "dvc.lock" in attached(run.info.run_id)


def test_dataset_sources_stay_small(here: Project):
    """MLflow copies a provider's tags into the source of a dataset; many outputs must still fit."""
    import numpy as np

    for number in range(300):
        here.write(f"data/many/{number:04}-{'x' * 100}.csv.dvc", _dvc_file(number))
    with mlflow.start_run() as run:
        mlflow.log_input(mlflow.data.from_numpy(np.zeros(3)))
    inputs = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    [dataset] = [one for one in inputs if one.dataset.source_type == "code"]
    assert len(dataset.dataset.source) < 20_000


@both_stores
def test_five_thousand_outputs(here: Project, attached):
    """5,000 outputs: the run starts, 50 have a tag, 1,000 can be searched, the snapshot has all."""
    for number in range(5000):
        here.write(f"data/many/{number:04}.csv.dvc", _dvc_file(number))
    with mlflow.start_run() as run:
        pass
    tags = tags_of(run.info.run_id)
    assert sum(key.startswith(tag.OUT) for key in tags) == 50
    assert tags["dvc.outs"] == "50 of 5005"
    assert len(tag.hashes_in(tags)) == 1000
    assert all(len(value) <= 5000 for key, value in tags.items() if key.startswith("dvc."))
    snapshot = json.loads(attached(run.info.run_id)["snapshot.json"])
    assert len(snapshot["data"]) == 5006


@both_stores
def test_any_file_name(here: Project):
    """Whatever a path is spelt with, the run starts and its tags can be set again."""
    names = [
        "a b", "a(b)", "a=b", "a@b", "a,b", "a'b", 'a"b', "a`b", "a:b", "a%b", "été", "数据/训练",
        "e\u0301", "a\tb", "a\nb", "\N{SNAKE}", "-", "...", " a", "a ", "x" * 200, "数" * 60,
        "deep/" * 60 + "er", "raw", "raw/inside", "a_b",
    ]  # fmt: skip
    import yaml

    outs = [{"path": name, "md5": f"a{i:031x}", "hash": "md5"} for i, name in enumerate(names)]
    here.write("odd.dvc", yaml.safe_dump({"outs": outs}, allow_unicode=True))
    with mlflow.start_run() as run:
        pass
    tags = ours(run.info.run_id)
    assert {value for key, value in tags.items() if key.startswith(tag.OUT)} >= {
        out["md5"] for out in outs
    }
    client = mlflow.MlflowClient()
    client.log_batch(run.info.run_id, tags=[RunTag(*pair) for pair in tags.items()])


def _dvc_file(number: int) -> str:
    return f"outs:\n- md5: a{number:031x}\n  size: 1\n  hash: md5\n  path: {number}.csv\n"
