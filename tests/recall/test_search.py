"""Search and show: from data to runs, from a run to its data."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import Project, both_stores

import mlflow_dvc
from mlflow_dvc.errors import (
    AmbiguousRunError,
    ExperimentNotFoundError,
    RunNotFoundError,
    TrackingUnavailableError,
)
from mlflow_dvc.tracking import server

pytestmark = pytest.mark.hosts

RAW = "data/raw.csv"


@pytest.fixture
def two_runs(pipeline: Project, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The ids of two runs of ``run.py``, the second on other data and in another experiment."""
    monkeypatch.chdir(pipeline.root)
    with mlflow.start_run() as first:
        pass
    pipeline.write(RAW, "a,b\n7,8\n")
    pipeline.dvc("add", "--quiet", RAW)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")
    mlflow.set_experiment("another")
    try:
        with mlflow.start_run() as second:
            pass
    finally:
        mlflow.tracking.fluent._active_experiment_id = None
    return first.info.run_id, second.info.run_id


def ids(what: str) -> list[str]:
    return [match.run_id for match in mlflow_dvc.search(what)]


def raw_hash(content: str) -> str:
    return hashlib.md5(content.encode()).hexdigest()


@both_stores
def test_search(two_runs: tuple[str, str], pipeline: Project):
    """A hash, a beginning of one, a path and ``path@hash`` find the runs of every experiment,
    newest first."""
    first, second = two_runs
    old, new = raw_hash("a,b\n1,2\n"), raw_hash("a,b\n7,8\n")
    assert ids(old) == ids(old[:6]) == ids(f"{RAW}@{old[:6]}") == [first]
    assert ids(new) == ids(f"./{RAW}@{new}") == [second]
    assert ids(RAW) == [second, first]
    shared = pipeline.lock()["data/parts"]
    assert shared.endswith(".dir")
    assert ids(shared) == ids(shared[:32]) == ids(f"data/parts@{shared}") == [second, first]
    assert ids(f"data/parts@{old}") == []
    assert ids("nothing.csv") == []
    assert ids('it\'s `odd` "and" 100%_wrong') == []
    [match] = mlflow_dvc.search(new)
    assert match.experiment == "another"
    assert match.git_sha == pipeline.git("rev-parse", "HEAD")
    assert [(entry.path, entry.hash) for entry in match.data] == [(RAW, new)]


def test_search_by_content(two_runs: tuple[str, str], pipeline: Project, tmp_path: Path):
    """A file on disk that is tracked nowhere finds the runs that saw its content."""
    copy = tmp_path / "somebody's copy.csv"
    copy.write_text("a,b\n1,2\n")
    assert ids(str(copy)) == [two_runs[0]]


def test_search_from_below(two_runs: tuple[str, str], pipeline: Project, monkeypatch):
    """A path is understood as seen from the working directory as well as from the DVC root."""
    monkeypatch.chdir(pipeline.root / "data")
    assert set(ids("raw.csv")) == set(ids(RAW)) == set(two_runs)


@pytest.mark.parametrize("name", ["MLFLOW_DVC_ROOT", "DVC_ROOT"])
def test_search_from_elsewhere(
    two_runs: tuple[str, str], pipeline: Project, tmp_path: Path, monkeypatch, name: str
):
    """A path is understood as seen from the DVC root that the environment names, too."""
    monkeypatch.chdir(tmp_path)
    where = os.path.relpath(pipeline.root / RAW)
    assert ids(where) == [two_runs[1]]  # by the content that lies there
    monkeypatch.setenv(name, str(pipeline.root))
    assert set(ids(where)) == set(two_runs)


def test_piped(two_runs: tuple[str, str], pipeline: Project):
    """What is piped is neither cut nor padded: no line ends in a space."""
    long = f"data/{'x' * 200}.csv"
    pipeline.write(
        f"{long}.dvc", f"outs:\n- md5: {'a' * 32}\n  hash: md5\n  path: {Path(long).name}\n"
    )
    commands = [
        ["search", RAW], ["status"], ["show", two_runs[0]], ["doctor", "--local"],
        ["verify", two_runs[0]], ["diff", *two_runs], ["lineage", RAW],
    ]  # fmt: skip
    for words in commands:
        done = pipeline.cli(*words)
        assert done.stdout, (words, done.stderr)
        assert [line for line in done.stdout.splitlines() if line != line.rstrip()] == [], words
        assert words != ["status"] or long in done.stdout


