"""What a stage reads that lies on no disk: datasets of dvc.yaml, and data at addresses."""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from conftest import Project
from dvc.repo import datasets
from sealed import seal_of, synced

import mlflow_dvc
from mlflow_dvc.snapshot import DataEntry

pytestmark = pytest.mark.hosts

CHAIN = "dc" if hasattr(datasets, "DatachainDataset") else "dvcx"
STAGE = "  {name}: {{cmd: python train.py {name}, deps: ['{dep}', train.py], outs: [{name}.txt]}}\n"
TRAIN = """\
import sys
import mlflow

with mlflow.start_run():
    mlflow.log_metric("x", 1)
open(sys.argv[1] + ".txt", "w").write(sys.argv[1])
"""


def stages(dep: str, *names: str) -> str:
    return "stages:\n" + "".join(STAGE.format(name=name, dep=dep) for name in names or ("train",))


@pytest.fixture(scope="session")
def registry(shared: Callable[..., Path], initialised: Path) -> Project:
    """Another project, with the tags v1 and v2 of its data."""

    def make(folder: Path) -> None:
        shutil.copytree(initialised, folder / "registry", symlinks=True)
        other = Project(folder / "registry")
        for tag in ("v1", "v2"):
            other.write("data/x.csv", tag)
            other.write("more/y.csv", tag)
            other.commit(tag)
            other.git("tag", tag)

    return Project(shared("registry", make) / "registry")


