"""Runs that were not recorded: which of them get a record, and what every command makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import Project, both_stores

import mlflow_dvc
from mlflow_dvc.errors import MlflowDvcError
from mlflow_dvc.fingerprint import md5_of
from mlflow_dvc.recall.backfill import BackfillResult

OFF = {"MLFLOW_DVC_ENABLED": "0"}
COMMIT = "mlflow.source.git.commit"
Attached = Callable[[str], dict[str, bytes]]


@pytest.fixture
def project(pipeline: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The three stages with a lock of each, and the working directory in it."""
    monkeypatch.chdir(pipeline.root)
    return pipeline


def make_run(project: Project, script: str = "src/train.py", **tags: str) -> str:
    """A run as MLflow alone notes it; ``tags`` beside or in place of its own."""
    own = {"mlflow.source.name": script, COMMIT: project.git("rev-parse", "HEAD")}
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("tests").experiment_id
    run_id = client.create_run(experiment).info.run_id
    kept = {key: value for key, value in {**own, **tags}.items() if value}
    for key, value in kept.items():
        client.set_tag(run_id, key, value)
    client.set_terminated(run_id)
    return str(run_id)


@pytest.fixture
def unrecorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of this process get no record."""
    monkeypatch.setenv(*next(iter(OFF.items())))


def fill(**options: Any) -> dict[str, BackfillResult]:
    return {one.run_id: one for one in mlflow_dvc.backfill(**options)}


def tags_of(run_id: str) -> dict[str, str]:
    return dict(mlflow.MlflowClient().get_run(run_id).data.tags)


@pytest.mark.usefixtures("unrecorded")
def test_left(project: Project, make_project: Any, attached: Attached):
    """A run that cannot get a record is left as it is, for a reason that is told."""
    client = mlflow.MlflowClient()
    elsewhere = make_project("other").commit("another history")
    dvc_less = make_project("without", dvc=False)
    project.git("fetch", "--quiet", str(dvc_less.root), "main")
    without = project.git("rev-parse", "FETCH_HEAD")
    locked = (project.root / "dvc.lock").read_text()
    project.write("dvc.yaml", "stages: [\n")
    project.write("dvc.lock", "<<<<<<< ours\n")
    project.git("rm", "-r", "--cached", "--quiet", "data")
    project.git("commit", "--quiet", "--all", "--message", "damaged")
    damaged = project.git("rev-parse", "HEAD")
    project.git("reset", "--quiet", "--hard", "HEAD~")
    assert (project.root / "dvc.lock").read_text() == locked
    running = make_run(project)
    client.update_run(running, status="RUNNING")
    deleted = make_run(project)
    expected = {
        running: "it has not ended",
        deleted: "it is deleted",
        make_run(project, **{COMMIT: ""}): "MLflow noted no commit",
        make_run(project, **{COMMIT: "main"}): "is no commit",
        make_run(project, **{COMMIT: elsewhere}): f"does not have its commit {elsewhere}: fetch it",
        make_run(project, **{COMMIT: "0" * 40}): "this repository does not have its commit",
        make_run(project, **{COMMIT: without}): "its commit has no DVC project",
        make_run(
            project, **{COMMIT: damaged}
        ): "DVC's files in its commit cannot be read: dvc.yaml",
        make_run(project, **{"dvc.stage": "train"}): "it has a tag dvc.stage",
        make_run(project, **{"dvc.out.data/raw.csv": "mine"}): "it has a tag dvc.out.data/raw.csv",
    }
    with_file, forged, mine, taken = (make_run(project) for _ in range(4))
    client.log_text(with_file, "mine", "dvc/notes.txt")
    client.log_text(forged, '{"schema": "x"}', "dvc/snapshot.json")
    client.log_text(mine, '{"schema": 1, "git": {"sha": "a"}}', "dvc/snapshot.json")
    expected[with_file] = "files lie in its folder dvc/: dvc/notes.txt"
    client.log_text(taken, "", "dvc/snapshot.json")
    client.log_text(taken, "mine", "dvc/dvc.lock")
    expected[taken] = "its dvc/dvc.lock is another"
    expected[forged] = "its dvc/snapshot.json cannot be read"
    client.delete_run(deleted)
    good = make_run(project)
    tags = {run_id: tags_of(run_id) for run_id in expected}
    files = {run_id: attached(run_id) for run_id in expected}
    found = fill()
    for run_id, reason in expected.items():
        assert (found[run_id].verdict, found[run_id].changed) == ("left", False)
        assert reason in found[run_id].reason
        assert tags_of(run_id) == tags[run_id]
        assert attached(run_id) == files[run_id]
    assert found[mine].verdict == "recorded"
    assert found[good].verdict == "reconstructed"
    assert len(found) == len(expected) + 2


def test_recorded(project: Project, runs: Any, attached: Attached):
    """A run that this package has recorded stays as it is."""
    project.python("run.py")
    [run] = runs()
    files = attached(run.info.run_id)
    assert fill()[run.info.run_id].verdict == "recorded"
    assert (tags_of(run.info.run_id), attached(run.info.run_id)) == (run.data.tags, files)


@pytest.mark.usefixtures("unrecorded")
def test_users_tags_of_the_code(project: Project):
    """A tag ``git_sha`` or ``git_branch`` of the user's stays, and is no record."""
    run_id = make_run(project, git_sha="v1.2", git_branch="mine")
    assert fill()[run_id].verdict == "reconstructed"
    assert (tags_of(run_id)["git_sha"], tags_of(run_id)["git_branch"]) == ("v1.2", "mine")


