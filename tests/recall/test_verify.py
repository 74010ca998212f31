"""What git confirms, what it denies, and what nobody knows but the record."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Project, environment, few, files_of_record, lay_out, make_home

import mlflow_dvc
from mlflow_dvc.git.commit_files import committed_bytes
from mlflow_dvc.git.file_history import FileHistory
from mlflow_dvc.recall.lock_memory import LockMemory

pytestmark = pytest.mark.hosts

Files = dict[str, bytes]
# The runs of the project below, in their order.
NAMES = ("clean", "by hand", "uncommitted", "locked", "later", "stale")
MODEL, PREPARED = "models/model.txt", "data/prepared.csv"
RECORDED = """\
import json, sys
import mlflow

recorded = "tags.`dvc.seal` LIKE '%'"
runs = mlflow.MlflowClient().search_runs(["0"], recorded, order_by=["attributes.start_time ASC"])
found = [[dict(run.data.tags), run.info.artifact_uri + "/dvc"] for run in runs]
json.dump(found, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="session")
def history(shared: Callable[..., Path], started: Path) -> Path:
    """A project of several commits, and the records of the runs that were made on the way."""

    def make(folder: Path) -> None:
        home = folder / "home"
        make_home(home)
        store = {"MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db"}
        project = Project(folder / "project", environment(home) | store)
        shutil.copytree(started, project.root)
        lay_out(project)

        def repro() -> None:
            project.dvc("repro", "--force", "--single-item", "train")

        def change(text: str) -> None:
            project.write("data/raw.csv", text)
            project.dvc("add", "--quiet", "data/raw.csv")

        project.dvc("repro", "--quiet", MLFLOW_DVC_ENABLED="0")
        project.commit("reproduced")
        repro()
        project.python("src/train.py")
        change("a,b\n3,4\n")
        project.dvc("repro", "--quiet", "prepare", MLFLOW_DVC_ENABLED="0")
        repro()
        project.write("src/train.py", (project.root / "src/train.py").read_text() + "# more\n")
        project.commit("what that run saw, and a line of code")
        repro()
        project.commit("its lock")
        repro()
        change("a,b\n5,6\n")
        project.commit("data alone")
        project.python("run.py")
        remember = project.write("remember.py", RECORDED)
        project.python("remember.py", str(folder / "found.json"))
        remember.unlink()

    return shared("history", make)


class Records:
    """Copies of the recorded runs in the store of a test, as they are or forged."""

    def __init__(self, history: Path, root: Path) -> None:
        shutil.copytree(history / "project", root, symlinks=True)
        self.project = Project(root)
        self.project.git("update-index", "-q", "--refresh")
        found = json.loads((history / "found.json").read_text())
        self._found = dict(zip(NAMES, found, strict=True))

    def tags(self, name: str) -> dict[str, str]:
        return {key: value for key, value in self._found[name][0].items() if "mlflow." not in key}

    def files(self, name: str) -> Files:
        return files_of_record(Path(self._found[name][1].removeprefix("file://")))

    def snapshot(self, name: str) -> dict[str, Any]:
        return json.loads(self.files(name)["snapshot.json"])

    def put(self, tags: dict[str, str], files: Files) -> str:
        import mlflow

        with mlflow_dvc.disabled():
            client = mlflow.MlflowClient()
            run = client.create_run(os.environ["MLFLOW_EXPERIMENT_ID"], tags=tags)
        top = Path(run.info.artifact_uri.removeprefix("file://"), "dvc")
        for path, content in files.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_bytes(content)
        return str(run.info.run_id)


@pytest.fixture
def records(history: Path, tmp_path: Path, tracking_uri: str, monkeypatch) -> Records:
    found = Records(history, tmp_path / "project")
    monkeypatch.chdir(found.project.root)
    return found


def faults(result: Any) -> dict[str, str]:
    return {one.name: one.verdict for one in result.items if one.verdict != "PASS"}


# --- honest runs ---------------------------------------------------------------------------------