@pytest.fixture
def here(project: Project, tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a script that logs a run, as the working directory."""
    project.write("train.py", TRAIN)
    project.write("tracked.csv", "1\n")
    project.write(".gitignore", "/mlflow.db\n/mlruns/\n")
    project.dvc("add", "--quiet", "tracked.csv")
    monkeypatch.chdir(project.root)
    return project


@pytest.fixture
def reader(here: Project, registry: Project) -> Project:
    """Its stage reads the data of the registry, at v1."""
    here.dvc("ds", "add", "-q", "ex", "--dvc", str(registry.root), "--rev", "v1", "--path", "data")
    define(here, stages("ds://ex"))
    here.commit("stage")
    return here


def define(project: Project, text: str) -> None:
    file = project.root / "dvc.yaml"
    before = file.read_text().partition("stages:")[0] if file.exists() else ""
    file.write_text(before + text)


def snapshot_of(run: Any) -> mlflow_dvc.Snapshot:
    found = mlflow_dvc.show(run.info.run_id).snapshot
    assert found is not None
    return found


def dep_of(run: Any, path: str) -> DataEntry:
    return next(dep for dep in snapshot_of(run).deps if dep.path == path)


def reason_of(run: Any, path: str) -> str:
    """Why ``verify`` cannot tell of it; it must not tell more."""
    [found] = mlflow_dvc.verify(run.info.run_id)
    assert found.verdict == "UNVERIFIED"
    [item] = [item for item in found.items if item.name == path]
    assert item.verdict == "UNVERIFIED"
    return item.reason


def found_by(what: str) -> set[str]:
    return {match.run_id for match in mlflow_dvc.search(what)}


def version_of(run: Any) -> str | None:
    version: str | None = run.data.tags.get("dvc.data_version")
    return version


def test_dataset(reader: Project, registry: Project, runs, attached):
    """A stage that reads a dataset is sealed as DVC writes it, with the version that it read."""
    reader.dvc("repro", "-q")
    [run] = runs()
    rev = registry.git("rev-parse", "v1")
    dep = dep_of(run, "ds://ex")
    assert (dep.hash, dep.role, dep.source) == (rev, "input", f"{registry.root}@{rev}")
    files = attached(run.info.run_id)
    assert files["dvc.lock"] == (reader.root / "dvc.lock").read_bytes()
    assert snapshot_of(run).warnings == ()
    assert run.data.tags["dvc.data_status"] == "clean"
    assert rev in run.data.tags["dvc.hashes"]
    [logged] = run.inputs.dataset_inputs
    assert (logged.dataset.name, logged.dataset.digest) == ("ds://ex", rev[:36])
    with pytest.raises(mlflow_dvc.DataNotFoundError, match="cannot be verified"):
        mlflow.data.get_source(logged).load()
    assert rev[:8] in files["record.md"].decode()
    assert rev[:8] in reader.cli("show", run.info.run_id).stdout


def test_other_version(reader: Project, registry: Project, runs):
    """Another version of a dataset is told by search, diff, lineage and the data version."""
    reader.dvc("repro", "-q")
    reader.dvc("ds", "update", "-q", "ex", "--rev", "v2")
    reader.dvc("repro", "-q")
    old, new = runs()
    was, now = registry.git("rev-parse", "v1"), registry.git("rev-parse", "v2")
    assert version_of(old) != version_of(new)
    assert found_by("ds://ex") == {old.info.run_id, new.info.run_id}
    for what in (now, now[:7], now[:36], f"ds://ex@{now[:8]}"):
        assert found_by(what) == {new.info.run_id}
    assert mlflow_dvc.search(was)[0].data[0].path == "ds://ex"
    difference = mlflow_dvc.diff(old.info.run_id, new.info.run_id)
    [change] = [one for one in difference.data.changes if one.path == "ds://ex"]
    assert change.status == "modified"
    assert reader.cli("diff", old.info.run_id, new.info.run_id).returncode == 1
    for what in (new.info.run_id, "ds://ex"):
        graph = mlflow_dvc.lineage(what)
        assert f"{registry.root}@{now}" in {node.name for node in graph.nodes}
    assert f"{registry.root}@{now}" in reason_of(new, "ds://ex")
    assert dep_of(old, "ds://ex").hash == was


def test_by_hand(reader: Project, runs):
    """A run by hand has the version of dvc.lock, and the data version of `dvc repro`."""
    reader.dvc("repro", "-q")
    reader.python("train.py", "train")
    by_dvc, by_hand = runs()
    assert dep_of(by_hand, "ds://ex").hash == dep_of(by_dvc, "ds://ex").hash
    assert version_of(by_hand) == version_of(by_dvc) is not None
    assert seal_of(by_hand) == "none"


def test_another_part(reader: Project, registry: Project, runs):
    """Another part of the same revision is other data, though the revision is the same."""
    reader.dvc("repro", "-q")
    where = (str(registry.root), "--rev", "v1", "--path", "more")
    reader.dvc("ds", "add", "-q", "--force", "ex", "--dvc", *where)
    reader.dvc("repro", "-q")
    old, new = runs()
    assert dep_of(old, "ds://ex").hash == dep_of(new, "ds://ex").hash
    assert version_of(old) != version_of(new)
    difference = mlflow_dvc.diff(old.info.run_id, new.info.run_id)
    assert [one.path for one in difference.data.changes if one.status == "modified"] == ["ds://ex"]


def test_several_stages(reader: Project, runs, attached):
    """Each of several stages that read one dataset has it in its record."""
    define(reader, stages("ds://ex", "train", "test"))
    reader.dvc("repro", "-q")
    first, second = runs()
    assert dep_of(first, "ds://ex").hash == dep_of(second, "ds://ex").hash
    assert version_of(first) == version_of(second) is not None
    lock = (reader.root / "dvc.lock").read_bytes()
    assert attached(second.info.run_id)["dvc.lock"] == lock


def test_file_below(reader: Project, registry: Project, runs, attached):
    """A stage in another dvc.yaml reads the version in the lock of the one that defines it."""
    define(reader, "")
    text = stages("ds://ex").replace("train.py", "../train.py")
    reader.write("sub/dvc.yaml", text)
    reader.dvc("repro", "-q", "-R", "sub")
    [run] = runs()
    assert dep_of(run, "ds://ex").hash == registry.git("rev-parse", "v1")
    files = attached(run.info.run_id)
    for path in ("dvc.lock", "sub/dvc.lock"):
        assert files[path] == (reader.root / path).read_bytes()


def test_templates(reader: Project, registry: Project, runs, attached):
    """A dataset whose definition is a template, and its name in a dependency, are filled in."""
    file = reader.root / "dvc.yaml"
    file.write_text(file.read_text().replace("path: data", "path: ${part}"))
    reader.write("params.yaml", "part: data\nname: ex\n")
    define(reader, stages("ds://${name}"))
    reader.dvc("repro", "-q")
    [run] = runs()
    assert dep_of(run, "ds://ex").hash == registry.git("rev-parse", "v1")
    assert version_of(run) is not None
    assert attached(run.info.run_id)["dvc.lock"] == (reader.root / "dvc.lock").read_bytes()


@pytest.mark.parametrize(
    ("dep", "words"), [("ds://nope", "no dvc.yaml"), ("ds://ex", "dataset update ex")]
)
def test_no_version(reader: Project, runs, dep: str, words: str):
    """Of a dataset that nobody defines, or that was never updated, the record says why its version
    is not known."""
    (reader.root / "dvc.lock").unlink()
    define(reader, stages(dep))
    reader.python("train.py", "train")
    [run] = runs()
    assert dep_of(run, dep).hash is None
    assert version_of(run) is None
    assert run.data.tags["dvc.data_status"] == "unverified"
    assert words in run.data.tags["dvc.uncovered"]
    assert words in reason_of(run, dep)


def test_without_stage(reader: Project, registry: Project, runs):
    """A run of no stage may have read every dataset that has a version."""
    reader.write("other.py", TRAIN)
    reader.python("other.py", "a")
    reader.dvc("ds", "update", "-q", "ex", "--rev", "v2")
    reader.python("other.py", "b")
    old, new = runs()
    assert version_of(old) not in (None, version_of(new))
    assert found_by(registry.git("rev-parse", "v2")) == {new.info.run_id}
    graph = mlflow_dvc.lineage(new.info.run_id)
    assert "ds://ex" in {node.name for node in graph.nodes}


HAND_WRITTEN: dict[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "DataChain": (
        {"name": "ex", "url": "dc://animals", "type": CHAIN},
        {"version": 3, "created_at": "2024-05-01T10:20:30.123456+00:00"},
        "3",
    ),
    "pinned": (
        {"name": "ex", "url": "s3://bucket/x", "type": "url"},
        {"meta": {"size": 3, "version_id": "a", "etag": "b"}},
        None,
    ),
    "pinned folder": (
        {"name": "ex", "url": "s3://bucket/x", "type": "url"},
        {
            "meta": {"isdir": True, "size": 7, "nfiles": 2},
            "files": [
                {"relpath": "a", "meta": {"size": 3, "version_id": "a", "etag": "b"}},
                {"relpath": "b", "meta": {"size": 4, "version_id": "c", "etag": "d"}},
            ],
        },
        None,
    ),
}


@pytest.mark.parametrize("kind", HAND_WRITTEN)
def test_of_other_kinds(here: Project, runs, attached, kind: str):
    """A version of DataChain, and files of which the lock names versions, are known like a
    revision, at the start and when the stage is sealed."""
    spec, rest, version = HAND_WRITTEN[kind]
    here.write("dvc.yaml", yaml.safe_dump({"datasets": [spec]}) + stages("ds://ex"))
    lock = {"schema": "2.0", "datasets": [{**spec, **rest}], "stages": {}}
    here.write("dvc.lock", yaml.safe_dump(lock, sort_keys=False))
    here.commit("stage")
    here.dvc("repro", "-q")
    [run] = runs()
    dep = dep_of(run, "ds://ex")
    assert dep.hash is not None
    assert version in (None, dep.hash)
    assert snapshot_of(run).warnings == ()
    assert run.data.tags["dvc.data_status"] == "clean"
    assert version_of(run) is not None
    assert attached(run.info.run_id)["dvc.lock"] == (here.root / "dvc.lock").read_bytes()
    [logged] = run.inputs.dataset_inputs
    assert logged.dataset.digest == dep.hash
    assert found_by("ds://ex") == {run.info.run_id}
    reason_of(run, "ds://ex")


def test_only_sizes(here: Project, runs):
    """Where DVC keeps nothing but sizes of a dataset, equal locks are no equal data."""
    here.write("../store/a", "1")
    here.dvc("ds", "add", "-q", "ex", "--url", "../store")
    define(here, stages("ds://ex"))
    here.commit("stage")
    here.dvc("repro", "-q")
    here.dvc("repro", "-q", "--force")
    old, new = runs()
    assert version_of(old) is None
    assert old.data.tags["dvc.data_status"] == "unverified"
    assert dep_of(old, "ds://ex").hash == dep_of(new, "ds://ex").hash is not None
    assert snapshot_of(new).warnings == ()
    assert mlflow_dvc.diff(old.info.run_id, new.info.run_id).equal is None
    reason_of(new, "ds://ex")


def test_completed(reader: Project, runs):
    """What was not sealed is completed from DVC's own lock, as for every other stage."""
    reader.dvc("repro", "-q", MLFLOW_DVC_SEAL="0")
    [run] = runs()
    assert version_of(run) is not None
    [row] = synced(reader).values()
    assert row["verdict"] == "completed"
    assert dep_of(run, "ds://ex").certainty == "sealed"


class Page(http.server.BaseHTTPRequestHandler):
    """One file whose ETag is its md5."""

    body = b"1\n"

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.md5(self.body).hexdigest()}"')
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.body)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[tuple[str, type[Page]]]:
    """An address, and what lies there: its ``body`` may be changed."""
    mine = type("MyPage", (Page,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), mine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/x.csv", mine
    server.shutdown()
    server.server_close()


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def test_address(here: Project, page: tuple[str, type[Page]], runs, attached):
    """What lies at an address is known by its ETag when DVC locks the stage."""
    address, content = page
    define(here, stages(address))
    here.dvc("repro", "-q")
    content.body = b"2\n2\n"
    here.dvc("repro", "-q")
    old, new = runs()
    assert [dep_of(run, address).hash for run in (old, new)] == [etag(b"1\n"), etag(b"2\n2\n")]
    assert new.data.tags["dvc.data_status"] == "clean"
    assert None not in (version_of(old), version_of(new))
    assert version_of(old) != version_of(new)
    assert attached(new.info.run_id)["dvc.lock"] == (here.root / "dvc.lock").read_bytes()
    assert found_by(address) == {old.info.run_id, new.info.run_id}
    for what in (etag(b"2\n2\n"), etag(b"2\n2\n").strip('"')[:10]):
        assert found_by(what) == {new.info.run_id}
    assert [row.dataset.name for row in new.inputs.dataset_inputs] == [address]
    assert mlflow_dvc.search(address)[0].data[0].path == address
    difference = mlflow_dvc.diff(old.info.run_id, new.info.run_id)
    assert [one.path for one in difference.data.changes if one.status == "modified"] == [address]
    assert etag(b"2\n2\n") in reason_of(new, address)
    assert address in {node.name for node in mlflow_dvc.lineage(new.info.run_id).nodes}


@pytest.mark.parametrize("how", ["by hand", "failed"])
def test_address_before_the_seal(here: Project, page: tuple[str, type[Page]], runs, how: str):
    """Where DVC did not lock the stage, nobody looked: not at its lock of before either."""
    address, content = page
    define(here, stages(address))
    here.dvc("repro", "-q", MLFLOW_DVC_ENABLED="0")
    content.body = b"2\n2\n"
    if how == "by hand":
        here.python("train.py", "train")
    else:
        here.write("train.py", f"{TRAIN}raise SystemExit(3)\n")
        here.call("dvc", "repro", "-q")
    run = runs()[-1]
    assert dep_of(run, address).hash is None
    assert version_of(run) is None
    assert run.data.tags["dvc.data_status"] == "unverified"
    assert "not known" in reason_of(run, address)


def test_restored(reader: Project, runs, tmp_path: Path):
    """Restoring such a run brings its lock back, and tells of the dataset what it cannot know."""
    reader.dvc("repro", "-q")
    [run] = runs()
    found = mlflow_dvc.restore(run.info.run_id, to=str(tmp_path / "back"))
    assert {item.name: item.verdict for item in found.items}["ds://ex"] == "UNVERIFIED"
    lock = (tmp_path / "back" / "dvc.lock").read_bytes()
    assert lock == (reader.root / "dvc.lock").read_bytes()
    assert json.loads(reader.cli("status", "--json").stdout)["warnings"] == []
