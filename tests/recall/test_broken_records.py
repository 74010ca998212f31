"""Runs of a shared server whose record is broken, or made to break whoever reads it."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner, Result
from conftest import Project

import mlflow_dvc
from mlflow_dvc import limits
from mlflow_dvc.cli.main import cli
from mlflow_dvc.tracking import run_artifacts

Files = dict[str, bytes]
Tags = dict[str, str]
Change = Callable[[Files, Tags], None]
MATRIX = "stages:\n  train:\n    matrix:\n" + "".join(
    f"      {axis}: [{','.join(map(str, range(100)))}]\n" for axis in "abcde"
)
BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
)


def raw(content: bytes) -> Change:
    """The whole of snapshot.json."""
    return lambda files, tags: files.update({"snapshot.json": content})


def field(*steps: Any, value: Any) -> Change:
    """One value in snapshot.json."""

    def change(files: Files, tags: Tags) -> None:
        snapshot = place = json.loads(files["snapshot.json"])
        for step in steps[:-1]:
            place = place[step]
        place[steps[-1]] = value
        files["snapshot.json"] = json.dumps(snapshot).encode()

    return change


def many(name: str, count: int) -> Change:
    """So many entries in a list of snapshot.json."""

    def change(files: Files, tags: Tags) -> None:
        snapshot = json.loads(files["snapshot.json"])
        first = snapshot[name][0]
        key = "address" if name == "stages" else "path"
        snapshot[name] = [{**first, key: f"d{number}/f"} for number in range(count)]
        files["snapshot.json"] = json.dumps(snapshot).encode()

    return change


def tagged(**values: str) -> Change:
    return lambda files, tags: tags.update({k.replace("__", "."): v for k, v in values.items()})


def attached(path: str, content: bytes | str) -> Change:
    """A file beside it, which the snapshot names with its md5."""
    import hashlib

    text = content.encode() if isinstance(content, str) else content

    def change(files: Files, tags: Tags) -> None:
        files[path] = text
        snapshot = json.loads(files["snapshot.json"])
        digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
        snapshot["attached"][path] = digest
        if path.endswith(".lock"):
            snapshot["locks"][path] = digest
        files["snapshot.json"] = json.dumps(snapshot).encode()

    return change


# What is no snapshot: one line for the run.
BROKEN: dict[str, Change] = {
    "empty": raw(b""),
    "nested": raw(b"[" * 200_000),
    "nested in a field": raw(b'{"schema": 1, "data": ' + b"[" * 200_000),
    "no object": raw(b"[1, 2]"),
    "a number": raw(b"7"),
    "null": raw(b"null"),
    "no UTF-8": raw(b'\xff\xfe{"schema": 1}'),
    "too large": raw(b" " * (limits.MAX_SNAPSHOT_BYTES + 1)),
    "a number of 5,000 digits": raw(b'{"schema": 1, "data": [{"size": ' + b"1" * 5000 + b"}]}"),
    "locks": field("locks", value=5),
    "locks of no hashes": field("locks", value={"dvc.lock": 5}),
    "locks that nest": field("locks", value={"dvc.lock": {"a": {}}}),
    "attached": field("attached", value=["x"]),
    "a size of 400 digits": field("data", 0, "size", value=10**400),
    "a size below zero": field("data", 0, "size", value=-1),
    "a size that is true": field("data", 0, "size", value=True),
    "a size that is no number": field("data", 0, "size", value=float("nan")),
    "a number of files": field("data", 0, "nfiles", value=1.5),
    "no path": field("data", 0, "path", value=""),
    "a path with NUL": field("data", 0, "path", value="a\0b"),
    "a path that is none": field("data", 0, "path", value=None),
    "a long path": field("data", 0, "path", value="x" * 10**6),
    "a hash of lines": field("data", 0, "hash", value="a\nb"),
    "a hash that is none": field("data", 0, "hash", value=["x"]),
    "a role": field("data", 0, "role", value="king"),
    "a state": field("data", 0, "state", value="odd"),
    "a certainty": field("data", 0, "certainty", value={}),
    "a seal": field("seal", value="broken"),
    "a status": field("data_status", value="fine"),
    "deps": field("deps", value={"a": 1}),
    "deps of no entries": field("deps", value=[[1]]),
    "deps of stages": field("stages", 0, "deps", value=[{"a": 1}]),
    "deps of stages that are text": field("stages", 0, "deps", value="abc"),
    "a stage without address": field("stages", 0, value={"deps": []}),
    "git": field("git", value=[1]),
    "a branch with NUL": field("git", "branch", value="ma\0in"),
    "a sha": field("git", "sha", value=7),
    "omitted": field("git", "omitted", value=[7]),
    "a moment": field("sealed_at", value=float("inf")),
    "a moment far away": field("sealed_at", value=1e300),
    "schema": field("schema", value="1"),
    "schema true": field("schema", value=True),
    "warnings": field("warnings", value=[None]),
    "many entries": many("data", 50_000),
    "many stages": many("stages", 50_000),
}


def test_reader():
    """What is no snapshot is a ValueError, with a short reason that can be printed."""
    from mlflow_dvc.snapshot import read_snapshot

    plain = {
        "schema": 1, "data": [{"path": "a", "algorithm": "md5", "hash": "x"}],
        "stages": [{"address": "s", "deps": []}], "git": {"sha": "a" * 40},
        "locks": {}, "attached": {},
    }  # fmt: skip
    content = json.dumps(plain).encode()
    assert read_snapshot(content).data[0].path == "a"
    for name, change in BROKEN.items():
        files = {"snapshot.json": content}
        change(files, {})
        begun = time.monotonic()
        with pytest.raises(ValueError, match=r".") as caught:
            read_snapshot(files["snapshot.json"])
        assert str(caught.value).isprintable(), name
        assert len(str(caught.value)) < 200, name
        assert time.monotonic() - begun < 5, name


# What is a snapshot, or stands beside one, and leads readers astray.
ODD: dict[str, Change] = {
    "half a surrogate": field("git", "branch", value="x\ud800y"),
    "surrogates in paths": field("data", 0, "path", value="\udcff\ud800"),
    "path /": field("data", 0, "path", value="/"),
    "path ..": field("data", 0, "path", value=".."),
    "path .": field("data", 0, "path", value="."),
    "path of lines": field("data", 0, "path", value="a\nb'\"`;\t\x1b[2J<b>|"),
    "stage of lines": field("stage", value="a\nb'\"`<b>"),
    "stage of quotes": field("data", 0, "stage", value="'); DROP TABLE runs; --"),
    "hash of quotes": field("data", 0, "hash", value="'\"<b>`%27"),
    "algorithm": field("data", 0, "algorithm", value="<b>\n"),
    "sha of options": field("git", "sha", value="--upload-pack=x"),
    "no sha": field("git", "sha", value=""),
    "root": field("root", value="../../.."),
    "absolute root": field("root", value="/etc"),
    "remote": field("git", "remote_url", value="http://[::1"),
    "remote of lines": field("git", "remote_url", value="a\nb"),
    "source": field("data", 0, "source", value="http://[x]@y@z\n"),
    "schema of the future": field("schema", value=10**6),
    "a huge schema": field("schema", value=2**62),
    "unknown fields": field("more", value=[[[]]]),
    "duplicate paths": many("data", 2),
    "many entries": many("data", 5000),
    "locks elsewhere": field("locks", value={"../../x.lock": "x", "/etc/passwd": "y", ".": "z"}),
    "attached elsewhere": field("attached", value={"../x": "x", "/": "y"}),
    "a matrix": attached("dvc.yaml", MATRIX + "    cmd: echo\n"),
    "a bomb": attached("dvc.yaml", BOMB),
    "a bomb in the lock": attached("dvc.lock", BOMB),
    "a deep lock": attached("dvc.lock", "[" * 100_000),
    "a lock of no stages": attached("dvc.lock", "schema: '2.0'\nstages: [1]\n"),
    "a lock of numbers": attached("dvc.lock", "stages:\n  train: 5\n  1: {deps: {a: b}}\n"),
    "a lock of odd hashes": attached(
        "dvc.lock", "schema: '2.0'\nstages:\n  train:\n    cmd: x\n    deps: [{path: [a]}]\n"
    ),
    "a lock with keys of two kinds": attached(
        "dvc.lock",
        "schema: '2.0'\nstages:\n  train:\n    cmd: x\n    params: {params.yaml: {1: 2, a: 3}}\n",
    ),
    "a .dvc of odd kinds": attached("data/raw.csv.dvc", "outs: 5\ndeps: [x]\n"),
    "a .dvc of odd sizes": attached(
        "data/raw.csv.dvc",
        f"outs:\n- path: raw.csv\n  md5: {'a' * 32}\n  size: {10**400}\n  nfiles: -3\n",
    ),
    "a .dvc of no project": attached(
        "data/raw.csv.dvc",
        "deps:\n- path: [1]\n  repo: {url: {a: b}, rev_lock: 7}\nouts:\n- path: raw.csv\n",
    ),
    "no UTF-8": attached("dvc.yaml", b"\xff\xfe\x00"),
    "a large lock": attached("dvc.lock", "a:\n- b\n" + "- c\n" * 3_000_000),
    "a patch of nothing": attached("code.patch", b"\0" * 1000),
    "a large patch": attached("code.patch", b"diff --git a/x b/x\n" + b"+\n" * 10_000_000),
    "a large page": lambda files, tags: files.update({"report.html": b"<" * 30_000_000}),
    "a folder": lambda files, tags: files.update(
        {"snapshot.json/x": files.pop("snapshot.json")}
    ),
    "deep folders": lambda files, tags: files.update({"d/" * 200 + "f": b""}),
    "many files": lambda files, tags: files.update(
        {f"many/{number}": b"" for number in range(limits.MAX_ARTIFACTS + 1)}
    ),
    "a tag of megabytes": tagged(dvc__uncovered="x\n" * 5_000_000, git_branch="y" * 10**7),
    "hashes of megabytes": tagged(dvc__hashes=" 0123456789" * 1_000_000),
    "tags of any kind": tagged(
        dvc__data_status="odd", dvc__seal="\n", dvc__out__="", dvc__stage="a\nb", git_dirty="?"
    ),
    "many tags": lambda files, tags: tags.update(
        {f"dvc.out.many/{number}": "x" * 32 for number in range(20_000)}
    ),
    "a parent that is itself": lambda files, tags: (
        files.clear(), tags.update({"mlflow.parentRunId": "SELF"})
    )[0],
    "a parent that is none": lambda files, tags: (
        files.clear(), tags.update({"mlflow.parentRunId": "'; --\n"})
    )[0],
    "a later part": lambda files, tags: files.update({"resume-1/snapshot.json": b"[" * 200_000}),
    "a later part of another kind": lambda files, tags: files.update({"resume-1": b"x"}),
    "later parts of large numbers": lambda files, tags: files.update(
        {f"resume-{9**9}/snapshot.json": b"{}", "resume-999999/snapshot.json": b"{}"}
    ),
}  # fmt: skip


class Laboratory:
    """An honest run on a real store, and others made of it."""

    def __init__(self, project: Project, experiment: str) -> None:
        self.project = project
        self.client = mlflow.MlflowClient()
        self.experiment = experiment
        with mlflow.start_run() as run:
            mlflow.log_metric("x", 1)
        self.honest = run.info.run_id
        self.data = "data/prepared.csv"
        found = self.client.get_run(self.honest)
        folder = Path(found.info.artifact_uri.removeprefix("file://"), "dvc")
        paths = (path for path in folder.rglob("*") if path.is_file())
        self.files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        self.tags = {k: v for k, v in found.data.tags.items() if not k.startswith("mlflow.")}

    def make(self, change: Change) -> str:
        """A run whose record is the honest one, changed."""
        files, tags = dict(self.files), copy.copy(self.tags)
        change(files, tags)
        with mlflow_dvc.disabled():
            run = self.client.create_run(self.experiment, tags=tags)
        if tags.get("mlflow.parentRunId") == "SELF":
            self.client.set_tag(run.info.run_id, "mlflow.parentRunId", run.info.run_id)
        for path, content in files.items():
            target = Path(run.info.artifact_uri.removeprefix("file://"), "dvc", path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        self.client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    def call(self, *words: str, most: float = 10) -> Result:
        """A command in this process: no traceback, and an answer in time."""
        begun = time.monotonic()
        found = CliRunner().invoke(cli, words)
        assert found.exception is None or isinstance(found.exception, SystemExit), found.output
        assert "Traceback" not in found.output, found.output[-3000:]
        assert time.monotonic() - begun < most, words
        assert len(found.output) < 3_000_000, words
        return found


@pytest.fixture
def laboratory(pipeline: Project, monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    import os

    monkeypatch.chdir(pipeline.root)
    return Laboratory(pipeline, os.environ["MLFLOW_EXPERIMENT_ID"])


def test_others_are_answered(laboratory: Laboratory):
    """A broken record is a line for its run, which nobody can verify; all other runs are answered.

    The commands that ask about honest data name the broken runs, and go on.
    """
    honest = laboratory.call("lineage", laboratory.honest, "--json").stdout
    small = {name: BROKEN[name] for name in BROKEN if not name.startswith("many")}
    broken = {laboratory.make(change): name for name, change in small.items()}
    found = {one.run_id: one for one in mlflow_dvc.verify(all_runs=True)}
    assert found.pop(laboratory.honest).verdict != "TAMPERED"
    assert found.keys() == broken.keys()
    for run_id, name in broken.items():
        items = {(one.part, one.verdict) for one in found[run_id].items}
        assert ("record", "UNVERIFIED") in items, name
        assert found[run_id].verdict == "UNVERIFIED", name
        shown = mlflow_dvc.show(run_id)
        assert [line for line in shown.snapshot.warnings if "not readable" in line], name
    seen = {one.run_id for one in mlflow_dvc.search(laboratory.data)}
    assert seen == {laboratory.honest, *broken}
    lines = laboratory.call("lineage", laboratory.data).output.splitlines()
    for run_id in broken:
        assert sum("is not readable" in line and run_id in line for line in lines) == 1
    assert laboratory.call("lineage", laboratory.honest, "--json").stdout == honest
    for words in (("search", laboratory.data), ("sync",), ("doctor",), ("status",)):
        laboratory.call(*words, most=60)


@pytest.mark.parametrize("name", ["many files", "deep folders"])
def test_too_many_artifacts(laboratory: Laboratory, name: str):
    """More artifacts than in any record are not downloaded, and each command says so."""
    run_id = laboratory.make(ODD[name])
    [found] = mlflow_dvc.verify(run_id)
    assert found.verdict == "UNVERIFIED"
    assert "not listed" in laboratory.call("show", run_id).output
    for words in (("restore", run_id, "--to", "elsewhere"), ("diff", laboratory.honest, run_id)):
        done = laboratory.call(*words)
        assert done.exit_code == 2
        assert run_id in done.output


def test_unreadable_artifacts(laboratory: Laboratory):
    """Where what is attached cannot be listed, the run is not verified; the others are."""
    run_id = laboratory.make(lambda files, tags: tags.update({"mlflow.parentRunId": "0" * 32}))
    folder = Path(mlflow.get_run(run_id).info.artifact_uri.removeprefix("file://"), "dvc")
    (folder / "x").symlink_to("/nowhere")
    found = {one.run_id: one for one in mlflow_dvc.verify(all_runs=True)}
    assert found[run_id].verdict == "UNVERIFIED"
    assert found[laboratory.honest].verdict != "TAMPERED"
    laboratory.call("lineage", laboratory.data, most=60)
    laboratory.call("search", laboratory.data, most=60)


def test_what_is_no_file_of_the_run(tmp_path: Path):
    """Of artifacts on this machine no link is followed by us, and no pipe is waited for."""
    (tmp_path / "secret").write_text("x")
    root = tmp_path / "run"
    (root / "dvc").mkdir(parents=True)
    (root / "dvc/plain").write_text("x")
    (root / "dvc/link").symlink_to("../../secret")
    (root / "other").symlink_to(".")
    os.mkfifo(root / "dvc/pipe")
    address = root.as_uri()
    found = run_artifacts._local_path(address, "dvc/plain")
    assert found == str(root / "dvc/plain")
    assert run_artifacts._read_local(found, 1) == b"x"
    for path in ("dvc/link", "other/dvc/plain", "dvc/../../secret", "dvc/a%2f"):
        assert run_artifacts._local_path(address, path) is None
    with pytest.raises(ValueError, match="no file"):
        run_artifacts._read_local(str(root / "dvc/pipe"), 0)


def test_artifact_of_no_name(laboratory: Laboratory):
    """A file that MLflow does not give out is named by verify, and nothing is restored without."""
    run_id = laboratory.make(lambda files, tags: files.update({"a%2f..%2f..%2fb": b"x"}))
    [found] = mlflow_dvc.verify(run_id)
    assert [one for one in found.items if one.name == "a%2f..%2f..%2fb"]
    assert laboratory.call("restore", run_id, "--to", "elsewhere", most=60).exit_code == 2
    assert not Path("elsewhere").exists()


def test_matrix(laboratory: Laboratory):
    """A matrix that stands for more stages than anybody runs is named, not filled in."""
    from mlflow_dvc.recall.stored_record import load_record

    begun = time.monotonic()
    record = load_record(laboratory.make(ODD["a matrix"]))
    assert [line for line in record.reading.warnings if "more than 10000 stages" in line]
    assert time.monotonic() - begun < 60


def test_own_matrix(make_project: Callable[..., Project]):
    """One's own matrix of thousands of stages is read as before."""
    from mlflow_dvc.dvcfiles.reader import ProjectReader

    axes = "".join(f"      {axis}: [{','.join(map(str, range(71)))}]\n" for axis in "ab")
    stage = f"stages:\n  train:\n    matrix:\n{axes}    cmd: echo ${{item.a}} ${{item.b}}\n"
    project = make_project(git=False)
    project.write("dvc.yaml", stage)
    reading = ProjectReader(str(project.root)).read()
    assert len(reading.with_templates().stages) == 71 * 71
    assert len(reading.with_templates(foreign=True).stages) == 71 * 71


@pytest.mark.long
@pytest.mark.parametrize("name", ODD)
def test_odd(laboratory: Laboratory, name: str):
    """Whatever stands in a record, each command ends in time and without a traceback."""
    run_id = laboratory.make(ODD[name])
    for words in (
        ("show", run_id), ("show", run_id, "--json"), ("verify", run_id), ("lineage", run_id),
        ("diff", laboratory.honest, run_id), ("sync", run_id), ("search", laboratory.data),
        ("restore", run_id, "--to", "../back"), ("lineage", laboratory.honest),
    ):  # fmt: skip
        laboratory.call(*words, most=120 if "many" in name else 30)