def test_honest(records: Records):
    """Runs on a clean commit, on changes that were committed later, and by hand pass; none is
    called tampered with, with or without what later versions record."""
    for name in NAMES[:-1]:
        run_id = records.put(records.tags(name), records.files(name))
        (found,) = mlflow_dvc.verify(run_id)
        assert (name, faults(found)) == (name, {})
    for name in NAMES:
        files = records.files(name)
        snapshot = json.loads(files["snapshot.json"])
        for field in ("attached", "stage_before", "execution", "changed"):
            snapshot.pop(field)
        snapshot["git"].pop("uncommitted")
        files["snapshot.json"] = json.dumps(snapshot).encode()
        (old,) = mlflow_dvc.verify(records.put(records.tags(name), files))
        assert "TAMPERED" not in faults(old).values(), (name, old)


# --- forgeries -----------------------------------------------------------------------------------

Record = tuple[dict[str, str], Files]


def swap(record: Record, pairs: dict[str, str]) -> Record:
    """Each text by another, everywhere; digests of files are made anew."""
    tags, files = dict(record[0]), dict(record[1])
    for old, new in pairs.items():
        tags = {key: value.replace(old, new) for key, value in tags.items()}
        files = {path: text.replace(old.encode(), new.encode()) for path, text in files.items()}
    return digest(tags, files)


def digest(tags: dict[str, str], files: Files) -> Record:
    snapshot = json.loads(files["snapshot.json"])
    lock = hashlib.md5(files["dvc.lock"]).hexdigest()
    snapshot["locks"], snapshot["lock"], tags["dvc.lock"] = {"dvc.lock": lock}, lock, lock
    if snapshot.get("attached") is not None:
        for path in snapshot["attached"]:
            if path in files:
                snapshot["attached"][path] = hashlib.md5(files[path]).hexdigest()
    return tags, {**files, "snapshot.json": json.dumps(snapshot).encode()}


def other_data(records: Records, name: str, other: str) -> Record:
    """The record ``name`` with the data of ``other``, in tags and files alike."""
    mine, theirs = records.tags(name), records.tags(other)
    keys = [key for key in mine if key.startswith(("dvc.out.", "dvc.dep.data", "dvc.data_v"))]
    pairs = {mine[key]: theirs[key] for key in keys if theirs.get(key, mine[key]) != mine[key]}
    assert pairs
    return swap((mine, records.files(name)), pairs)


def edit(record: Record, change: Callable[[dict[str, Any]], None]) -> Record:
    snapshot = json.loads(record[1]["snapshot.json"])
    change(snapshot)
    return record[0], {**record[1], "snapshot.json": json.dumps(snapshot).encode()}


def with_git(**facts: Any) -> Callable[[dict[str, Any]], None]:
    return lambda snapshot: snapshot["git"].update(facts)


def everything_uncommitted(snapshot: dict[str, Any]) -> None:
    snapshot["git"]["uncommitted"] = list(snapshot["attached"])


def forget_new_fields(snapshot: dict[str, Any]) -> None:
    snapshot.pop("attached")
    snapshot["git"].pop("uncommitted")


def seal_it(snapshot: dict[str, Any]) -> None:
    snapshot.update(sealed_at=1.0, stage="train", script_stage=None)


def all_of(records: Records) -> Record:
    return other_data(records, "later", "clean")


def other_model(records: Records) -> Record:
    """A hash that lies in the cache, of which git says nothing for this path."""
    mine, theirs = (records.tags(name)[f"dvc.out.{MODEL}"] for name in ("later", "clean"))
    return swap((records.tags("later"), records.files("later")), {mine: theirs})


def other_commit(records: Records, name: str, other: str) -> Record:
    mine, theirs = records.tags(name)["git_sha"], records.tags(other)["git_sha"]
    assert mine != theirs
    return swap((records.tags(name), records.files(name)), {mine: theirs})


def other_code(records: Records) -> Record:
    """A commit that has the same data and other code."""
    tags, files = records.tags("by hand"), records.files("by hand")
    project = records.project
    project.git("checkout", "--quiet", tags["git_sha"])
    project.write("src/train.py", "evil")
    return swap((tags, files), {tags["git_sha"]: project.commit("other code")})


def other_file(records: Records, path: str, content: bytes) -> Record:
    return digest(records.tags("later"), {**records.files("later"), path: content})


