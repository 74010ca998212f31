"""Lineage: from a model to raw data, and from data to the models that were trained on it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
import yaml
from conftest import Project, environment, make_home
from pages import HOSTILE, Page

import mlflow_dvc
from mlflow_dvc.cli.main import cli
from mlflow_dvc.cli.render import lineage_drawing
from mlflow_dvc.dvc_backend.storage.directory_search import search_directories
from mlflow_dvc.errors import RunNotFoundError, TrackingUnavailableError
from mlflow_dvc.recall.lineage import Lineage, Node
from mlflow_dvc.snapshot import DataEntry, GitState, Snapshot, StageNode
from mlflow_dvc.tags import to_tags

pytestmark = pytest.mark.hosts

PIPELINE = """\
stages:
  prepare:
    cmd: python src/prepare.py
    deps: [data/raw, data/labels.csv, src/prepare.py]
    outs: [data/parts]
  train:
    cmd: python src/train.py
    deps: [data/parts, src/train.py]
    outs: [models/model.txt]
  report:
    cmd: python src/report.py
    deps: [models/model.txt]
    outs: [report.txt]
"""
PREPARE = """\
from pathlib import Path

labels = Path("data/labels.csv").read_text()
Path("data/parts").mkdir()
for path in Path("data/raw").iterdir():
    Path("data/parts", path.name).write_text(path.read_text() + labels)
"""
TRAIN = """\
import mlflow
from pathlib import Path

with mlflow.start_run() as run:
    text = "".join(path.read_text() for path in sorted(Path("data/parts").iterdir()))
    Path("models").mkdir(exist_ok=True)
    Path("models/model.txt").write_text("model of " + text)
    mlflow.log_artifact("models/model.txt", "model")
    client = mlflow.MlflowClient()
    if not list(client.search_registered_models()):
        client.create_registered_model("churn")
    client.create_model_version("churn", f"runs:/{run.info.run_id}/model", run.info.run_id)
    if hasattr(mlflow, "create_external_model"):
        mlflow.create_external_model(name="net", source_run_id=run.info.run_id)
"""
REPORT = """\
import mlflow
from pathlib import Path

with mlflow.start_run():
    Path("report.txt").write_text("report on " + Path("models/model.txt").read_text())
"""


def around(home: Path) -> dict[str, str]:
    """The environment of the trained project, or of a copy of it, with the server beside it."""
    return environment(home) | {"MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db"}


@pytest.fixture(scope="session")
def trained(shared: Callable[..., Path], empty_database: Path, initialised: Path) -> Path:
    """Labels imported from another project, a folder of raw data, and a pipeline of three stages
    whose last two log: reproduced on two versions of the raw data, and pushed."""

    def make(top: Path) -> None:
        make_home(top)
        shutil.copy(empty_database, top)
        for name in ("labels", "project"):
            shutil.copytree(initialised, top / name)
        train(*(Project(top / name, around(top)) for name in ("labels", "project")))

    return shared("trained", make)


def train(other: Project, project: Project) -> None:
    other.write("labels.csv", "yes\nno\n")
    other.dvc("add", "--quiet", "labels.csv")
    other.commit("labels")
    other.git("tag", "v1")
    project.write("dvc.yaml", PIPELINE)
    for name, text in (("prepare", PREPARE), ("train", TRAIN), ("report", REPORT)):
        project.write(f"src/{name}.py", text)
    project.write("data/raw/a.csv", "1,2\n")
    project.write("data/raw/b.csv", "3,4\n")
    project.dvc("import", "--quiet", str(other.root), "labels.csv", "-o", "data/labels.csv",
                "--rev", "v1")  # fmt: skip
    storage = f"url = {project.root.parent}/storage\n"
    project.write(".dvc/config", f"[core]\nremote = storage\n['remote \"storage\"']\n{storage}")
    project.dvc("add", "--quiet", "data/raw")
    project.commit("pipeline")
    project.git("tag", "v1")
    project.dvc("repro")
    project.commit("first")
    project.write("data/raw/b.csv", "5,6\n")
    project.dvc("add", "--quiet", "data/raw")
    project.commit("second data")
    project.dvc("repro")
    project.commit("second")
    project.dvc("push", "--quiet", "--all-commits")


@pytest.fixture
def project(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The trained project, to be looked at and not touched."""
    for name, value in around(trained).items():
        monkeypatch.setenv(name, value)
    found = Project(trained / "project")
    monkeypatch.chdir(found.root)
    return found


