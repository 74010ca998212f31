"""What a record must get right, one row per rule: what happens, and the wrong answer of a reader
who copies dvc.lock beside the right one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import FIVE_LINES, Project, few, lay_out
from endings import FAILURES

import mlflow_dvc

pytestmark = pytest.mark.hosts

Tags = dict[str, str]

# What must hold; what a reader who copies dvc.lock and asks git would say; which tests hold it.
RULES = [
    ("the running stage's entry is of its previous run",
     "the previous model, and the data it was trained on",
     ["test_own_entry_is_the_last_runs", "test_acceptance.test_no_stale_hash"]),
    ("a dependency is what lies on disk",
     "what its producer once made",
     ["test_dependency_is_what_lies_on_disk", "test_one_file_of_a_directory"]),
    ("what a stage made is known when its process has ended well, and certain by DVC's lock",
     "nothing, the previous outputs, or those of a stage that failed",
     ["test_sealed_as_dvc_writes_it", "test_nothing_after_a_failure", "test_ends_well",
      "test_process_exit.test_failures", "test_process_exit.test_successes",
      "test_sync.test_contradicted", "test_sync.test_completed",
      "test_sync.test_discarded_rerun", "test_disk_check.test_repro_is_as_without_us"]),
    ("a stage may start several runs, and several stages may log",
     "one run per stage, one stage per repro",
     ["test_several_runs_of_a_stage", "test_two_stages_that_log"]),
    ("an experiment may run in a copy of the project",
     "DVC_ROOT, which names the project it was copied from",
     ["test_experiments", "test_project.test_exp_run_temp"]),
    ("DVC_STAGE is inherited",
     "a stage of another project",
     ["test_inherited_stage_is_not_ours", "test_running_stage.test_foreign_stage"]),
    ("what DVC rewrites is no dirt",
     "dirty at every repro",
     ["test_clean_while_dvc_rewrites", "test_patch.test_repro_is_clean"]),
    ("edited data is modified, and what a run writes after its start is not",
     "the hash in the lock",
     ["test_edited_data", "test_edited_in_a_directory", "test_written_by_the_run",
      "test_not_hashable", "test_disk_check.test_changing_while_hashed"]),
    ("data that was never pulled is missing",
     "its hash, as if it had been read",
     ["test_never_pulled"]),
    ("every run has the record of its own start",
     "the commit that MLflow remembers for the life of the process",
     ["test_edited_between_two_runs", "test_write_record.test_fresh_at_every_run"]),
    ("code and data may lie anywhere, or not at all",
     "the working directory's",
     ["test_project.test_script_elsewhere", "test_head.test_worktree", "test_head.test_submodule",
      "test_head.test_detached_head", "test_head.test_no_commit", "test_project.test_neither"]),
    ("runs without a script have a commit",
     "none, as in MLflow",
     ["test_project.test_which_script", "test_write_record.test_mlflows_git_tags_stay"]),
    ("without git the commit is the one frozen, then the CI service's",
     "none",
     ["test_frozen_record.test_same_record", "test_frozen_record.test_service",
      "test_frozen_record.test_git_comes_first"]),
    ("clients, autologging and resumed runs have a record too",
     "only runs that ask the context provider",
     ["test_write_record.test_client", "test_write_record.test_autolog",
      "test_write_record.test_mlflow_run", "test_write_record.test_resumed_from_the_environment"]),
    ("a run resumed on other data keeps its first record",
     "the last one",
     ["test_write_record.test_resumed_on_other_data"]),
    ("a child run with its parent's record has no second copy",
     "a copy for each of a thousand trials",
     ["test_write_record.test_nested", "test_write_record.test_nested_on_other_data"]),
    ("workers that are forked or spawned have one record each",
     "none, or the parent's again",
     ["test_write_record.test_worker_processes", "test_disk_check.test_forked_workers"]),
    ("from a model one reaches the data, and it is that of its run",
     "the data of the moment when the model was logged",
     ["test_write_record.test_model_of_a_run", "test_write_record.test_model_of_another_process"]),
    ("equal data has one version, under DVC and by hand",
     "another with every model that lies about",
     ["test_same_version_both_ways", "test_one_byte_of_a_directory",
      "test_acceptance.test_data_version_follows_inputs"]),
    ("a patch rebuilds the code and gives nothing away",
     "git diff",
     ["test_patch.test_any_edits", "test_patch.test_nothing_is_given_away"]),
]  # fmt: skip


def test_every_rule_is_held():
    """The table names tests that are there, and every test of this file is in it or a detail."""
    here = Path(__file__)
    files = {path.stem: path for path in here.parents[1].rglob("test_*.py")}
    for rule, naive, tests in RULES:
        assert rule != naive
        for name in tests:
            file, dot, test = name.rpartition(".")
            source = files[file] if dot else here
            assert f"def {test}(" in source.read_text("utf-8"), name


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def tags_of(run: Any) -> Tags:
    return {key: value for key, value in run.data.tags.items() if key.startswith(("dvc.", "git_"))}


def outs(run: Any, prefix: str = "dvc.out.") -> Tags:
    tags = run.data.tags
    return {key[len(prefix) :]: value for key, value in tags.items() if key.startswith(prefix)}


def deps(run: Any) -> Tags:
    return outs(run, "dvc.dep.")


def change(project: Project, path: str, old: str, new: str) -> None:
    text = (project.root / path).read_text()
    assert old in text
    project.write(path, text.replace(old, new))


# --- while DVC is running the script -----------------------------------------------------------


def test_own_entry_is_the_last_runs(pipeline: Project, runs):
    """Rule 1. Naive: the lock's model and its dependency, both of the previous run."""
    old = pipeline.lock()
    pipeline.write("data/raw.csv", "a,b\n3,4\n")
    pipeline.dvc("add", "--quiet", "data/raw.csv")
    pipeline.dvc("repro", MLFLOW_DVC_SEAL="0")
    [run] = runs()
    new = pipeline.lock()
    assert "models/model.txt" not in outs(run), "not made yet"
    assert "report.txt" not in outs(run), "downstream"
    assert deps(run)["data/prepared.csv"] == new["data/prepared.csv"] != old["data/prepared.csv"]
    assert run.data.tags["dvc.data_status"] == "clean"


