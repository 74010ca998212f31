"""DVC data as MLflow datasets: logged by themselves, found by their hash, loaded back."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import mlflow
import mlflow.data
import pytest
from conftest import FIVE_LINES, SECONDS, Project, both_stores, few
from remotes import S3, Http

from mlflow_dvc.datasets.source import DvcDatasetSource
from mlflow_dvc.dvcfiles.remotes import default_remote
from mlflow_dvc.errors import DataNotFoundError, UntrackedPathError

pytestmark = pytest.mark.hosts


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


RAW = b"a,b\n1,2\n"


def inputs_of(run: Any) -> dict[str, str]:
    found = mlflow.MlflowClient().get_run(run.info.run_id).inputs.dataset_inputs
    return {one.dataset.name: one.dataset.digest for one in found}


def content(path: str | Path) -> dict[str, bytes] | bytes:
    path = Path(path)
    if path.is_file():
        return path.read_bytes()
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.fixture
def here(pipeline: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(pipeline.root)
    return pipeline


def track_folder(project: Project) -> None:
    """``data/folder``, of two files; what is in ``data/parts`` no stage reads."""
    for number in (1, 2):
        project.write(f"data/folder/{number}.csv", f"{number}\n")
    project.dvc("add", "--quiet", "data/folder")


@pytest.fixture
def pushed(here: Project, tmp_path: Path) -> Project:
    """The pipeline, with all data in a DVC remote and the lot in a bare git repository."""
    track_folder(here)
    here.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    here.commit("remote")
    here.dvc("push", "--quiet")
    here.git("clone", "--quiet", "--bare", ".", str(tmp_path / "origin.git"))
    here.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    return here


# --- by themselves ------------------------------------------------------------------------------


@both_stores
def test_inputs_of_a_stage(here: Project, runs):
    """A run's inputs are the data that its stage depends on, with DVC's hash as their digest."""
    here.dvc("repro", "--force", "--single-item", "train")
    [run] = runs()
    assert inputs_of(run) == {"data/prepared.csv": here.lock()["data/prepared.csv"]}
    [entry] = mlflow.MlflowClient().get_run(run.info.run_id).inputs.dataset_inputs
    assert {tag.key: tag.value for tag in entry.tags} == {
        "mlflow.data.context": "training",
        "dvc.path": "data/prepared.csv",
        "dvc.hash": entry.dataset.digest,
        "dvc.rev": here.git("rev-parse", "HEAD"),
    }
    assert json.loads(entry.dataset.profile)["size"] == 16
    assert entry.dataset.source_type == "dvc"


def test_inputs_without_a_stage(here: Project, runs):
    """A run of no stage reads, as far as anybody knows, all that is tracked, folders too; less what
    a stage makes and none reads."""
    track_folder(here)
    here.python("run.py")
    [run] = runs()
    found = inputs_of(run)
    assert found["data/raw.csv"] == md5(RAW)
    digest = found["data/folder"]
    assert digest.endswith(".dir")
    assert len(digest) == 36
    assert found.keys().isdisjoint({"data/parts", "report.txt"})
    matches = mlflow.search_runs(
        filter_string=f"dataset.digest = '{digest}'",
        search_all_experiments=True,
        output_format="list",
    )
    assert [match.info.run_id for match in matches] == [run.info.run_id]


def test_modified_and_missing(here: Project, runs):
    """What was changed has the digest of what lay there, and what was not there is no input."""
    (here.root / "data/raw.csv").unlink()
    (here.root / "data/prepared.csv").unlink()
    here.write("data/prepared.csv", "mine\n")
    here.python("run.py")
    [run] = runs()
    found = inputs_of(run)
    assert "data/raw.csv" not in found
    assert found["data/prepared.csv"] == md5(b"mine\n")


def test_the_users_own_stay(here: Project, runs):
    """What the user has logged himself, under whatever name, is not logged twice."""
    here.write(
        "run.py",
        "import mlflow, pandas as pd, warnings\n"
        "with mlflow.start_run():\n"
        "    frame = pd.read_csv('data/raw.csv')\n"
        "    data = mlflow.data.from_pandas(frame, source='data/raw.csv', name='mine')\n"
        "    mlflow.log_input(data, context='validation')\n"
        "    mlflow.log_input(mlflow.data.from_dvc('data/parts'), context='test')\n",
    )
    done = here.call("python", "run.py")
    assert done.returncode == 0, done.stderr
    [run] = runs()
    entries = mlflow.MlflowClient().get_run(run.info.run_id).inputs.dataset_inputs
    contexts = {one.dataset.name: one.tags[0].value for one in entries}
    assert contexts["mine"] == "validation"
    assert contexts["data/parts"] == "test"
    assert "data/raw.csv" not in contexts
    assert "data/prepared.csv" not in contexts, "the run has not read it"


@pytest.mark.parametrize("env", [{"MLFLOW_DVC_INPUTS": "0"}, {"MLFLOW_DVC_ENABLED": "0"}])
def test_switched_off(here: Project, runs, env: dict[str, str]):
    """MLFLOW_DVC_INPUTS=0 logs no input."""
    here.python("run.py", **env)
    assert inputs_of(runs()[0]) == {}


def test_many_outputs(make_project, runs):
    """Of thousands of outputs the first fifty are inputs; a long name is cut as MLflow wants it."""
    project = make_project()
    for number in range(60):
        text = f"outs:\n- md5: a{number:031x}\n  size: 1\n  hash: md5\n  path: d{number:02}\n"
        project.write(f"d{number:02}.dvc", text)
        project.write(f"d{number:02}", str(number))
    project.python(str(project.write("run.py", FIVE_LINES)))
    assert len(inputs_of(runs()[0])) == 50


def test_processes_at_once(here: Project, runs):
    """Of processes that log the same new data at once all have their inputs, and none fails."""
    script = here.write("run.py", FIVE_LINES)
    processes = [
        subprocess.Popen(["python", str(script)], cwd=here.root, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in processes:
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, said
    assert {len(inputs_of(run)) for run in runs()} == {3}


# --- by hand -------------------------------------------------------------------------------------


def test_tracked_path_is_a_dvc_source(here: Project):
    """``from_pandas(source=path)`` on a tracked path has a DVC source, on another MLflow's own."""
    import pandas

    frame = pandas.DataFrame({"a": [1]})
    here.write("other.csv", "a\n1\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own two sources for a path
        ours = mlflow.data.from_pandas(frame, source="data/raw.csv")
        absolute = mlflow.data.from_pandas(frame, source=str(here.root / "data/raw.csv"))
        inside = mlflow.data.from_pandas(frame, source="data/parts/1.csv")
        theirs = mlflow.data.from_pandas(frame, source="other.csv")
    for data in (ours, absolute):
        assert data.source.to_dict()["hash"] == md5(RAW)
        assert data.source.path == "data/raw.csv"
    assert inside.source.hash == md5(b"1,2")
    assert not isinstance(theirs.source, DvcDatasetSource)


def test_from_dvc(here: Project):
    """``from_dvc`` has DVC's hash for a digest, a profile, and the schema of a table."""
    data = mlflow.data.from_dvc("data/raw.csv")
    assert (data.name, data.digest) == ("data/raw.csv", md5(RAW))
    assert data.profile == {"path": "data/raw.csv", "hash": md5(RAW), "size": 8}
    assert [column.name for column in data.schema] == ["a", "b"]
    folder = mlflow.data.from_dvc("data/parts", name="parts", digest="mine")
    assert (folder.name, folder.digest, folder.schema) == ("parts", "mine", None)
    assert folder.profile["files"] == 2
    with mlflow.start_run() as run:
        mlflow.log_input(data)
    [entry] = [
        one
        for one in mlflow.get_run(run.info.run_id).inputs.dataset_inputs
        if one.dataset.name == "data/raw.csv"
    ]
    assert mlflow.data.get_source(entry).to_dict() == data.source.to_dict()


def test_profile_tells_where(pushed: Project, runs):
    """What MLflow's page shows of a dataset tells where the data can be had: the DVC remote, and
    the repository at its commit."""
    pushed.dvc("repro", "--force", "--single-item", "train")
    run_id = runs()[-1].info.run_id
    [entry] = mlflow.MlflowClient().get_run(run_id).inputs.dataset_inputs
    profile = json.loads(entry.dataset.profile)
    source = json.loads(entry.dataset.source)
    assert profile["dvc_remote"] == source["remote"]
    assert profile["git"] == f"{source['repo']}@{pushed.git('rev-parse', 'HEAD')}"


def test_at_a_revision(here: Project, monkeypatch):
    """At a revision the data is as it was then, in the project and from its folders."""
    first = here.git("rev-parse", "HEAD")
    here.write("data/raw.csv", "new\n")
    here.dvc("add", "--quiet", "data/raw.csv")
    here.commit("new data")
    assert mlflow.data.from_dvc("data/raw.csv").digest == md5(b"new\n")
    old = mlflow.data.from_dvc("data/raw.csv", rev=first)
    assert old.digest == md5(RAW)
    assert old.source.rev == first
    assert Path(old.source.load()).read_bytes() == RAW
    monkeypatch.chdir(here.root / "src")
    assert mlflow.data.from_dvc("../data/raw.csv", rev="HEAD~1").digest == md5(RAW)
    source = DvcDatasetSource._resolve(f"dvc://data/raw.csv@{first}")
    assert (source.hash, source.uri) == (md5(RAW), f"dvc://data/raw.csv@{first}")


def test_of_another_repository(pushed: Project, tmp_path: Path, monkeypatch):
    """``repo=`` names another repository, without any project around."""
    origin = str(tmp_path / "origin.git")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    data = mlflow.data.from_dvc("data/parts", repo=origin, rev="main")
    assert data.digest == pushed.lock()["data/parts"]
    assert content(data.source.load()) == content(pushed.root / "data/parts")


def test_imported_data(pushed: Project, tmp_path: Path, make_project, monkeypatch):
    """Imported data can be named by its ``url@rev``, which its profile tells as well."""
    other = make_project("other")
    origin = str(tmp_path / "origin.git")
    other.dvc("import", "--quiet", origin, "data/parts", "--out", "imported")
    monkeypatch.chdir(other.root)
    by_path = mlflow.data.from_dvc("imported")
    url = by_path.profile["imported_from"]
    assert url.startswith(origin + "@")
    assert mlflow.data.from_dvc(url).digest == by_path.digest
    assert DvcDatasetSource._can_resolve(url)


# --- loaded back ---------------------------------------------------------------------------------


PLACES = ("work tree", "cache", "remote", "repository", "URL")


@pytest.mark.parametrize(
    ("place", "path"),
    few(
        *zip(PLACES, ("data/raw.csv", "data/folder") * 3, strict=False),
        of=product(PLACES, ("data/raw.csv", "data/folder")),
    ),
)
def test_round_trip(  # noqa: PLR0917
    pushed: Project, runs, tmp_path: Path, monkeypatch, path: str, place: str
):
    """A run's input loads back byte for byte from wherever it still lies, in a process without the
    project too."""
    pushed.python("run.py")
    expected = content(pushed.root / path)
    [run] = runs()
    [entry] = [
        one.dataset
        for one in mlflow.get_run(run.info.run_id).inputs.dataset_inputs
        if one.dataset.name == path
    ]
    source = mlflow.data.get_source(entry)
    assert isinstance(source, DvcDatasetSource)
    if place != "work tree":
        target = pushed.root / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    if place in ("remote", "repository", "URL"):
        shutil.rmtree(pushed.root / ".dvc/cache")
    if place in ("repository", "URL"):
        empty = tmp_path / "empty"
        empty.mkdir()
        monkeypatch.chdir(empty)
        shutil.rmtree(pushed.root)
        assert source.remote == str(tmp_path / "store")
        if place == "repository":
            source.remote = None
        else:
            source.repo = None
    loaded = source.load()
    assert content(loaded) == expected
    assert (place == "work tree") == loaded.startswith(str(pushed.root))
    again = source.load(str(tmp_path / "target"))
    assert content(again) == expected
    assert os.path.dirname(again) == str(tmp_path / "target")
    assert os.listdir(tmp_path / "target") == [os.path.basename(path)]


def test_nothing_is_overwritten(here: Project, tmp_path: Path):
    """What lies at the target already is left, and is an error unless it is just that data."""
    source = mlflow.data.from_dvc("data/raw.csv").source
    target = tmp_path / "target"
    assert source.load(str(target)) == source.load(str(target))
    (target / "raw.csv").write_text("precious")
    with pytest.raises(DataNotFoundError, match="there already"):
        source.load(str(target))
    assert (target / "raw.csv").read_text() == "precious"


def test_damaged_cache(pushed: Project):
    """A damaged object of the cache is never returned: the next place is asked."""
    source = mlflow.data.from_dvc("data/raw.csv").source
    (pushed.root / "data/raw.csv").unlink()
    value = md5(RAW)
    cached = pushed.root / ".dvc/cache/files/md5" / value[:2] / value[2:]
    cached.chmod(0o644)
    cached.write_bytes(b"damaged")
    assert Path(source.load()).read_bytes() == RAW


def test_data_that_is_gone(here: Project):
    """Data that lies nowhere is an error that names the hash and each place that was asked."""
    source = mlflow.data.from_dvc("data/raw.csv").source
    (here.root / "data/raw.csv").unlink()
    shutil.rmtree(here.root / ".dvc/cache")
    source.remote = str(here.root / "nowhere")
    with pytest.raises(DataNotFoundError) as caught:
        source.load()
    for word in (md5(RAW), "cache", "nowhere", "dvc push"):
        assert word in str(caught.value)


def test_a_list_that_leads_outside(here: Project, tmp_path: Path):
    """A folder's list of files from a shared remote cannot make files elsewhere."""
    rows = json.dumps([{"md5": md5(RAW), "relpath": "../../outside"}]).encode()
    value = md5(rows)
    store = tmp_path / "store/files/md5"
    for name, body in ((value + ".dir", rows), (md5(RAW), RAW)):
        path = store / name[:2] / name[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    source = DvcDatasetSource("data", "md5", value + ".dir", remote=str(tmp_path / "store"))
    with pytest.raises(DataNotFoundError, match="no file inside of it"):
        source.load(str(tmp_path / "deep/er"))
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "deep/outside").exists()


FROM_NOTHING = """\
import json, mlflow, os, sys

run_id, attempts = sys.argv[1], json.loads(sys.argv[2])
entries = mlflow.get_run(run_id).inputs.dataset_inputs
for name, fields, env in attempts:
    [source] = [mlflow.data.get_source(one) for one in entries if one.dataset.name == name]
    vars(source).update(fields)
    os.environ.update(env)
    print(source.load())
"""


def loaded_from_nothing(project: Project, run: Any, empty: Path, *attempts: Any) -> list[str]:
    """Where a process in an empty directory, the project gone, has an input's bytes then."""
    shutil.rmtree(project.root)
    empty.mkdir()
    script = empty.parent / "from_nothing.py"
    script.write_text(FROM_NOTHING)
    return project.python(
        str(script), run.info.run_id, json.dumps(attempts), cwd=empty
    ).splitlines()


def test_from_s3(here: Project, runs, s3: S3, tmp_path: Path):
    """From S3 an input loads back where nothing but credentials is known, if they may be used: its
    source says where the server is, the environment says it better, and else the repository's
    configuration does."""
    track_folder(here)
    s3.configure(here)
    here.commit("remote")
    s3.push(here)
    here.git("clone", "--quiet", "--bare", ".", str(tmp_path / "origin.git"))
    here.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    here.python("run.py")
    [run] = runs()
    for one in mlflow.get_run(run.info.run_id).inputs.dataset_inputs:
        source = json.loads(one.dataset.source)
        assert (source["remote"], source["endpoint"]) == (s3.url, s3.endpoint)
    paths = ("data/folder", "data/raw.csv", "data/prepared.csv", "data/folder")
    expected = [content(here.root / path) for path in paths]
    record, repository = {"repo": None}, {"remote": None}
    elsewhere = {"repo": None, "endpoint": "http://127.0.0.1:1"}
    allowed = {"MLFLOW_DVC_TRUST": s3.endpoint}
    attempts = [
        (paths[0], record, allowed),
        (paths[1], repository, allowed),
        (paths[2], elsewhere, s3.env),
        (paths[3], elsewhere, s3.env),
    ]
    loaded = loaded_from_nothing(here, run, tmp_path / "empty", *attempts)
    assert [content(path) for path in loaded] == expected


def test_from_the_web(here: Project, runs, http_remote: Http, tmp_path: Path):
    """From a web server, read only, files and folders load back as well."""
    track_folder(here)
    http_remote.configure(here)
    http_remote.push(here)
    here.python("run.py")
    paths = ("data/raw.csv", "data/folder")
    expected = [content(here.root / path) for path in paths]
    attempts = [(path, {}, {}) for path in paths]
    loaded = loaded_from_nothing(here, runs()[0], tmp_path / "empty", *attempts)
    assert [content(path) for path in loaded] == expected


def test_gone_from_s3(s3: S3):
    """An object that is not in the bucket is an error which names the bucket."""
    source = DvcDatasetSource("raw.csv", "md5", md5(RAW), remote=s3.url, endpoint=s3.endpoint)
    with pytest.raises(DataNotFoundError, match=re.escape(s3.url)):
        source.load()


@pytest.mark.parametrize("endpoint", [3, "file:///etc/passwd", "\0"])
def test_endpoints_of_others(s3: S3, endpoint: Any):
    """What is no server's address, in a source that somebody else wrote, is an error in words."""
    source = DvcDatasetSource("raw.csv", "md5", md5(RAW), remote=s3.url, endpoint=endpoint)
    with pytest.raises(DataNotFoundError, match=re.escape(s3.url)):
        source.load()


def test_without_the_plugin(tmp_path: Path, monkeypatch):
    """Where DVC's plugin for a remote is not installed, the error says what to install."""
    (tmp_path / "dvc_s3.py").write_text("raise ModuleNotFoundError('dvc_s3')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    source = DvcDatasetSource("raw.csv", "md5", md5(RAW), remote="s3://bucket/prefix")
    with pytest.raises(DataNotFoundError, match=re.escape("pip install 'dvc[s3]'")):
        source.load()


# --- bad questions -------------------------------------------------------------------------------


def test_untracked(here: Project):
    """A path that is not tracked is an error that names the nearest that is."""
    with pytest.raises(UntrackedPathError, match=r"Did you mean 'data/prepared.csv'"):
        mlflow.data.from_dvc("data/prepard.csv")
    with pytest.raises(UntrackedPathError, match="mlflow-dvc status"):
        mlflow.data.from_dvc("qqqqqq")


def test_no_such_revision(here: Project):
    """A revision that does not exist is named."""
    with pytest.raises(UntrackedPathError, match="no-such-rev"):
        mlflow.data.from_dvc("data/raw.csv", rev="no-such-rev")


def test_outside_of_any_project(tmp_path: Path):
    """Outside of a DVC project paths are MLflow's own, and ``from_dvc`` says what is missing."""
    assert not DvcDatasetSource._can_resolve("data/raw.csv")
    from mlflow_dvc.errors import NoDvcProjectError

    with pytest.raises(NoDvcProjectError):
        mlflow.data.from_dvc("data/raw.csv")


@pytest.mark.parametrize("raw", [None, 3, b"bytes", "", "x" * 5000, "\0", "s3://bucket/key", "~"])
def test_sources_of_others(here: Project, raw: Any):
    """What is no path of ours is left to MLflow, whatever it is."""
    assert DvcDatasetSource._can_resolve(raw) is False


def test_long_names(make_project, runs):
    """A path longer than MLflow takes for a name is logged all the same."""
    project = make_project()
    folder = "/".join(["d" * 100] * 5)
    project.write(f"{folder}/raw.csv", "1\n")
    project.dvc("add", "--quiet", f"{folder}/raw.csv")
    project.python(str(project.write("run.py", FIVE_LINES)))
    [(name, digest)] = inputs_of(runs()[0]).items()
    assert len(name) == 500
    assert digest == md5(b"1\n")


def test_credentials_stay_here(pushed: Project, runs):
    """No password of a remote or of a repository is in what is logged."""
    pushed.git("remote", "set-url", "origin", "https://me:hunter2@example.com/p.git")
    pushed.dvc("remote", "add", "--default", "--force", "store", "https://me:hunter2@example.com/s")
    pushed.python("run.py")
    [run] = runs()
    for entry in mlflow.get_run(run.info.run_id).inputs.dataset_inputs:
        assert "hunter2" not in entry.dataset.source
        source = json.loads(entry.dataset.source)
        assert source["repo"] == "https://example.com/p.git"
        assert source["remote"] == "https://example.com/s"


@pytest.mark.parametrize("config", ["config", "config.local"])
def test_no_key_of_a_remote(tmp_path: Path, config: str):
    """Of a remote's settings only where it is goes into a record, and no key or password."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / config).write_text(
        "[core]\n    remote = b\n['remote \"a\"']\n    url = s3://a\n    endpointurl = http://a\n"
        "['remote \"b\"']\n    url = s3://bucket/prefix\n    access_key_id = hunter2\n"
        "    secret_access_key = hunter2\n    endpointurl = https://me:hunter2@minio.example:9000\n"
    )
    remote = default_remote(str(tmp_path))
    assert remote
    assert (remote.url, remote.endpoint) == ("s3://bucket/prefix", "https://minio.example:9000")
    assert "hunter2" not in str(remote)