@pytest.fixture
def mine(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it, with a copy of its MLflow store."""
    shutil.copytree(trained / "project", tmp_path / "project", symlinks=True)
    shutil.copy(trained / "mlflow.db", tmp_path / "mlflow.db")
    for name, value in around(tmp_path).items():
        monkeypatch.setenv(name, value)
    found = Project(tmp_path / "project")
    found.git("update-index", "-q", "--refresh")
    monkeypatch.chdir(found.root)
    return found


def above(lineage: Lineage) -> set[tuple[str, str]]:
    return {(node.kind, node.name) for node in lineage.nodes if node.key in lineage.above}


def below(lineage: Lineage) -> set[tuple[str, str]]:
    return {(node.kind, node.name) for node in lineage.nodes if node.key not in lineage.above}


def models(lineage: Lineage) -> set[str]:
    return {name for kind, name in below(lineage) if kind == "model version"}


def one(lineage: Lineage, kind: str, name: str | None = None) -> Node:
    [found] = [
        node for node in lineage.nodes if node.kind == kind and name in (None, node.name)
    ]  # fmt: skip
    return found


def links(lineage: Lineage) -> set[tuple[str, str, str]]:
    """How what leads to what, by their kinds and names."""
    names = {node.key: f"{node.kind} {node.name}" for node in lineage.nodes}
    return {(names[edge.start], edge.how, names[edge.end]) for edge in lineage.edges}


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """``told("cafe", "--json")``: exit code, stdout and stderr of ``mlflow-dvc lineage``."""

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli(["lineage", *words], standalone_mode=False)
        return (code, *capsys.readouterr())

    return call


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def folder(lock: str, name: str) -> str:
    """The hash of an input in a lock of DVC's, read the plain way."""
    deps = yaml.safe_load(lock)["stages"]["prepare"]["deps"]
    return next(dep["md5"] for dep in deps if dep["path"] == name)


def test_from_a_model_to_raw_data(project: Project, trained: Path):
    """A registered version leads to its run, the run's commit, and through every stage to the
    data that lay above, to the revision of another project that a part of it was imported from."""
    found = mlflow_dvc.lineage("models:/churn/1")
    lock = project.git("show", "HEAD~2:dvc.lock")
    labels = Project(trained / "labels")
    run = one(found, "run").name
    assert links(found) == {
        (f"run {run}", "registered", "model version models:/churn/1"),
        ("stage train", "ran", f"run {run}"),
        ("code v1", "code of", f"run {run}"),
        ("data data/parts", "read", "stage train"),
        ("stage prepare", "made", "data data/parts"),
        ("data data/raw", "read", "stage prepare"),
        ("data data/labels.csv", "read", "stage prepare"),
        (f"source {labels.root}@{labels.git('rev-parse', 'v1')}", "imported",
         "data data/labels.csv"),
    }  # fmt: skip
    assert one(found, "data", "data/raw").id == folder(lock, "data/raw")
    assert one(found, "data", "data/labels.csv").id == md5("yes\nno\n")
    assert one(found, "code").id == project.git("rev-parse", "v1")
    assert not [edge for edge in found.edges if edge.doubt]
    assert found.warnings == ()


def test_from_data_to_models(project: Project):
    """Data leads to the models of every run that read it, in whatever stage above the run's."""
    first = folder(project.git("show", "HEAD~2:dvc.lock"), "data/raw")
    assert models(mlflow_dvc.lineage(f"data/raw@{first}")) == {"models:/churn/1"}
    assert models(mlflow_dvc.lineage(first[:10])) == {"models:/churn/1"}
    both = {"models:/churn/1", "models:/churn/2"}
    assert models(mlflow_dvc.lineage("data/raw")) == both
    found = mlflow_dvc.lineage("data/labels.csv")
    assert models(found) == both
    assert ("stage", "report") in below(found), "the run of a later stage read what training made"
    assert sum(kind == "run" for kind, _ in below(found)) == 4
    if hasattr(mlflow, "create_external_model"):
        assert ("logged model", "net") in below(found)


def test_made_by_a_run(project: Project):
    """What a stage made that logged a run of its own leads to that run, not to its bare stage."""
    found = mlflow_dvc.lineage(f"report.txt@{project.lock()['report.txt']}")
    runs = {node.facts["stage"]: node for node in found.nodes if node.kind == "run"}
    made = links(found)
    assert (f"run {runs['report'].name}", "made", "data report.txt") in made
    assert (f"run {runs['train'].name}", "made", "data models/model.txt") in made
    assert ("data models/model.txt", "read", "stage report") in made
    assert ("data", "data/raw") in above(found)


def test_of_a_run(project: Project):
    """A run leads both ways: to its data, to its models, and to the runs that read its outputs."""
    run = one(mlflow_dvc.lineage("models:/churn/2"), "run")
    found = mlflow_dvc.lineage(run.id[:12])
    assert found.subjects == (run.key,)
    assert mlflow_dvc.lineage(run.id).edges == found.edges
    assert models(found) == {"models:/churn/2"}
    assert {("data", "models/model.txt"), ("stage", "report")} <= below(found)
    assert {("data", "data/raw"), ("stage", "prepare")} <= above(found)


def test_of_a_logged_model(project: Project):
    """The id of a logged model leads to its run, and so to the data."""
    if not hasattr(mlflow, "create_external_model"):
        with pytest.raises(RunNotFoundError, match="MLflow 3"):
            mlflow_dvc.lineage("m-0")
        return
    model = one(mlflow_dvc.lineage(one(mlflow_dvc.lineage("models:/churn/1"), "run").id),
                "logged model")  # fmt: skip
    for ref in (model.id, f"models:/{model.id}"):
        assert ("data", "data/labels.csv") in above(mlflow_dvc.lineage(ref))
    with pytest.raises(RunNotFoundError):
        mlflow_dvc.lineage("m-0")


def test_of_a_version_of_a_logged_model(mine: Project):
    """A version registered from a logged model hangs on it."""
    if not hasattr(mlflow, "create_external_model"):
        pytest.skip("logged models came with MLflow 3")
    run = one(mlflow_dvc.lineage("models:/churn/1"), "run")
    [model] = [node for node in mlflow_dvc.lineage(run.id).nodes if node.kind == "logged model"]
    client = mlflow.MlflowClient()
    client.create_model_version("churn", f"models:/{model.id}", model_id=model.id)
    client.set_registered_model_alias("churn", "prod", "3")
    found = mlflow_dvc.lineage("models:/churn@prod")
    registered = ("logged model net", "registered", "model version models:/churn/3")
    assert registered in links(found)
    assert ("data", "data/labels.csv") in above(found)
    assert registered in links(mlflow_dvc.lineage("data/labels.csv"))
    assert registered in links(mlflow_dvc.lineage(model.id))


def test_a_file_inside_folders(mine: Project, tmp_path: Path):
    """A file within a tracked folder, by its path, its content or its hash, leads to the models
    that were trained on a version of the folder that has it."""
    copy = tmp_path / "copy.csv"
    copy.write_text("3,4\n")
    both = {"models:/churn/1", "models:/churn/2"}
    assert models(mlflow_dvc.lineage("data/raw/a.csv")) == both
    assert models(mlflow_dvc.lineage("data/raw/b.csv")) == {"models:/churn/2"}
    for what in (str(copy), md5("3,4\n")[:12]):
        found = mlflow_dvc.lineage(what)
        assert models(found) == {"models:/churn/1"}
        assert ("data data/raw/b.csv", "part of", "data data/raw") in links(found)
    assert not mlflow_dvc.lineage("data/raw/c.csv")


def test_a_file_that_is_gone(mine: Project):
    """What is neither in the work tree nor in the cache is found by its name, in the listings of
    a DVC remote."""
    shutil.rmtree("data/raw")
    shutil.rmtree(".dvc/cache")
    found = mlflow_dvc.lineage("data/raw/b.csv")
    assert models(found) == {"models:/churn/1", "models:/churn/2"}
    there = {node.id for node in found.nodes if node.name == "data/raw/b.csv"}
    assert there == {md5("3,4\n"), md5("5,6\n")}


def test_folders_that_cannot_be_looked_into(mine: Project, tmp_path: Path, monkeypatch, told):
    """A version of a folder that nothing lists any more is named, not passed over in silence."""
    first = folder(mine.git("show", "HEAD~2:dvc.lock"), "data/raw")
    [kept] = (mine.root / ".dvc/cache").rglob(first[2:])
    kept.unlink()
    mine.write(".dvc/config", f"['remote \"empty\"']\nurl = {tmp_path}/empty\n")
    found = mlflow_dvc.lineage("data/raw/a.csv")
    assert models(found) == {"models:/churn/2"}
    [warning] = found.warnings
    assert "could not be looked into" in warning
    assert first in warning
    monkeypatch.chdir(tmp_path)
    code, _, said = told(md5("3,4\n"))
    assert code == 1
    assert "no DVC project here" in said


def test_what_a_stage_read_is_what_its_lock_says(mine: Project):
    """Raw data that changed after a stage ran is not what its output came from."""
    old = folder((mine.root / "dvc.lock").read_text(), "data/raw")
    mine.write("data/raw/a.csv", "7,8\n")
    mine.dvc("add", "--quiet", "data/raw")
    mine.dvc("repro", "--single-item", "--force", "train")
    new = yaml.safe_load((mine.root / "data/raw.dvc").read_text())["outs"][0]["md5"]
    assert new != old
    found = mlflow_dvc.lineage("models:/churn/3")
    assert one(found, "data", "data/raw").id == old
    found = mlflow_dvc.lineage(f"data/raw@{new}")
    assert models(found) == set()
    [edge] = found.edges
    assert (edge.how, "does not read it" in edge.doubt) == ("saw", True)


def test_data_that_was_modified(mine: Project):
    """Data that somebody changed by hand did not come from the stage that wrote it once."""
    mine.write("data/parts/a.csv", "by hand")
    mine.run(sys.executable, "src/train.py")
    found = mlflow_dvc.lineage("models:/churn/3")
    parts = one(found, "data", "data/parts")
    assert parts.facts["state"] == "modified"
    assert ("stage", "prepare") not in above(found)


@pytest.fixture
def record(tracking_uri: str, tmp_path: Path) -> Callable[..., str]:
    """``record(snapshot)``: the id of a run that carries it."""

    def make(snapshot: Snapshot | None, raw: object = None) -> str:
        with mlflow_dvc.disabled(), mlflow.start_run() as run:
            if snapshot is not None:
                mlflow.set_tags(to_tags(snapshot))
                mlflow.log_dict(raw or snapshot.to_dict(), "dvc/snapshot.json")
        return run.info.run_id

    return make


def test_without_a_record(record, told):
    """Of a run without a record, and of a hash that nobody saw, nothing is known: exit code 1."""
    run_id = record(None)
    found = mlflow_dvc.lineage(run_id)
    assert not found
    assert found.warnings == (f"run {run_id} carries no record of ours",)
    assert told(run_id)[0] == 1
    assert told("0123456789abcdef", "--html", "-")[0] == 1
    assert told("nothing/here.csv") == (1, "", "no run saw nothing/here.csv\n")
    code, answer, _ = told("cafe", "--json")
    assert (code, json.loads(answer)) == (1, {
        "schema": 1, "what": "cafe", "subjects": [], "nodes": [], "edges": [], "warnings": [],
    })  # fmt: skip


def test_no_answer(tracking_uri: str, tmp_path: Path):
    """A model that is not there and a server that does not answer are refused: exit code 2."""
    with pytest.raises(RunNotFoundError):
        mlflow_dvc.lineage("models:/none/1")
    with pytest.raises(TrackingUnavailableError):
        mlflow_dvc.lineage("cafe", tracking_uri=f"sqlite:///{tmp_path}/nowhere.db")
    assert Project(tmp_path).cli("lineage", "models:/none/1").returncode == 2


def entry(path: str, stage: str, number: int, **more: object) -> DataEntry:
    return DataEntry(path, "md5", f"{number:032x}", stage=stage, **more)


def test_claims_are_no_facts(record):
    """A hash that only a lock of an earlier run tells, or none at all, is not given out as one."""
    run_id = record(
        Snapshot(
            git=GitState("a" * 40),
            root=".",
            stage="train",
            stages=(StageNode("train", ("data.csv", "gone.csv")),),
            data=(
                entry("data.csv", "data.csv.dvc", 1, role="input"),
                entry("model", "train", 2, role="output", certainty="stale"),
            ),
            deps=(
                entry("data.csv", "train", 1, role="input"),
                DataEntry("gone.csv", "md5", None, stage="train", role="input"),
            ),
            seal="none",
        )
    )
    found = mlflow_dvc.lineage(run_id)
    assert one(found, "data", "data.csv").id is not None
    assert one(found, "data", "gone.csv").id is None
    model = one(found, "data", "model")
    assert (model.id, model.facts["claimed"]) == (None, f"{2:032x}")
    doubts = {edge.start: edge.doubt for edge in found.edges} | {
        edge.end: edge.doubt for edge in found.edges
    }
    for name in ("data.csv", "gone.csv", "model"):
        assert doubts[one(found, "data", name).key]
    assert f"{2:032x}"[:8] not in page(found).text or "hash not known" in page(found).text
    assert not mlflow_dvc.lineage(f"{2:032x}")


def page(lineage: Lineage) -> Page:
    return Page(lineage_drawing.draw_page(lineage))


def test_round_and_round(record):
    """Records that say that data came from itself end all the same."""
    stages = (StageNode("a", ("y",)), StageNode("b", ("x",)))
    data = (entry("x", "a", 1, role="input"), entry("y", "b", 2, role="input"))
    for stage in ("a", "b"):
        mine = tuple(
            DataEntry(**{**vars(one), "role": "output", "certainty": "sealed"})
            if one.stage == stage else one
            for one in data
        )  # fmt: skip
        deps = tuple(entry(dep, stage, "xy".index(dep) + 1, role="input", certainty="disk")
                     for node in stages if node.address == stage for dep in node.deps)  # fmt: skip
        run_id = record(Snapshot(root=".", stage=stage, stages=stages, data=mine, deps=deps,
                                 seal="provisional", data_status="clean"))  # fmt: skip
    for what in (run_id, "x", "y"):
        found = mlflow_dvc.lineage(what)
        assert {("data", "x"), ("data", "y")} <= above(found)
        assert page(found).text


def test_many_outputs(record):
    """The readers of many outputs are found, and runs that saw one of them and read none are not
    among them."""

    def kept(number: int) -> DataEntry:
        return entry(f"p{number}", f"make{number}", number + 1, certainty="sealed", role="output")

    stages = tuple(StageNode(f"make{number}", ("raw",)) for number in range(7))
    raw = entry("raw", "raw.dvc", 99, role="input", certainty="disk")
    for number in range(7):
        record(Snapshot(root=".", stage=f"make{number}", stages=stages, data=(raw, kept(number)),
                        deps=(raw,), seal="confirmed", data_status="clean"))  # fmt: skip
    made = tuple(replace(kept(number), role="input", certainty="locked") for number in range(7))
    deps = tuple(replace(one, certainty="disk") for one in made[:6])
    ids = [
        record(
            Snapshot(
                root=".",
                stage="use",
                data=made,
                deps=used,
                seal="confirmed",
                stages=(*stages, StageNode("use", tuple(one.path for one in used))),
                data_status="clean",
            )
        )
        for used in (deps, (raw,))
    ]
    found = mlflow_dvc.lineage("raw")
    below_raw = {node.id for node in found.nodes if node.kind == "run"}
    assert len(below_raw) == 9
    assert f"run {ids[0]}" in {edge.end for edge in found.edges}
    of_one = mlflow_dvc.lineage("p3")
    how = {edge.end: edge.how for edge in of_one.edges}
    assert how[f"run {ids[0]}"] == "ran"
    assert how[f"run {ids[1]}"] == "saw"


def test_odd_names_in_a_listing(initialised: Path, tmp_path: Path):
    """Whatever files of a folder are called, the one of a content, or at a path, is found."""
    root = shutil.copytree(initialised, tmp_path / "project")
    odd = ['{"md5": "x', "}{", 'a"b', '"' + md5("1")[:8], "plain"]
    rows = [{"md5": md5(str(number)), "relpath": name} for number, name in enumerate(odd)]
    content = json.dumps(rows, sort_keys=True).encode()
    value = hashlib.md5(content).hexdigest()
    cache = root / ".dvc/cache/files/md5" / value[:2]
    cache.mkdir(parents=True)
    (cache / f"{value[2:]}.dir").write_bytes(content)
    folder = f"{value}.dir"
    for number, name in enumerate(odd):
        row = (md5(str(number)), name)
        assert search_directories(str(root), [folder], md5=row[0][:8], paths={}).found == {
            folder: [row]
        }
    paths = {folder: odd[0], "0" * 32 + ".dir": "x"}
    answer = search_directories(str(root), list(paths), paths=paths)
    assert answer.found == {folder: [(md5("0"), odd[0])]}
    assert list(answer.unknown) == ["0" * 32 + ".dir"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stages", [{"address": 7, "deps": [None, 5]}]),
        ("data", [{"path": 1, "algorithm": 2, "hash": 3}, {"path": "x", "algorithm": "md5",
          "hash": "a" * 32, "stage": ["s"], "source": {}}]),
        ("deps", [{"path": None, "algorithm": "md5", "hash": [1]}]),
        ("git", {"sha": 5, "branch": ["x"], "dirty": "maybe"}),
        ("locks", {"dvc.lock": 5}),
        ("stage", {"not": "a name"}),
    ],
)  # fmt: skip
def test_damaged_records(record, told, name: str, value: object):
    """What others wrote into a record in place of names and hashes is passed over."""
    good = Snapshot(git=GitState("a" * 40), root=".", data=(entry("d.csv", "d.csv.dvc", 1),))
    run_id = record(good, good.to_dict() | {name: value})
    assert told(run_id)[0] in (0, 1)
    assert page(mlflow_dvc.lineage(run_id)).text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_stay_names(record, told, name: str):
    """A hostile name is text in the page, and drives no terminal."""
    seen = DataEntry(name, "md5", "a" * 32, stage=name, source=name, state="modified")
    plain = DataEntry("d", "md5", "a" * 32, stage="s", source="s", state="modified")
    pages = []
    for one_entry, word in ((plain, "s"), (seen, name)):
        run_id = record(
            Snapshot(
                git=GitState("a" * 40, word, describe=word),
                root=".",
                stage=word,
                stages=(StageNode(word, (one_entry.path,)),),
                data=(one_entry,),
                deps=(DataEntry(**{**vars(one_entry), "role": "input"}),),
                warnings=(word,),
            )
        )
        found = mlflow_dvc.lineage(run_id)
        pages.append(page(found))
        assert name in {node.name for node in found.nodes} or word == "s"
    assert set(pages[0].tags) == set(pages[1].tags)
    assert {key for key, _ in pages[0].attributes} == {key for key, _ in pages[1].attributes}
    assert "\x1b" not in pages[1].text
    code, shown, said = told(run_id)
    assert code == 0
    assert "\x1b" not in shown + said