def test_dependency_is_what_lies_on_disk(pipeline: Project, runs):
    """Rule 2. Naive: what the lock says that the producer made; ``repro -s`` runs on other data."""
    pipeline.root.joinpath("data/prepared.csv").unlink()
    pipeline.write("data/prepared.csv", "by hand\n")
    pipeline.dvc("repro", "--single-item", "train")
    [run] = runs()
    assert deps(run)["data/prepared.csv"] == md5("by hand\n")
    assert (
        outs(run)["data/prepared.csv"] == md5("by hand\n") != pipeline.lock()["data/prepared.csv"]
    )
    assert run.data.tags["dvc.data_status"] == "modified"
    assert run.data.tags["dvc.modified"] == "data/prepared.csv"


def test_one_file_of_a_directory(pipeline: Project, runs):
    """Rule 2. Naive: a file inside a directory output has no hash in any lock."""
    text = (pipeline.root / "dvc.yaml").read_text()
    pipeline.write(
        "dvc.yaml", text.replace("deps: [data/prepared.csv,", "deps: [data/parts/1.csv,")
    )
    pipeline.dvc("repro", "train")
    [run] = runs()
    assert deps(run) == {
        "data/parts/1.csv": md5("1,2"),
        "src/train.py": md5((pipeline.root / "src/train.py").read_text()),
    }


def test_sealed_as_dvc_writes_it(pipeline: Project, runs, attached):
    """Rule 3. Naive: the lock at the start, without what the stage has made."""
    pipeline.write("params.yaml", "lr: 0.5\n")
    pipeline.dvc("repro", "train")
    [run] = runs()
    lock = (pipeline.root / "dvc.lock").read_bytes()
    assert attached(run.info.run_id)["dvc.lock"] == lock
    assert run.data.tags["dvc.lock"] == hashlib.md5(lock).hexdigest()
    assert run.data.tags["dvc.seal"] == "provisional"
    assert outs(run)["models/model.txt"] == pipeline.lock()["models/model.txt"]
    assert "metrics.json" not in outs(run), "cache: false"
    snapshot = json.loads(attached(run.info.run_id)["snapshot.json"])
    roles = {entry["path"]: entry["role"] for entry in snapshot["data"]}
    assert roles["models/model.txt"] == roles["metrics.json"] == "output"
    assert snapshot["seal"] == "provisional"


COMMANDS = {
    "script": "python src/train.py",
    "module": "python -m src.train",
    "code": "python -c 'import src.train'",
}