def test_search_beyond_the_tags(pipeline: Project, monkeypatch):
    """With more outputs than tags, a hash still leads to the run and to the path."""
    monkeypatch.chdir(pipeline.root)
    for number in range(80):
        text = f"outs:\n- md5: a{number:02x}{0:029}\n  hash: md5\n  path: f{number:02}\n"
        pipeline.write(f"zz/f{number:02}.dvc", text)
    with mlflow.start_run() as run:
        pass
    last = f"a{79:02x}{0:029}"
    assert "dvc.out.zz/f79" not in mlflow.get_run(run.info.run_id).data.tags
    for what in (last, last[:6], f"zz/f79@{last}"):
        [match] = mlflow_dvc.search(what)
        assert match.run_id == run.info.run_id
        assert [(entry.path, entry.hash) for entry in match.data] == [("zz/f79", last)]


MODEL = "models/model.txt"


def related(what: str, **options: Any) -> dict[str, list[tuple[str, str | None]]]:
    """By run: each path found, and how the run stands to it."""
    return {
        match.run_id: [(entry.path, entry.relation) for entry in match.data]
        for match in mlflow_dvc.search(what, **options)
    }


@pytest.fixture
def three_relations(pipeline: Project, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str, str]:
    """The ids of a run of the stage that makes the model, one of a stage that reads it, and one of
    no stage."""
    monkeypatch.chdir(pipeline.root)
    logs = "import mlflow\n\nmlflow.start_run()\nmlflow.end_run()\n"
    pipeline.write("src/report.py", logs + (pipeline.root / "src/report.py").read_text())
    pipeline.write("params.yaml", "lr: 0.5\n")
    pipeline.dvc("repro")
    pipeline.dvc("repro", "--force", "--single-item", "report")
    pipeline.python("run.py")
    found = mlflow.search_runs(search_all_experiments=True, output_format="list")
    by_stage = {run.data.tags.get("dvc.stage"): run.info.run_id for run in found}
    return by_stage["train"], by_stage["report"], by_stage[None]


@both_stores
def test_read_made_and_lay_there(three_relations: tuple[str, str, str]):
    """What a run's stage read, what it made and what lay there are told apart, by path and hash;
    a run without a stage is not said to have read anything."""
    train, report, plain = three_relations
    everything = {
        train: [(MODEL, "made")], report: [(MODEL, "read")], plain: [(MODEL, "lay there")],
    }  # fmt: skip
    assert related(MODEL) == everything
    [made] = mlflow_dvc.search(MODEL, made=True)
    assert related(made.data[0].hash) == everything
    assert related(MODEL, made=True).keys() == {train}
    assert related(MODEL, read=True).keys() == {report}
    assert related(MODEL, read=True, made=True).keys() == {train, report}
    assert related(RAW) == {run_id: [(RAW, "lay there")] for run_id in everything}
    assert related(RAW, read=True) == {}
    assert related("src/train.py", read=True) == {train: [("src/train.py", "read")]}


def test_part_of_a_folder(pipeline: Project, monkeypatch):
    """A run read the folder that its stage declares one file of, and each output in a folder that
    it declares."""
    monkeypatch.chdir(pipeline.root)
    text = (pipeline.root / "dvc.yaml").read_text()
    for deps in ("data/parts/0.csv", "data"):
        pipeline.write("dvc.yaml", text.replace("deps: [data/prepared.csv,", f"deps: [{deps},"))
        pipeline.dvc("repro", "train")
    inside, above = (match.run_id for match in reversed(mlflow_dvc.search("data/parts", read=True)))
    assert related("data/parts", read=True).keys() == {inside, above}
    assert related(RAW, read=True).keys() == {above}


def test_missing(pipeline: Project, monkeypatch):
    """Data that did not lie on disk was not read, nor did it lie there, whatever DVC's files say;
    so without the attached record."""
    monkeypatch.chdir(pipeline.root)
    (pipeline.root / RAW).unlink()
    pipeline.python("run.py")
    pipeline.python("run.py", MLFLOW_DVC_ARTIFACTS="0")
    assert [*related(RAW).values()] == [[(RAW, "missing")]] * 2