def without_a_stage(records: Records) -> Record:
    tags, files = records.tags("later"), records.files("later")
    lock = yaml.safe_load(files["dvc.lock"])
    del lock["stages"]["prepare"]
    return digest(tags, {**files, "dvc.lock": yaml.safe_dump(lock, sort_keys=False).encode()})


def only_told(records: Records) -> Record:
    """Other data in tags and snapshot, said to have been modified; the lock as it was."""
    tags, files = records.tags("by hand"), records.files("by hand")
    mine, theirs = (records.tags(name)[f"dvc.out.{PREPARED}"] for name in ("by hand", "later"))
    told = swap((tags, {"snapshot.json": files["snapshot.json"], "dvc.lock": b""}), {mine: theirs})
    snapshot = json.loads(told[1]["snapshot.json"])
    for entry in (*snapshot["data"], *snapshot["deps"]):
        if entry["path"] == PREPARED:
            entry.update(state="modified", certainty="disk")
    snapshot.update(data_status="modified", lock=tags["dvc.lock"], data_version=None)
    snapshot["locks"] = {"dvc.lock": tags["dvc.lock"]}
    tags = {**told[0], "dvc.data_status": "modified", "dvc.modified": PREPARED}
    tags["dvc.lock"] = snapshot["lock"]
    tags.pop("dvc.data_version", None)
    return tags, {**files, "snapshot.json": json.dumps(snapshot).encode()}


def other_version(records: Records) -> Record:
    """A name for other data, in the tag and the snapshot alike."""
    mine = records.tags("later")["dvc.data_version"]
    return swap((records.tags("later"), records.files("later")), {mine: "f" * 12})


def in_a_comment(records: Records) -> Record:
    """Data that nobody had, its hash in a comment of the lock."""
    value = "0123456789abcdef" * 2
    tags, files = records.tags("later"), records.files("later")
    tags = {**tags, "dvc.out.data/never.csv": value, "dvc.hashes": f"{tags['dvc.hashes']} {value}"}
    record = digest(tags, {**files, "dvc.lock": files["dvc.lock"] + f"# {value}\n".encode()})

    def invent(snapshot: dict[str, Any]) -> None:
        like = next(one for one in snapshot["data"] if one["path"] == MODEL)
        snapshot["data"].append({**like, "path": "data/never.csv", "hash": value, "role": None})

    return edit(record, invent)


def of_another_path(records: Records) -> Record:
    """Data that has the hash of what the same stage made elsewhere."""
    tags, files = records.tags("by hand"), records.files("by hand")
    model = yaml.safe_load(files["dvc.lock"])["stages"]["train"]["outs"][0]["md5"]

    def exchange(snapshot: dict[str, Any]) -> None:
        for one in (*snapshot["data"], *snapshot["deps"]):
            if one["path"] == PREPARED:
                one.update(hash=model, stage="train", certainty="disk", state="modified")
        snapshot.update(data_status="modified", data_version=None)

    keys = (f"dvc.out.{PREPARED}", f"dvc.dep.{PREPARED}")
    told = set(tags["dvc.hashes"].split()) - {tags[f"dvc.out.{PREPARED}"]}
    tags |= {key: model for key in keys if key in tags}
    tags |= {"dvc.data_status": "modified", "dvc.modified": PREPARED}
    tags["dvc.hashes"] = " ".join(["", *sorted(told | {model})])
    tags.pop("dvc.data_version", None)
    return edit((tags, files), exchange)


def with_tags(records: Records, **tags: str) -> Record:
    told = {f"dvc.{key}": value for key, value in tags.items()}
    return {**records.tags("later"), **told}, records.files("later")