@pytest.mark.parametrize(
    ("command", "ending"),
    few(
        ("script", "exception"), ("script", "killed"), ("module", "SystemExit"),
        of=[
            ("script", "exception"),
            ("script", "sys.exit"),
            ("script", "killed"),
            ("script", "interrupted"),
            ("module", "SystemExit"),
            ("code", "builtin"),
        ],
    ),
)  # fmt: skip
def test_nothing_after_a_failure(pipeline: Project, runs, ending: str, command: str):
    """Rule 3. Naive: the failed stage's outputs as if DVC had taken them; and DVC then finds the
    stage in its run cache and skips it. Seen: repro fails, and runs the stage again afterwards."""
    script = pipeline.root / "src/train.py"
    good = script.read_text()
    change(pipeline, "dvc.yaml", "python src/train.py", COMMANDS[command])
    script.write_text(good + FAILURES[ending] + "\n")
    failed = pipeline.call("dvc", "repro", "train")
    assert failed.returncode != 0
    [run] = runs()
    assert run.data.tags["dvc.seal"] == "none"
    assert "models/model.txt" not in outs(run)
    again = pipeline.call("dvc", "repro", "train")
    assert "Running stage 'train'" in again.stdout
    script.write_text(good + "# mended\n")
    pipeline.dvc("repro", "train")
    assert runs()[-1].data.tags["dvc.seal"] == "provisional"


@pytest.mark.parametrize(
    ("command", "ending"),
    [("script", "sys.exit(main())"), ("module", "sys.exit()"), ("code", "pass")],
)
def test_ends_well(pipeline: Project, runs, ending: str, command: str):
    """Rule 3. A script that ends by ``sys.exit`` with success is sealed like any other."""
    change(pipeline, "dvc.yaml", "python src/train.py", COMMANDS[command])
    script = pipeline.root / "src/train.py"
    script.write_text(
        f"import sys\ndef main(): return None\n{script.read_text()}"
        f"try:\n    sys.exit(5)\nexcept SystemExit:\n    pass\n{ending}\n"
    )
    pipeline.dvc("repro", "train")
    [run] = runs()
    assert run.data.tags["dvc.seal"] == "provisional"


def test_several_runs_of_a_stage(pipeline: Project, runs):
    """Rule 4. Naive: one run per stage; here three, one of them failed, and two are sealed."""
    script = pipeline.root / "src/train.py"
    text = script.read_text().replace("import mlflow\n", "import mlflow\n" + SWEEP)
    script.write_text(text)
    pipeline.dvc("repro", "train")
    found = runs()
    seals = {run.data.params.get("n", "last"): run.data.tags["dvc.seal"] for run in found}
    assert seals == {"0": "provisional", "1": "none", "last": "provisional"}
    assert all(run.data.tags["dvc.stage"] == "train" for run in found)


SWEEP = """\
for n in range(2):
    try:
        with mlflow.start_run():
            mlflow.log_param("n", n)
            if n:
                raise RuntimeError("a bad trial")
    except RuntimeError:
        pass
"""


WITH_SCRIPT = "[models/model.txt, src/report.py]\n    outs: [r"


def test_two_stages_that_log(pipeline: Project, runs):
    """Rule 4. Naive: what train made is missing from evaluate's run, or is the previous model."""
    pipeline.write("src/report.py", FIVE_LINES + (pipeline.root / "src/report.py").read_text())
    pipeline.write("params.yaml", "lr: 0.7\n")
    change(pipeline, "dvc.yaml", "[models/model.txt]\n    outs: [r", WITH_SCRIPT)
    pipeline.dvc("repro")
    train, report = runs()
    lock = pipeline.lock()
    assert deps(report)["models/model.txt"] == outs(train)["models/model.txt"]
    assert outs(report)["report.txt"] == lock["report.txt"]
    assert "report.txt" not in outs(train)
    assert train.data.tags["dvc.data_version"] != report.data.tags["dvc.data_version"]


@pytest.mark.parametrize("how", few("--temp", "--queue", of=["workspace", "--temp", "--queue"]))
def test_experiments(pipeline: Project, runs, attached, how: str):
    """Rule 5. Naive: DVC_ROOT, which names the parent's data, not that of the copy that runs."""
    words = ["exp", "run", "--name", "mine", "--set-param", "lr=0.9"]
    if how == "--queue":
        pipeline.dvc(*words, "--queue")
        pipeline.dvc("exp", "run", "--run-all")
    else:
        pipeline.dvc(*words, *([] if how == "workspace" else [how]))
    [run] = runs()
    refs = pipeline.git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    [ref] = [ref for ref in refs if ref.endswith("/mine")]
    lock = pipeline.git("show", f"{ref}:dvc.lock") + "\n"
    assert run.data.tags["dvc.exp"] == "mine"
    assert run.data.tags["dvc.stage"] == "train"
    assert run.data.tags["dvc.seal"] == "provisional"
    files = attached(run.info.run_id)
    sealed = mlflow_dvc.dvcfiles.yaml12.parse_yaml(files["dvc.lock"])["stages"]["train"]
    assert sealed == mlflow_dvc.dvcfiles.yaml12.parse_yaml(lock.encode())["stages"]["train"]
    assert files["params.yaml"] == b"lr: 0.9\n"