def test_without_the_record(pipeline: Project, monkeypatch):
    """Tags alone do not tell of a stage's run whether it made something: then it is not known."""
    monkeypatch.chdir(pipeline.root)
    pipeline.write("params.yaml", "lr: 0.5\n")
    pipeline.dvc("repro", "train", MLFLOW_DVC_ARTIFACTS="0")
    assert [*related(MODEL).values()] == [[(MODEL, None)]]
    assert [*related("data/prepared.csv").values()] == [[("data/prepared.csv", "read")]]
    assert related(MODEL, made=True) == {}
    assert re.search(rf" \? +{MODEL}", pipeline.cli("search", MODEL).stdout)


def test_one_run_of_two_stages(pipeline: Project, monkeypatch):
    """A run that was handed through two stages made what the first made, and read it too."""
    monkeypatch.chdir(pipeline.root)
    logs = "import mlflow\n\nmlflow.start_run()\nmlflow.end_run()\n"
    pipeline.write("src/report.py", logs + (pipeline.root / "src/report.py").read_text())
    pipeline.write("params.yaml", "lr: 0.5\n")
    with mlflow_dvc.disabled(), mlflow.start_run() as run:
        pass
    pipeline.dvc("repro", "--force", MLFLOW_RUN_ID=run.info.run_id)
    assert related(MODEL) == {run.info.run_id: [(MODEL, "made"), (MODEL, "read")]}
    assert related(MODEL, read=True) == {run.info.run_id: [(MODEL, "read")]}
    for stage, hits in (("train", 1), ("report", 1), ("prepare", 0), ("repor", 0)):
        assert len(related(MODEL, stage=stage)) == hits, stage


def test_child_run(pipeline: Project, monkeypatch):
    """A child run without files of its own is told by its parent's record."""
    monkeypatch.chdir(pipeline.root)
    text = (pipeline.root / "src/train.py").read_text()
    nested = "    with mlflow.start_run(nested=True): pass\n    mlflow.log_metric"
    pipeline.write("src/train.py", text.replace("    mlflow.log_metric", nested))
    pipeline.dvc("repro", "train")
    assert [*related(MODEL).values()] == [[(MODEL, "made")]] * 2


@both_stores
def test_narrowed(three_relations: tuple[str, str, str], pipeline: Project):
    """Only the runs of one experiment, by name or id, of one stage, and the newest ones count."""
    train, report, plain = three_relations
    id_ = os.environ["MLFLOW_EXPERIMENT_ID"]
    other = mlflow.create_experiment("other")
    pipeline.python("run.py", MLFLOW_EXPERIMENT_ID=other)
    everywhere = ids(RAW)
    assert {*everywhere[1:]} == {train, report, plain}
    for name in ("tests", id_):
        assert {*related(RAW, experiment=name)} == {train, report, plain}
    assert {*related(RAW, experiment="other")} == {everywhere[0]}
    assert {*related(RAW, stage="train")} == {train}
    assert {*related(RAW, stage="train", experiment="other")} == set()
    assert {*related(RAW, stage="it's")} == set()
    assert [*related(RAW, limit=2)] == everywhere[:2]
    assert [*related(MODEL, made=True, limit=1)] == [train]
    with pytest.raises(ExperimentNotFoundError, match=r"nowhere.*tests"):
        mlflow_dvc.search(RAW, experiment="nowhere")
    with pytest.raises(ValueError, match="limit"):
        mlflow_dvc.search(RAW, limit=0)
    pipeline.python("src/train.py")
    assert len(related(RAW, stage="train")) == 2, "by its script, too"