@pytest.mark.usefixtures("unrecorded")
@both_stores
@pytest.mark.parametrize("what", ["seal", "all tags but the mark", "cut", "no pages", "empty"])
def test_unfinished(project: Project, attached: Attached, what: str):
    """What an interruption leaves of a record is completed, by tags and by files."""
    client = mlflow.MlflowClient()
    run_id = make_run(project)
    before = tags_of(run_id)
    fill()
    tags, files = tags_of(run_id), attached(run_id)
    place = Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://"), "dvc")
    lost = set(tags) - set(before)
    if what == "seal":
        lost = {"dvc.seal"}
    elif what == "all tags but the mark":
        lost -= {"dvc.reconstructed"}
    elif what == "no pages":
        (place / "record.md").unlink()
        (place / "project.zip").unlink()
    elif what == "empty":
        for path in place.iterdir():
            path.unlink()
        (place / "snapshot.json").touch()
    else:
        (place / "snapshot.json").write_bytes(files["snapshot.json"][:100])
        (place / "dvc.lock").unlink()
    for key in lost:
        client.delete_tag(run_id, key)
    assert fill()[run_id].verdict == "reconstructed"
    assert (tags_of(run_id), attached(run_id)) == (tags, files)
    assert fill()[run_id].verdict == "recorded"


@pytest.mark.usefixtures("unrecorded")
@pytest.mark.parametrize(
    ("script", "stage"),
    [
        ("src/train.py", "train"),
        ("train.py", "train"),
        ("../src/train.py", "train"),
        ("/home/somebody/clone/src/train.py", "train"),
        ("C:\\Users\\somebody\\clone\\src\\train.py", "train"),
        ("/venv/bin/pytest", None),
        ("https://host/owner/name.git#src", None),
        ("run.py", None),
        ("", None),
    ],
)
def test_stage(project: Project, script: str, stage: str | None):
    """The stage is that of the script, however it was called; what it makes is not claimed then."""
    run_id = make_run(project, script)
    assert fill()[run_id].stage == stage
    snapshot = mlflow_dvc.show(run_id).snapshot
    assert snapshot.script_stage == stage
    guess = [w for w in snapshot.warnings if w.startswith("its script is taken for ")]
    assert bool(guess) == (stage is not None and script != "src/train.py")
    made = {"models/model.txt", "report.txt"}
    claimed = {entry.path for entry in snapshot.data if entry.is_fact}
    assert claimed & made == (set() if stage else made)


@pytest.mark.usefixtures("unrecorded")
def test_scripts_of_one_name(project: Project):
    """Where several files of the commit may have been the script, it is none, which is said."""
    project.write("other/src/train.py", "1\n")
    project.commit()
    unclear = make_run(project, "/elsewhere/other/src/train.py")
    here = make_run(project, str(project.root / "src/train.py"))
    found = fill()
    assert (found[unclear].stage, found[here].stage) == (None, "train")
    [warning] = [w for w in mlflow_dvc.show(unclear).snapshot.warnings if "not clear" in w]
    assert warning == "which of these ran is not clear: other/src/train.py, src/train.py"