def test_inherited_stage_is_not_ours(pipeline: Project, runs):
    """Rule 6. Naive: DVC_STAGE as it stands, though it names a stage of another project."""
    pipeline.python("run.py", DVC_STAGE="elsewhere", DVC_ROOT=str(pipeline.root))
    [run] = runs()
    assert "dvc.stage" not in run.data.tags
    assert outs(run)["models/model.txt"] == pipeline.lock()["models/model.txt"]
    assert run.data.tags["dvc.seal"] == "none"


def test_clean_while_dvc_rewrites(pipeline: Project, runs):
    """Rule 7. Naive: ``git status``, dirty at every ``dvc repro`` by dvc.lock and outputs."""
    pipeline.write("data/raw.csv", "a,b\n3,4\n")
    pipeline.dvc("add", "--quiet", "data/raw.csv")
    pipeline.dvc("repro")
    [run] = runs()
    assert pipeline.git("status", "--porcelain")
    assert run.data.tags["git_dirty"] == "false"
    assert run.data.tags["git_sha"] == pipeline.git("rev-parse", "HEAD"), "its lock's parent"


# --- outside DVC -------------------------------------------------------------------------------


def test_edited_data(pipeline: Project, runs, attached):
    """Rule 8. Naive: the hash in the lock, of what no longer lies there."""
    pipeline.root.joinpath("data/raw.csv").unlink()
    pipeline.write("data/raw.csv", "edited\n")
    pipeline.python("run.py")
    [run] = runs()
    assert run.data.tags["dvc.data_status"] == "modified"
    assert run.data.tags["dvc.modified"] == "data/raw.csv"
    assert outs(run)["data/raw.csv"] == md5("edited\n")
    assert md5("a,b\n1,2\n") not in run.data.tags["dvc.hashes"]
    snapshot = json.loads(attached(run.info.run_id)["snapshot.json"])
    [entry] = [entry for entry in snapshot["data"] if entry["path"] == "data/raw.csv"]
    assert (entry["state"], entry["hash"], entry["size"]) == ("modified", md5("edited\n"), 7)


def test_edited_in_a_directory(pipeline: Project, runs):
    """Rule 8. A file more makes a directory output modified, with the hash that DVC would give."""
    pipeline.write("data/parts/9.csv", "9")
    pipeline.python("run.py")
    [run] = runs()
    pipeline.dvc("commit", "--force", "--quiet", "prepare")
    assert run.data.tags["dvc.modified"] == "data/parts"
    assert outs(run)["data/parts"] == pipeline.lock()["data/parts"]


def test_written_by_the_run(pipeline: Project, runs):
    """Rule 8. Naive: what the run itself writes after its start, taken for an edit before it."""
    pipeline.write(
        "run.py",
        "import mlflow, pathlib\npath = pathlib.Path('data/raw.csv')\n"
        "with mlflow.start_run():\n    path.unlink()\n    path.write_text('after')\n",
    )
    pipeline.python("run.py")
    [run] = runs()
    assert "dvc.modified" not in run.data.tags
    assert run.data.tags["dvc.data_status"] == "unverified", "nobody knows what lay there"
    assert outs(run)["data/raw.csv"] == md5("a,b\n1,2\n")


REPLACED = {
    "removed": "os.remove(path)",
    "moved away": "os.rename(path, 'elsewhere')",
    "an old file put back": "os.rename('kept', path)",
    "a link put there": "os.remove(path); os.symlink(os.path.abspath('kept'), path)",
}


@pytest.mark.parametrize("how", REPLACED)
def test_replaced_by_the_run(pipeline: Project, runs, how: str):
    """Rule 8. Naive: what lies there a second after the start, taken for what lay there then."""
    path = pipeline.root / "data/raw.csv"
    path.rename(pipeline.root / "kept")  # what DVC knows
    path.write_text("changed before\n")
    pipeline.write(
        "run.py",
        "import mlflow, os\npath = 'data/raw.csv'\nwith mlflow.start_run():\n"
        f"    open(path).read()\n    {REPLACED[how]}\n",
    )
    pipeline.python("run.py")
    [run] = runs()
    assert run.data.tags["dvc.data_status"] in ("unverified", "modified")
    assert "dvc.missing" not in run.data.tags
    if run.data.tags["dvc.data_status"] == "modified":  # seen in time
        assert outs(run)["data/raw.csv"] == md5("changed before\n")