def test_on_a_server(pipeline: Project, mlflow_server: str, monkeypatch):
    """Records are read from a server that keeps the artifacts itself, whichever way it is named;
    those of a resumed run too."""
    monkeypatch.chdir(pipeline.root)
    experiment = mlflow.MlflowClient(mlflow_server).create_experiment("relations")
    pipeline.write("params.yaml", "lr: 0.5\n")
    here = {"MLFLOW_TRACKING_URI": mlflow_server, "MLFLOW_EXPERIMENT_ID": experiment}
    pipeline.dvc("repro", "train", **here)
    asked = {"experiment": "relations", "tracking_uri": mlflow_server}
    [run_id] = related(MODEL, **asked)
    logs = "import mlflow\n\nmlflow.start_run()\nmlflow.end_run()\n"
    pipeline.write("src/report.py", logs + (pipeline.root / "src/report.py").read_text())
    pipeline.dvc("repro", "--force", "--single-item", "report", MLFLOW_RUN_ID=run_id, **here)
    both = {run_id: [(MODEL, "made"), (MODEL, "read")]}
    assert related(MODEL, **asked) == both
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    mlflow.set_tracking_uri(mlflow_server)
    assert related(MODEL, experiment=experiment) == both


def test_what_is_meant(pipeline: Project, monkeypatch):
    """A path that runs saw, but did not read, is not taken for the content of the file there."""
    monkeypatch.chdir(pipeline.root)
    pipeline.write("data/copy.csv", (pipeline.root / "data/prepared.csv").read_bytes())
    pipeline.dvc("add", "--quiet", "data/copy.csv")
    pipeline.write("params.yaml", "lr: 0.5\n")
    pipeline.dvc("repro", "train")
    assert [*related("data/copy.csv").values()] == [[("data/copy.csv", "lay there")]]
    assert related("data/copy.csv", read=True) == {}


@both_stores
def test_show(two_runs: tuple[str, str], pipeline: Project):
    """A run's record is read back as it was recorded, by id or by the beginning of it."""
    record = mlflow_dvc.show(two_runs[0])
    assert mlflow_dvc.show(two_runs[0][:8]) == record
    assert record.snapshot.git.sha == pipeline.git("rev-parse", "HEAD")
    data = {entry.path: entry for entry in record.snapshot.data}
    assert data[RAW].hash == raw_hash("a,b\n1,2\n")
    assert data[RAW].size == 8
    assert data["data/parts"].nfiles == 2
    assert data["metrics.json"].cached is False
    assert "dvc/dvc.lock" in record.artifacts
    assert record.experiment == "tests"


def test_show_of_a_model(two_runs: tuple[str, str]):
    """A registered version, an alias and a logged model lead to the run, and so to the data."""
    first, _ = two_runs
    client = mlflow.MlflowClient()
    client.create_registered_model("m")
    version = client.create_model_version("m", f"runs:/{first}/model", run_id=first)
    client.set_registered_model_alias("m", "prod", version.version)
    for ref in ("models:/m/1", "models:/m@prod"):
        assert mlflow_dvc.show(ref).run_id == first
    if hasattr(mlflow, "create_external_model"):
        model = mlflow.create_external_model(name="x", source_run_id=first)
        for ref in (model.model_id, f"models:/{model.model_id}"):
            assert mlflow_dvc.show(ref).run_id == first
    for ref in ("models:/m/2", "models:/other/1", "models:/m@nobody", "models:/m", "m-0"):
        with pytest.raises(RunNotFoundError):
            mlflow_dvc.show(ref)


def test_no_such_run(two_runs: tuple[str, str], tracking_uri: str):
    """A ref that names nothing is refused in words."""
    for ref in ("0" * 32, "ffffffffff", "not-an-id", "'; drop", "models:/"):
        with pytest.raises(RunNotFoundError, match="no run"):
            mlflow_dvc.show(ref)


def test_ambiguous(tracking_uri: str):
    """The beginning of several run ids names them instead of choosing one."""
    for _ in range(17):  # 16 hex digits: two of them begin alike
        with mlflow_dvc.disabled(), mlflow.start_run():
            pass
    found = mlflow.search_runs(search_all_experiments=True, output_format="list")
    digits = [run.info.run_id[0] for run in found]
    digit = next(one for one in digits if digits.count(one) > 1)
    with pytest.raises(AmbiguousRunError) as caught:
        mlflow_dvc.show(digit)
    assert len(caught.value.run_ids) == digits.count(digit)


def test_run_without_record(tracking_uri: str):
    """A run without a record is shown as having none."""
    with mlflow_dvc.disabled(), mlflow.start_run() as run:
        pass
    assert not mlflow_dvc.show(run.info.run_id).snapshot