@pytest.mark.usefixtures("unrecorded")
def test_committed_version(project: Project, runs: Any):
    """Runs whose commits claim equal inputs are found together, by a tag that no run has which was
    recorded, and that has the value of the data version of a run which did read this."""
    first = make_run(project)
    project.write("README.md", "changed\n")
    project.commit()
    second = make_run(project)
    fill()
    project.python("src/train.py", MLFLOW_DVC_ENABLED="1")
    [recorded] = [run for run in runs() if run.info.run_id not in {first, second}]
    versions = {tags_of(one)["dvc.committed_version"] for one in (first, second)}
    assert versions == {recorded.data.tags["dvc.data_version"]}
    assert "dvc.committed_version" not in recorded.data.tags
    assert "dvc.data_version" not in tags_of(first)


@pytest.mark.usefixtures("unrecorded")
def test_children(project: Project, attached: Attached):
    """A child at its parent's commit carries the tags alone, and every command finds its record; a
    child of another script has a record of its own."""
    parent = make_run(project)
    child = make_run(project, **{"mlflow.parentRunId": parent})
    other = make_run(project, "src/report.py", **{"mlflow.parentRunId": parent})
    assert {one.verdict for one in fill().values()} == {"reconstructed"}
    assert attached(child) == {}
    assert attached(parent)["snapshot.json"] != attached(other)["snapshot.json"]
    [found] = mlflow_dvc.verify(child)
    [above] = mlflow_dvc.verify(parent)
    assert found.items == above.items
    assert {one.verdict for one in fill().values()} == {"recorded"}


@pytest.mark.usefixtures("unrecorded")
def test_commands(project: Project, tmp_path: Path, runs: Any):
    """Every command that reads a record says of this one that its commit tells, and no more."""
    raw = project.lock()["data/prepared.csv"]
    old = make_run(project)
    project.write("data/raw.csv", "a,b\n3,4\n")
    project.dvc("repro", "prepare", **OFF)
    project.dvc("add", "--quiet", "data/raw.csv", **OFF)
    project.commit()
    new = make_run(project)
    fill()
    project.python("src/train.py", MLFLOW_DVC_ENABLED="1")
    [recorded] = [run.info.run_id for run in runs() if run.info.run_id not in {old, new}]
    sha = tags_of(old)[COMMIT]

    shown = project.cli("show", old)
    assert f"reconstructed  from commit {sha}, after the run" in shown.stdout
    assert "warning: reconstructed after the run" in shown.stderr

    [match] = mlflow_dvc.search(f"data/prepared.csv@{raw}")
    assert (match.run_id, match.reconstructed) == (old, sha)
    assert [one.relation for one in match.data] == ["committed"]
    assert mlflow_dvc.search(f"data/prepared.csv@{raw}", read=True) == []
    [in_folder] = mlflow_dvc.search(md5_of(b"1,2"))
    assert (in_folder.run_id, in_folder.data[0].relation) == (old, "committed")
    assert mlflow_dvc.search(md5_of(b"1,2"), read=True) == []
    assert " committed " in project.cli("search", f"data/prepared.csv@{raw}").stdout

    for pair in ((old, new), (old, recorded)):
        found = mlflow_dvc.diff(*pair)
        assert found.data.differs is None
        changes = {one.path: one for one in found.data.changes}
        assert changes["data/prepared.csv"].status == "unknown"
        assert "only the commit tells" in changes["data/prepared.csv"].reason
    same = mlflow_dvc.diff(new, recorded).data
    assert (same.changes, same.differs) == ((), None)
    assert same.notes == ("old: of its data only its commit tells",)

    graph = mlflow_dvc.lineage(old)
    assert any("reconstructed" in warning for warning in graph.warnings)
    reads = [edge for edge in graph.edges if edge.how in ("read", "saw") and edge.doubt]
    assert any(edge.doubt.startswith("reconstructed: ") for edge in reads)

    assert mlflow_dvc.sync() == []
    [left] = mlflow_dvc.sync(old)
    assert (left.verdict, left.changed) == ("left", False)
    assert "reconstructed from its commit" in left.reason

    back = mlflow_dvc.restore(old, str(tmp_path / "back"))
    assert back.verdict == "UNVERIFIED"
    assert (tmp_path / "back/data/raw.csv").read_text() == "a,b\n1,2\n"
    assert (tmp_path / "back/data/prepared.csv").exists()