def test_as_page_and_json(project: Project, tmp_path: Path, told):
    """The page needs nothing else and has every thing of the graph; JSON has the graph itself."""
    target = tmp_path / "lineage.html"
    assert told("models:/churn/1", "--html", str(target)) == (0, "", "")
    text = Page(target.read_text("utf-8"))
    assert not {"script", "link", "img", "iframe", "object", "a"} & set(text.tags)
    assert not {"src", "href", "xlink:href", "srcset"} & {key for key, _ in text.attributes}
    found = mlflow_dvc.lineage("models:/churn/1")
    assert all(node.name in text.text and (node.id or "") in text.text for node in found.nodes)
    assert "(asked for)" in target.read_text("utf-8")
    assert Page(told("models:/churn/1", "--html", "-")[1]).text == text.text
    answer = json.loads(told("models:/churn/1", "--json")[1])
    assert answer["schema"] == 1
    assert {node["key"] for node in answer["nodes"]} == {node.key for node in found.nodes}
    assert answer["edges"] == [vars(edge) for edge in found.edges]


def test_as_a_tree(project: Project, told):
    """In the terminal there are two trees, each thing below what it came from, or came of."""
    code, shown, _ = told(f"data/parts@{project.lock()['data/parts']}")
    before, after = shown.split("came of it")
    assert code == 0
    assert before.index("stage  prepare") < before.index("data  data/raw")
    assert after.index("stage  train") < after.index("model version  models:/churn/2")
    assert "models:/churn/1" not in after