def test_edited_between_two_runs(pipeline: Project, runs, monkeypatch):
    """Rules 8 and 10. Naive: the first run's record for every run of a process."""
    monkeypatch.chdir(pipeline.root)
    path = pipeline.root / "data/raw.csv"
    for text in ("a,b\n1,2\n", "second\n", "third\n"):
        path.unlink()
        path.write_text(text)
        with mlflow.start_run():
            pass
    found = [(run.data.tags["dvc.data_status"], outs(run)["data/raw.csv"]) for run in runs()]
    assert found == [
        ("clean", md5("a,b\n1,2\n")),
        ("modified", md5("second\n")),
        ("modified", md5("third\n")),
    ]


def test_never_pulled(pipeline: Project, runs):
    """Rule 9. Naive: the hash of data that is not there, as if the run had read it."""
    pipeline.root.joinpath("data/raw.csv").unlink()
    pipeline.python("run.py")
    [run] = runs()
    assert run.data.tags["dvc.data_status"] == "missing"
    assert run.data.tags["dvc.missing"] == "data/raw.csv"
    assert outs(run)["data/raw.csv"] == md5("a,b\n1,2\n"), "which data it is, is known"


def test_not_hashable(pipeline: Project, runs):
    """Rule 8. Naive: the lock's hash for what DVC itself refuses to hash."""
    pipeline.write("data/folder/1.csv", "1\n")
    pipeline.dvc("add", "--quiet", "data/folder")
    pipeline.write("data/folder/.dvcignore", "1.csv\n")
    pipeline.python("run.py")
    [run] = runs()
    assert "data/folder" not in outs(run)
    assert run.data.tags["dvc.data_status"] == "unverified"
    assert "dvc.data_version" not in run.data.tags


def test_switched_off(pipeline: Project, runs):
    """MLFLOW_DVC_CHECK=0 looks at nothing: the claims stand, and say that they are claims."""
    pipeline.root.joinpath("data/raw.csv").unlink()
    pipeline.python("run.py", MLFLOW_DVC_CHECK="0")
    pipeline.dvc("repro", "--force", "train", "--single-item", MLFLOW_DVC_CHECK="0")
    by_hand, by_dvc = runs()
    assert by_hand.data.tags["dvc.data_status"] == "unverified"
    assert by_dvc.data.tags["dvc.data_status"] == "unverified"
    assert by_dvc.data.tags["dvc.seal"] == "provisional"
    assert deps(by_dvc)["data/prepared.csv"] == pipeline.lock()["data/prepared.csv"]


# --- which data ---------------------------------------------------------------------------------


def test_same_version_both_ways(pipeline: Project, runs):
    """Rule 30. Naive: all outputs in the lock, models included: another version by hand."""
    pipeline.dvc("repro", "--force", "--single-item", "train")
    pipeline.python("src/train.py")
    pipeline.write("models/model.txt.bak", "a model that lies about")
    pipeline.python(str(pipeline.root / "src/train.py"), cwd=pipeline.root)
    by_dvc, by_hand, again = runs()
    versions = {run.data.tags["dvc.data_version"] for run in (by_dvc, by_hand, again)}
    assert len(versions) == 1
    assert deps(by_dvc) == deps(by_hand)


def test_one_byte_of_a_directory(pipeline: Project, runs):
    """Rule 30. A change of one byte in one file of an input directory is another version."""
    change(pipeline, "dvc.yaml", "deps: [data/prepared.csv,", "deps: [data/parts,")
    pipeline.python("src/train.py")
    part = pipeline.root / "data/parts/1.csv"
    part.unlink()
    part.write_text("1,3")
    pipeline.python("src/train.py")
    first, second = runs()
    assert first.data.tags["dvc.data_version"] != second.data.tags["dvc.data_version"]
    assert second.data.tags["dvc.modified"] == "data/parts"


def test_search_finds_what_was_read(make_project, runs):
    """A dependency that only the disk knows is found by its path and by its hash."""
    project = make_project()
    lay_out(project)
    project.write("data/labels.csv", "a label\n")
    change(project, "dvc.yaml", "[data/prepared.csv, src/t", "[data/labels.csv, src/t")
    project.dvc("repro", "prepare")
    project.python("src/train.py")
    for what in (
        "data/labels.csv",
        md5("a label\n")[:10],
        f"data/labels.csv@{md5('a label' + chr(10))}",
    ):
        [match] = mlflow_dvc.search(what)
        assert {entry.path for entry in match.data} == {"data/labels.csv"}