@pytest.mark.usefixtures("unrecorded")
def test_pages_and_files(project: Project):
    """The pages say that it was reconstructed, and not that the stage read anything; a file that
    the commit has otherwise is tampered with."""
    run_id = make_run(project)
    fill()
    sha = tags_of(run_id)[COMMIT]
    place = mlflow.MlflowClient().get_run(run_id).info.artifact_uri.removeprefix("file://")
    for page, mark in (
        ("record.md", f"- **reconstructed**: from commit {sha}, after the run"),
        ("report.html", f"from commit {sha}, after the run"),
    ):
        text = Path(place, "dvc", page).read_text()
        assert mark in text
        assert "What the stage declares" in text
        assert "What the stage read" not in text
    lock = Path(place, "dvc/dvc.lock")
    lock.write_text(lock.read_text().replace(project.lock()["data/prepared.csv"], "0" * 32))
    [forged] = mlflow_dvc.verify(run_id)
    assert forged.verdict == "TAMPERED"


@pytest.mark.usefixtures("unrecorded")
def test_command(project: Project):
    """The command asks before it writes; its exit code says whether every run has a record."""
    assert project.cli("backfill", "--yes").returncode == 3
    run_id = make_run(project)
    plan = project.cli("backfill", "--dry-run", "--json")
    [row] = json.loads(plan.stdout)["runs"]
    assert (plan.returncode, row["verdict"], row["changed"]) == (0, "reconstructed", False)
    refused = project.cli("backfill")
    assert refused.returncode == 2
    assert "Write 1 record, marked as reconstructed? [y/N]" in refused.stderr
    assert "nothing was written" in refused.stderr
    assert "dvc.seal" not in tags_of(run_id)
    done = project.cli("backfill", "--yes")
    assert done.returncode == 0, done.stderr
    assert "1 of 1 runs got a reconstructed record, 0 had one, 0 were left" in done.stderr
    make_run(project, **{COMMIT: ""})
    left = project.cli("backfill", "--yes", "--experiment", "tests")
    assert (left.returncode, "MLflow noted no commit" in left.stdout) == (1, True)
    assert "0 of 2 runs got a reconstructed record, 1 had one, 1 were left" in left.stderr


def test_outside(tmp_path: Path, tracking_uri: str, monkeypatch: pytest.MonkeyPatch):
    """Where there is no git repository, nothing can be read, which is said."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MlflowDvcError, match="no git repository at or above"):
        mlflow_dvc.backfill()


def test_goes_on(project: Project, runs: Any, attached: Attached):
    """A reconstructed run that goes on gets a part that was seen; its first record stays."""
    project.python("run.py", **OFF)
    [run] = runs()
    run_id = run.info.run_id
    assert fill()[run_id].verdict == "reconstructed"
    before = attached(run_id)
    script = f"import mlflow\nwith mlflow.start_run(run_id={run_id!r}):\n    pass\n"
    project.python(str(project.write("again.py", script)))
    after = attached(run_id)
    assert before.items() <= {**after, "record.md": before["record.md"]}.items()
    shown = mlflow_dvc.show(run_id)
    [part] = shown.later
    assert (shown.snapshot.reconstructed, part.snapshot.reconstructed) == (
        shown.snapshot.git.sha,
        None,
    )
    assert fill()[run_id].verdict == "recorded"


@pytest.mark.usefixtures("unrecorded")
def test_store_among_the_outputs(project: Project):
    """A run whose artifacts DVC tracks is left: to write there would change data."""
    client = mlflow.MlflowClient()
    place = project.root / "tracked"
    experiment = client.create_experiment("inside", artifact_location=place.as_uri())
    run_id = client.create_run(
        experiment, tags={COMMIT: project.git("rev-parse", "HEAD")}
    ).info.run_id
    client.log_text(run_id, "mine", "notes.txt")
    client.set_terminated(run_id)
    project.dvc("add", "--quiet", "tracked", **OFF)
    result = fill(experiment="inside")[run_id]
    assert (result.verdict, "it is kept in tracked, an output of tracked.dvc" in result.reason) == (
        "left",
        True,
    )


@pytest.mark.usefixtures("unrecorded")
def test_a_stage_that_never_ran(project: Project):
    """Data of which the commit has no hash is named, and there is no version of the inputs then."""
    (project.root / "dvc.lock").unlink()
    project.commit()
    run_id = make_run(project)
    assert fill()[run_id].verdict == "reconstructed"
    snapshot = mlflow_dvc.show(run_id).snapshot
    assert {entry.path for entry in snapshot.data if entry.is_fact} == {"data/raw.csv"}
    assert snapshot.committed_version is None
    assert "data/prepared.csv: DVC's files have no hash of it" in snapshot.uncovered