@pytest.mark.parametrize("content", [None, b"{", b"[]", b'{"data": 7}', b"\xff\xfe"])
def test_snapshot_of_others(two_runs: tuple[str, str], tmp_path: Path, content: bytes | None):
    """A snapshot that is gone or no snapshot leaves what the tags say, with a warning."""
    run = mlflow.get_run(two_runs[0])
    path = Path(run.info.artifact_uri.removeprefix("file://")) / "dvc/snapshot.json"
    path.unlink() if content is None else path.write_bytes(content)
    snapshot = mlflow_dvc.show(two_runs[0]).snapshot
    assert "snapshot.json" in snapshot.warnings[-1]
    assert {entry.path: entry.hash for entry in snapshot.data}[RAW] == raw_hash("a,b\n1,2\n")


@pytest.mark.parametrize("uri", ["databricks", "databricks://profile", "uc", "http://host:1"])
def test_servers_are_no_paths(uri: str):
    """A server, the words for a Databricks workspace among them, is no missing directory."""
    server._refuse_to_create(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///{tmp}/none.db",
        "sqlite:///{tmp}/broken.db",
        "{tmp}/no-directory",
        "http://127.0.0.1:9/",
        "nonsense://x",
    ],
)
def test_no_server(uri: str, tmp_path: Path, monkeypatch):
    """A server that cannot be asked is an error that names it; no empty store is made by asking."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (tmp_path / "broken.db").write_bytes(b"not a database" * 100)
    uri = uri.format(tmp=tmp_path)
    before = sorted(tmp_path.iterdir())
    for ask in (mlflow_dvc.search, mlflow_dvc.show):
        with pytest.raises(TrackingUnavailableError) as caught:
            ask("abcdef", tracking_uri=uri)
        assert caught.value.tracking_uri == uri
    assert sorted(tmp_path.iterdir()) == before


# --- the command line ----------------------------------------------------------------------------


def test_status_command(pipeline: Project):
    """``status --json`` prints the documented fields, equal to what a run would record."""
    done = pipeline.cli("status", "--json")
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert list(answer) == [
        "schema", "root", "git", "stage", "experiment", "data_version", "data", "tags", "warnings",
    ]  # fmt: skip
    assert answer["schema"] == 1
    assert answer["root"] == str(pipeline.root)
    assert answer["git"] == {
        "sha": pipeline.git("rev-parse", "HEAD"),
        "branch": "main",
        "describe": None,
        "dirty": False,
        "remote_url": None,
    }
    rows = {row["path"]: row for row in answer["data"]}
    assert list(rows["data/parts"]) == [
        "path", "algorithm", "hash", "size", "nfiles", "cached", "stage", "source", "state",
    ]  # fmt: skip
    assert rows["data/parts"]["nfiles"] == 2
    assert rows["metrics.json"]["cached"] is False
    assert rows[RAW]["stage"] == "data/raw.csv.dvc"
    assert {row["state"] for row in answer["data"]} == {"unverified"}
    pipeline.python("run.py")
    [run] = mlflow.search_runs(search_all_experiments=True, output_format="list")
    told = {key: value for key, value in answer["tags"].items() if key != "dvc.data_status"}
    assert told.items() <= run.data.tags.items()
    checked = json.loads(pipeline.cli("status", "--check", "--json").stdout)
    assert checked["tags"].items() <= run.data.tags.items()
    assert {row["state"] for row in checked["data"]} == {"clean"}


def test_status_for_people(pipeline: Project):
    """``status`` names the commit, the data version and each path; messages go to stderr."""
    pipeline.write("broken.dvc", "outs: [")
    done = pipeline.cli("status")
    assert done.returncode == 0
    for word in (pipeline.git("rev-parse", "HEAD"), "data/parts", "not cached", ".dir"):
        assert word in done.stdout
    assert "warning: broken.dvc" in done.stderr
    assert "\x1b" not in done.stdout, "no colour into a pipe"


def test_status_of_a_path(pipeline: Project, tmp_path: Path):
    """``status PATH`` looks at PATH, from anywhere."""
    done = pipeline.cli("status", str(pipeline.root / "data"), "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["root"] == str(pipeline.root)


@pytest.mark.parametrize("words", [["status"], ["status", "--json"]])
def test_status_of_nothing(directory: Project, words: list[str]):
    """Where there is neither git nor DVC ``status`` says so, what to do, and exits with 2."""
    done = directory.cli(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "neither a git repository nor a DVC project" in done.stderr
    assert "git init" in done.stderr


def test_search_command(two_runs: tuple[str, str], pipeline: Project):
    """``search`` prints the runs and exits with 0, or with 1 when no run saw it."""
    done = pipeline.cli("search", RAW, "--json")
    assert done.returncode == 0
    assert [run["run_id"] for run in json.loads(done.stdout)["runs"]] == list(reversed(two_runs))
    done = pipeline.cli("search", raw_hash("a,b\n7,8\n")[:8])
    assert done.returncode == 0
    assert two_runs[1] in done.stdout
    assert two_runs[0] not in done.stdout
    done = pipeline.cli("search", "nothing")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no run saw nothing" in done.stderr


def test_search_command_narrowed(three_relations: tuple[str, str, str], pipeline: Project):
    """``search`` prints what each run had to do with the data, and takes the options of the
    function."""
    train, report, _ = three_relations
    done = pipeline.cli("search", MODEL)
    for word in ("how", "made", "read", "lay there"):
        assert word in done.stdout
    raw = json.loads(pipeline.cli("search", MODEL, "--made", "--json").stdout)["runs"]
    assert [(run["run_id"], run["data"][0]["relation"]) for run in raw] == [(train, "made")]
    words = ["--read", "--experiment", "tests", "--stage", "report", "--limit", "1"]
    done = pipeline.cli("search", MODEL, *words)
    assert report in done.stdout
    assert train not in done.stdout
    done = pipeline.cli("search", RAW, "--read")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no run read" in done.stderr
    assert "without these options" in done.stderr
    done = pipeline.cli("search", RAW, "--experiment", "nowhere")
    assert done.returncode == 2
    assert "'tests'" in done.stderr
    assert pipeline.cli("search", RAW, "--limit", "0").returncode == 2


def test_show_command(two_runs: tuple[str, str], pipeline: Project):
    """``show`` prints the record and exits with 0, with 1 for a run without, with 2 for no run."""
    done = pipeline.cli("show", two_runs[0], "--json")
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert answer["snapshot"]["git"]["sha"] == pipeline.git("rev-parse", "HEAD")
    assert answer["tags"]["git_sha"] == pipeline.git("rev-parse", "HEAD")
    done = pipeline.cli("show", two_runs[0])
    assert done.returncode == 0
    assert RAW in done.stdout
    assert "Downloading" not in done.stderr
    with mlflow_dvc.disabled(), mlflow.start_run() as run:
        pass
    assert pipeline.cli("show", run.info.run_id).returncode == 1
    done = pipeline.cli("show", "0" * 32)
    assert done.returncode == 2
    assert "MLFLOW_TRACKING_URI" in done.stderr


def test_no_server_command(pipeline: Project, tmp_path: Path):
    """A server that cannot be asked is exit code 2 and no traceback."""
    done = pipeline.cli("search", "abcd", "--tracking-uri", f"sqlite:///{tmp_path}/none.db")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "none.db" in done.stderr


def test_names_with_escapes(pipeline: Project, tracking_uri: str):
    """Names that come from a shared server cannot steer the reader's terminal."""
    evil = "evil \x1b[31m[bold]name[/bold]\x07"
    pipeline.python("run.py")
    [run] = mlflow.search_runs(search_all_experiments=True, output_format="list")
    mlflow.MlflowClient().set_tag(run.info.run_id, "mlflow.runName", evil)
    for command in (["show", run.info.run_id], ["search", RAW]):
        done = pipeline.cli(*command)
        assert "\x1b" not in done.stdout
        assert "\x07" not in done.stdout
        assert "[bold]name[/bold]" in done.stdout


def test_a_newer_database(pipeline: Project, tmp_path: Path):
    """A database of another MLflow version is an answer in words, not a traceback."""
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as database:
        database.execute("update alembic_version set version_num = 'ffffffffffff'")
    database.close()
    done = pipeline.cli("search", "abcd")
    assert done.returncode == 2
    assert "could not be asked" in done.stderr