UNCOMMITTED = everything_uncommitted
FORGERIES: dict[str, tuple[Callable[[Records], Record], str]] = {
    "all data": (all_of, "TAMPERED"),
    "and it was not committed": (lambda r: edit(all_of(r), UNCOMMITTED), "UNVERIFIED"),
    "and nobody looked": (lambda r: edit(all_of(r), with_git(uncommitted=None)), "UNVERIFIED"),
    "and it is old": (lambda r: edit(all_of(r), forget_new_fields), "UNVERIFIED"),
    "the model": (other_model, "UNVERIFIED"),
    "the model, said to be sealed": (lambda r: edit(other_model(r), seal_it), "UNVERIFIED"),
    "by hand": (lambda r: other_data(r, "by hand", "later"), "TAMPERED"),
    "by hand, sealed": (lambda r: edit(other_data(r, "by hand", "later"), seal_it), "TAMPERED"),
    "of a later commit": (lambda r: other_data(r, "clean", "later"), "TAMPERED"),
    "only told": (only_told, "UNVERIFIED"),
    "another commit": (lambda r: other_commit(r, "clean", "later"), "TAMPERED"),
    "an earlier commit": (lambda r: other_commit(r, "later", "clean"), "TAMPERED"),
    "no such commit": (
        lambda r: swap((r.tags("later"), r.files("later")), {r.tags("later")["git_sha"]: "0" * 40}),
        "UNVERIFIED",
    ),
    "code of another commit": (other_code, "TAMPERED"),
    "params.yaml": (lambda r: other_file(r, "params.yaml", b"lr: 9\n"), "TAMPERED"),
    "params.yaml, not committed": (
        lambda r: edit(other_file(r, "params.yaml", b"lr: 9\n"), UNCOMMITTED),
        "UNVERIFIED",
    ),
    "dvc.yaml": (lambda r: other_file(r, "dvc.yaml", b"stages: {a: {cmd: evil}}\n"), "TAMPERED"),
    "a stage less in the lock": (without_a_stage, "UNVERIFIED"),
    "another lock": (lambda r: other_file(r, "sub/dvc.lock", b"schema: '2.0'\n"), "TAMPERED"),
    "another .dvc": (
        lambda r: other_file(r, "evil.dvc", b"outs:\n- md5: " + b"0" * 32 + b"\n  path: evil\n"),
        "TAMPERED",
    ),
    "the tag of the data version": (lambda r: with_tags(r, data_version="f" * 12), "TAMPERED"),
    "the data version": (other_version, "TAMPERED"),
    "more hashes": (
        lambda r: with_tags(r, hashes=r.tags("later")["dvc.hashes"] + f" {'a' * 32}"),
        "TAMPERED",
    ),
    "a hash in a comment": (in_a_comment, "UNVERIFIED"),
    "a hash of another path": (of_another_path, "UNVERIFIED"),
    "another .dvc in an old record": (
        lambda r: edit(
            other_file(r, "evil.dvc", b"outs:\n- md5: " + b"0" * 32 + b"\n  path: evil\n"),
            forget_new_fields,
        ),
        "TAMPERED",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged(records: Records, name: str):
    """Whatever is changed together in tags, files and digests, git denies it or does not know it;
    it never passes."""
    forge, least = FORGERIES[name]
    (found,) = mlflow_dvc.verify(records.put(*forge(records)))
    least_of = {"TAMPERED": ("TAMPERED",), "UNVERIFIED": ("UNVERIFIED", "FAIL")}
    assert found.verdict in least_of[least], faults(found) and found.items


def test_forged_later_part(records: Records):
    """A later part of a run is held against git as the first is; so are the tags that it gave."""
    tags, files = records.tags("clean"), records.files("clean")
    part = other_data(records, "later", "clean")
    for forged in (part, (records.tags("later"), records.files("later"))):
        later = {f"resume-1/{path}": content for path, content in forged[1].items()}
        told = {
            key: forged[0][key] for key in forged[0] if key.startswith(("dvc.out.", "dvc.dep."))
        }
        run_id = records.put({**told, **tags}, {**files, **later})
        (found,) = mlflow_dvc.verify(run_id)
        wrong = faults(found)
        assert all(name.startswith("resume-1/") for name in wrong), wrong
        assert found.verdict == ("TAMPERED" if forged is part else "PASS"), found
    run_id = records.put(tags, {**files, "resume-1/snapshot.json": b"{}"})
    assert faults(mlflow_dvc.verify(run_id)[0]) == {"resume-1/snapshot.json": "UNVERIFIED"}


@pytest.mark.parametrize("is_old", [False, True], ids=["new", "old"])
def test_restore_writes_nothing_unnamed(records: Records, tmp_path: Path, is_old: bool):
    """A lock or ``.dvc`` file that the snapshot does not name is not written."""
    single = b"outs:\n- md5: " + b"a" * 32 + b"\n  path: evil\n"
    forged = {"evil.dvc": single, "broken.dvc": b"{", "sub/dvc.lock": b"schema: '2.0'\n"}
    record = (records.tags("later"), {**records.files("later"), **forged})
    record = edit(record, forget_new_fields) if is_old else record
    found = mlflow_dvc.restore(records.put(*record), str(tmp_path / "back"))
    assert dict.fromkeys(forged, "TAMPERED").items() <= faults(found).items()
    assert not [path for path in forged if (tmp_path / "back" / path).exists()]


def test_restore_writes_nothing_denied(records: Records, tmp_path: Path):
    """What git denies is not written by restore, which says so, and is no ground to run again."""
    run_id = records.put(*all_of(records))
    found = mlflow_dvc.restore(run_id, str(tmp_path / "back"))
    denied = [one.name for one in mlflow_dvc.verify(run_id)[0].items if one.verdict == "TAMPERED"]
    assert denied
    assert [name for name in denied if faults(found).get(name) != "TAMPERED"] == []
    for name in denied:
        where = tmp_path / "back" / name
        assert not where.exists() or where.read_bytes() != all_of(records)[1][name]
    with pytest.raises(mlflow_dvc.MlflowDvcError, match=denied[0]):
        mlflow_dvc.reproduce(run_id, str(tmp_path / "again"))


def test_honest_runs_are_restored(records: Records, tmp_path: Path):
    """Restore asks git only what it denies: honest runs come back with no word more."""
    for number, name in enumerate(NAMES[:-1]):
        run_id = records.put(records.tags(name), records.files(name))
        found = mlflow_dvc.restore(run_id, str(tmp_path / f"back-{number}"))
        assert (name, faults(found)) == (name, {})


def test_witness_that_the_record_names(records: Records, tmp_path: Path, monkeypatch):
    """What is confirmed by a repository that only the record names is told to be so."""
    away = tmp_path / "away.git"
    records.project.git("clone", "--quiet", "--bare", ".", str(away))
    tags, files = edit(
        (records.tags("clean"), records.files("clean")), with_git(remote_url=str(away))
    )
    run_id = records.put(tags, files)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    (found,) = mlflow_dvc.verify(run_id)
    (lock,) = (one for one in found.items if one.part == "lock")
    assert (lock.verdict, lock.reason) == ("PASS", f"by {away}, which the record names")


@pytest.mark.parametrize("attribute", ["ident", "working-tree-encoding=UTF-16", "filter=none"])
def test_committed_bytes_are_those_of_a_checkout(records: Records, attribute: str):
    """Of a file that git lays out with other bytes than it stores, the bytes are not known."""
    project = records.project
    sha = project.git("rev-parse", "HEAD").strip()
    asked = str(project.root), sha, "src/train.py", 60.0
    assert committed_bytes(*asked) is not None
    project.write(".gitattributes", f"*.py {attribute}\n")
    assert committed_bytes(*asked) is None


def test_locks_are_fetched_once(records: Records):
    """What commits made of a lock is fetched once for all runs of one commit, and read once."""
    found = LockMemory()
    history = FileHistory(str(records.project.root), "dvc.lock")
    sha = records.tags("clean")["git_sha"]
    assert found.replacements(history, sha)
    assert found.replacements(history, sha) is found.replacements(history, sha)
    again = FileHistory(str(records.project.root), "dvc.lock")
    assert found.replacements(again, sha) is found.replacements(history, sha)
    ((_, _, after), *_) = found.replacements(history, sha)
    content = history.replacements(sha)[0].after
    assert found.entries(content) is after


# --- projects with names of ours -----------------------------------------------------------------

NAMED = """\
stages:
  train:
    cmd: python train.py
    deps: [raw.csv, train.py, params.yaml]
    params: [lr]
    outs: [model.txt]
"""
TRAIN = """\
import mlflow
from pathlib import Path

with mlflow.start_run():
    mlflow.log_metric("x", 1)
Path("model.txt").write_text(Path("params.yaml").read_text())
"""


@pytest.mark.parametrize(
    "folder", few("code", "resume-1", of=["code", "submodules", "contradicted", "resume-1"])
)
def test_folders_called_as_ours(make_project, runs, monkeypatch, tmp_path: Path, folder: str):
    """A project's folder may be called as one of a record is; parameters that are dependencies too
    may be edited, which is no change of code."""
    project = make_project()
    files = {"dvc.yaml": NAMED, "train.py": TRAIN, "params.yaml": "lr: 1\n", "raw.csv": "1\n"}
    for name, text in files.items():
        project.write(f"{folder}/{name}", text)
    project.write(".gitignore", "/mlflow.db\n/mlruns/\n")
    project.dvc("add", "--quiet", f"{folder}/raw.csv")
    project.commit("pipeline")
    project.dvc("repro", "--quiet", f"{folder}/dvc.yaml")
    project.write(f"{folder}/params.yaml", "lr: 2\n")
    project.dvc("repro", "--quiet", f"{folder}/dvc.yaml")
    project.commit("what both saw")
    monkeypatch.chdir(project.root)
    new, old = sorted(runs(), key=lambda run: -run.info.start_time)
    (found,) = mlflow_dvc.verify(new.info.run_id)
    assert faults(found) == {}
    assert (f"lock {folder}/dvc.lock") in {f"{one.part} {one.name}" for one in found.items}
    back = mlflow_dvc.restore(new.info.run_id, str(tmp_path / "back"))
    assert faults(back) == {}
    assert (tmp_path / "back" / folder / "params.yaml").read_text() == "lr: 2\n"
    told = mlflow_dvc.diff(old.info.run_id, new.info.run_id)
    assert [(one.key, one.new) for one in told.params] == [(f"{folder}/params.yaml:lr", "2")]
    assert (told.code.differs, told.certain) == (False, True)


# --- broken records ------------------------------------------------------------------------------


def broken(records: Records, **fields: Any) -> Record:
    return edit((records.tags("later"), records.files("later")), lambda raw: raw.update(fields))


def test_broken_record_is_of_one_run_alone(records: Records):
    """A snapshot that is none, or nested without end, and a patch that does not apply, are said of
    their run; the others are answered for."""
    tags, files = records.tags("later"), records.files("later")
    patch = b"--- a/nope.py\n+++ b/nope.py\n@@ -1 +1 @@\n-a\n+b\n"
    bad = {
        "deep": (tags, {**files, "snapshot.json": b"[" * 200_000}),
        "attached": broken(records, attached=5),
        "named": broken(records, attached={"dvc.lock": 5}),
        "locks": broken(records, locks="x"),
        "patch": (tags, {**files, "code.patch": patch}),
    }
    good = records.put(tags, files)
    ids = {name: records.put(*record) for name, record in bad.items()}
    found = {one.run_id: one for one in mlflow_dvc.verify(all_runs=True)}
    assert found[good].verdict == "PASS"
    assert {name for name in bad if found[ids[name]].verdict == "PASS"} == set()
    hits = mlflow_dvc.search(MODEL)
    assert good in {one.run_id for one in hits}


def test_several_projects(
    make_project: Callable[..., Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of several projects in one repository each has its own settings, wherever it is asked."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/both.db")
    repository = make_project(dvc=False)
    for name in ("a", "b"):
        inside = Project(repository.root / name)
        inside.root.mkdir()
        inside.dvc("init", "--quiet", "--subdir")
        inside.dvc("config", "cache.dir", str(tmp_path / "caches" / name))
        inside.write("raw.csv", f"of {name}\n")
        inside.dvc("add", "--quiet", "raw.csv")
        inside.write("run.py", "import mlflow\nwith mlflow.start_run():\n    pass\n")
    repository.commit("both")
    for name in ("a", "b"):
        repository.python("run.py", cwd=repository.root / name)
    for name in ("a", "b"):
        monkeypatch.chdir(repository.root / name)
        found = mlflow_dvc.verify(all_runs=True)
        data = [item for one in found for item in one.items if item.part == "data"]
        assert [(item.verdict, item.reason) for item in data] == [("PASS", "cache")] * 2
