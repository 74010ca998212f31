"""What a run is said to have read, with real processes."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Project

import mlflow_dvc

pytestmark = [
    pytest.mark.fresh,
    pytest.mark.hosts,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fanotify is part of Linux"),
]


# As root too: what a user without rights can do.
NO_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []


@pytest.fixture
def folder(make_project: Callable[..., Project], tracking_uri: str) -> Project:
    """Data without a pipeline: two files and a folder of ten."""
    project = make_project()
    project.write("data/a.csv", "a\n")
    project.write("data/b.csv", "b\n")
    for number in range(10):
        project.write(f"data/images/{number}", str(number))
    project.dvc("add", "--quiet", "data/a.csv", "data/b.csv", "data/images")
    project.write("settings.json", "{}")
    project.write(".gitignore", "/mlruns/\n/mlflow.db\n/scratch.txt\n")
    project.commit("data")
    return project


@pytest.fixture
def read_by(folder: Project, runs: Any, attached: Any) -> Callable[..., tuple[Any, Any, Any]]:
    """The tags, reads and files of the newest run, after a program has run."""

    def run(program: str, *words: str, **env: str) -> tuple[Any, Any, Any]:
        folder.write("run.py", textwrap.dedent(program))
        folder.python("run.py", *words, **env)
        run = runs()[-1]
        files = attached(run.info.run_id)
        listed = json.loads(files["reads.json"])["read"] if "reads.json" in files else {}
        return run.data.tags, json.loads(files["snapshot.json"])["reads"], listed

    return run


def by_path(reads: Any) -> dict[str, tuple[str, int | None, bool]]:
    return {one["path"]: (one["by"], one["nfiles"], one["earlier"]) for one in reads["data"]}


READS = """
    import mlflow
    early = open("data/a.csv").read()
    with mlflow.start_run():
        open("data/images/3").read()
"""


def test_what_was_read(read_by: Any, runs: Any):
    """Without a stage the inputs are what was read, before the run or in it, and nothing else."""
    tags, reads, listed = read_by(READS)
    assert tags["dvc.reads"] == "observed"
    assert tags["dvc.read.data/images"] == "1 of 10"
    assert by_path(reads) == {
        "data/a.csv": ("process", None, True),
        "data/images": ("process", 1, False),
    }
    assert listed == {"data/images": ["3"]}
    assert list(reads["code"]) == ["run.py"]
    names = {one.dataset.name for one in runs()[-1].inputs.dataset_inputs}
    assert names == {"data/a.csv", "data/images"}


def test_whatever_else_lies_about(folder: Project, read_by: Any):
    """Equal reads, equal version and status: other data may come, change and have no hash."""
    before, _, _ = read_by(READS)
    folder.write("data/new.csv", "new\n")
    folder.dvc("add", "--quiet", "data/new.csv")
    folder.write("data/b.csv", "changed\n")
    folder.write("dvc.yaml", "stages: {x: {cmd: 'true', outs: [made.txt]}}\n")
    folder.write("made.txt", "by hand")
    after, _, _ = read_by(READS)
    for name in ("dvc.data_version", "dvc.data_status", "dvc.reads"):
        assert after[name] == before[name], name
    folder.write("data/a.csv", "other\n")
    changed, _, _ = read_by(READS)
    assert changed["dvc.data_version"] != before["dvc.data_version"]
    assert changed["dvc.data_status"] == "modified"


def test_what_it_wrote(read_by: Any):
    """A file that the run writes is no input, even if it reads it afterwards; one that is replaced
    after it was read is."""
    _, reads, _ = read_by("""
        import mlflow
        open("data/a.csv").read()
        with mlflow.start_run():
            open("data/a.csv", "w").write("result")
            open("data/b.csv", "w").write("result")
            open("data/b.csv").read()
    """)
    assert set(by_path(reads)) == {"data/a.csv"}


WORKERS = """
    import concurrent.futures, multiprocessing, os, sys, time
    import mlflow

    def read(number):
        return len(open(f"data/images/{number}").read())

    if __name__ == "__main__":
        with mlflow.start_run():
            way = sys.argv[1]
            if way == "os.fork":
                pid = os.fork()
                if pid == 0:
                    read(1)
                    sys.exit(0)
                os.waitpid(pid, 0)
            elif way == "executor":
                with concurrent.futures.ProcessPoolExecutor(2) as pool:
                    list(pool.map(read, [1, 2]))
            elif way == "joblib":
                import joblib
                job = joblib.delayed(read)
                joblib.Parallel(n_jobs=2)(job(number) for number in [1, 2])
            elif way == "killed pool":
                with multiprocessing.get_context("fork").Pool(2) as pool:
                    pool.map(read, [1, 2])
                    time.sleep(2)  # until the worker has told, before it is killed
            elif way == "thread":
                with concurrent.futures.ThreadPoolExecutor(2) as pool:
                    list(pool.map(read, [1, 2]))
            elif way == "subprocess":
                import subprocess
                subprocess.run([sys.executable, "worker.py"], check=True)
            else:
                context = multiprocessing.get_context(way)
                with context.Pool(2) as pool:
                    pool.map(read, [1, 2])
                    pool.close()
                    pool.join()
"""


@pytest.mark.parametrize(
    "way",
    [
        *("fork", "spawn", "forkserver", "executor", "os.fork", "thread", "subprocess"),
        *("joblib", "killed pool"),
    ],
)
def test_workers(folder: Project, read_by: Any, way: str):
    """What workers read counts, in whatever way they were started."""
    folder.write("worker.py", "import mlflow\nopen('data/images/1').read()\n")
    tags, reads, listed = read_by(WORKERS, way)
    if way == "joblib" and os.getuid() != 0:  # its workers do not import MLflow
        assert tags["dvc.reads"].startswith("partial: data/images")
        return
    assert tags["dvc.reads"] == "observed", tags["dvc.reads"]
    who = "process" if way == "thread" else "worker"
    [(path, found)] = by_path(reads).items()
    assert (path, found[0]) == ("data/images", who)
    assert listed["data/images"] in (["1"], ["1", "2"])


def test_worker_that_is_killed(read_by: Any):
    """Nobody hears what it read: then nothing is called unread."""
    tags, reads, _ = read_by("""
        import os, signal
        import mlflow
        with mlflow.start_run():
            open("data/a.csv").read()
            pid = os.fork()
            if pid == 0:
                open("data/b.csv").read()
                os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(pid, 0)
    """)
    assert tags["dvc.reads"].startswith("partial: data/b.csv was opened by a program")
    assert by_path(reads)["data/b.csv"][0] == "another"


def test_worker_that_is_killed_later(read_by: Any):
    """What it has told by then is not all that it read."""
    tags, reads, _ = read_by("""
        import os, signal, time
        import mlflow
        with mlflow.start_run():
            pid = os.fork()
            if pid == 0:
                open("data/a.csv").read()
                time.sleep(1.5)  # until it has told of that
                open("data/b.csv").read()
                os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(pid, 0)
    """)
    assert by_path(reads)["data/a.csv"][0] == "worker"
    if by_path(reads)["data/b.csv"][0] != "worker":  # it has had time to tell of that as well
        assert tags["dvc.reads"].startswith("partial: data/b.csv was opened by a program")


def test_program_without_an_observer(read_by: Any):
    """A program that the run starts may read for it."""
    tags, _, _ = read_by("""
        import subprocess
        import mlflow
        with mlflow.start_run():
            open("data/a.csv").read()
            subprocess.run(["cat", "data/b.csv"], check=True, capture_output=True)
    """)
    assert tags["dvc.reads"].startswith("partial: data/b.csv")


def test_before_mlflow(folder: Project, read_by: Any, runs: Any):
    """What was read before MLflow was imported is not seen: then all that lay there counts."""
    tags, reads, _ = read_by("""
        text = open("data/b.csv").read()
        import mlflow
        with mlflow.start_run():
            open("data/a.csv").read()
    """)
    assert tags["dvc.reads"] == "partial: line 2 of run.py had run before observing began"
    assert set(by_path(reads)) == {"data/a.csv"}
    names = {one.dataset.name for one in runs()[-1].inputs.dataset_inputs}
    assert names == {"data/a.csv", "data/b.csv", "data/images"}


def test_nothing_read(read_by: Any):
    """A run that was not seen to read anything may have read elsewhere: what lay there counts."""
    tags, _, _ = read_by("""
        import mlflow
        with mlflow.start_run():
            mlflow.log_metric("x", 1)
    """)
    assert tags["dvc.reads"] == "partial: no tracked data was seen to be read"
    assert "dvc.data_version" in tags


def test_switched_off(read_by: Any):
    """MLFLOW_DVC_READS=0 looks at nothing, and the record says so."""
    tags, reads, _ = read_by(READS, MLFLOW_DVC_READS="0")
    assert tags["dvc.reads"] == "off"
    assert reads["data"] == []


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ("fanotify_init", "partial: this machine does not tell who opened a file"),
        ("fanotify_init,inotify_init1", "partial: only what Python itself opened was seen"),
    ],
)
def test_container(folder: Project, runs: Any, attached: Any, refused: str, said: str):
    """Where the kernel refuses to tell, the record says so, with the reason, and what was seen."""
    folder.write("run.py", textwrap.dedent(READS))
    folder.python(str(Path(__file__).parents[1] / "observe/refuse.py"), refused, "run.py")
    [run] = runs()
    assert run.data.tags["dvc.reads"].startswith(said)
    reads = json.loads(attached(run.info.run_id)["snapshot.json"])["reads"]
    assert set(by_path(reads)) == {"data/a.csv", "data/images"}


def test_without_rights(folder: Project, runs: Any):
    """Who has no right of an administrator is told the same."""
    folder.write("run.py", textwrap.dedent(READS))
    folder.run(*NO_RIGHTS, sys.executable, "run.py")
    assert runs()[-1].data.tags["dvc.reads"] == "observed"
    folder.write("run.py", textwrap.dedent(WORKERS))
    folder.run(*NO_RIGHTS, sys.executable, "run.py", "fork")
    assert runs()[-1].data.tags["dvc.reads"] == "observed"
    assert runs()[-1].data.tags["dvc.read.data/images"] == "2 of 10"


def test_hashing_that_goes_on(folder: Project, runs: Any):
    """What a process of this package has opened, and still hashes when the run ends, was not read
    by the run."""
    os.truncate(folder.root / "data/b.csv", 20 * 10**9)
    folder.write("run.py", textwrap.dedent(READS) + "    __import__('time').sleep(3)\n")  # to begin
    folder.run(*NO_RIGHTS, sys.executable, "run.py", MLFLOW_DVC_WAIT="6")
    tags = runs()[-1].data.tags
    assert tags["dvc.reads"] == "observed"
    assert tags["dvc.read.data/images"] == "1 of 10"


def test_standard_input(folder: Project, runs: Any):
    """What a shell has opened for the program is read by it."""
    folder.write("run.py", textwrap.dedent(READS))
    folder.run("sh", "-c", f"{sys.executable} run.py < data/b.csv > scratch.txt")
    tags = runs()[-1].data.tags
    assert tags["dvc.reads"] == "observed"
    names = {one.dataset.name for one in runs()[-1].inputs.dataset_inputs}
    assert names == {"data/a.csv", "data/b.csv", "data/images"}


def test_data_that_comes_meanwhile(folder: Project, read_by: Any, runs: Any):
    """A folder of data that somebody makes while the run goes on was not watched from the first
    moment; what the run makes itself is no data that it reads."""
    shutil.rmtree(folder.root / "data/images")
    program = """
        import os, subprocess, sys
        import mlflow
        with mlflow.start_run():
            open("data/a.csv").read()
            os.makedirs("outputs/0", exist_ok=True)
            if len(sys.argv) > 1:
                subprocess.run(["dvc", "checkout", "--quiet", "data/images.dvc"], check=True)
            else:
                os.makedirs("data/images")
                open("data/images/3", "w").write("made")
    """
    tags, _, _ = read_by(program, "pull")
    assert tags["dvc.reads"] == "partial: data/images came into being while the run went on"
    shutil.rmtree(folder.root / "data/images")
    tags, reads, _ = read_by(program)
    assert tags["dvc.reads"] == "observed"
    assert set(by_path(reads)) == {"data/a.csv"}


def test_part_of_a_job(read_by: Any):
    """Of several processes of one job each sees what it reads itself."""
    tags, _, _ = read_by(READS, WORLD_SIZE="2")
    assert tags["dvc.reads"] == (
        "partial: other processes of the same job may have read more (WORLD_SIZE)"
    )


def test_loaded_by_us(read_by: Any):
    """What MLflow's dataset of DVC data loads was read, also where it comes from the cache."""
    tags, reads, _ = read_by("""
        import mlflow, shutil
        with mlflow.start_run():
            source = mlflow.data.from_dvc("data/images").source
            shutil.rmtree("data/images")
            source.load()
    """)
    assert set(by_path(reads)) == {"data/images"}
    assert tags["dvc.reads"] == "observed"


BY_DVC = """
    import functools
    import multiprocessing
    import sys
    import mlflow
    import dvc.api

    if __name__ == "__main__":
        way, rev = sys.argv[1:]
        with mlflow.start_run():
            if way == "open":
                with dvc.api.open("data/images/3", rev=rev) as file:
                    file.read()
                dvc.api.read("data/a.csv", rev=rev)
            elif way == "get":
                dvc.api.DVCFileSystem(".", rev=rev).get("data/images", "../copy", recursive=True)
            elif way == "object":
                import fsspec
                for path in ("data/images/3", "data/a.csv"):
                    fsspec.open("file://" + dvc.api.get_url(path)).open().read()
            else:
                read = functools.partial(dvc.api.read, rev=rev)
                with multiprocessing.get_context(way).Pool(2) as pool:
                    pool.map(read, ["data/images/3", "data/a.csv"])
                    pool.close()
                    pool.join()
    """
ONE_AND_A_FILE = {"data/a.csv": ("process", None, False), "data/images": ("process", 1, False)}
BY_WORKERS = {"data/a.csv": ("worker", None, False), "data/images": ("worker", 1, False)}


def test_read_by_way_of_dvc(folder: Project, read_by: Any):
    """What a program has DVC read from the cache, of a commit, or reads there itself by the names
    that DVC gives to objects, is read; what is another version than that of the record is said."""
    for way in ("open", "object"):
        tags, reads, listed = read_by(BY_DVC, way, "HEAD")
        assert (tags["dvc.reads"], by_path(reads)) == ("observed", ONE_AND_A_FILE), way
        assert listed == {"data/images": ["3"]}
    for way in ("fork", "spawn"):
        tags, reads, _ = read_by(BY_DVC, way, "HEAD")
        assert (tags["dvc.reads"], by_path(reads)) == ("observed", BY_WORKERS), way
    _, reads, _ = read_by(BY_DVC, "get", "HEAD")
    assert by_path(reads) == {"data/images": ("process", 10, False)}
    folder.write("data/a.csv", "new\n")
    folder.dvc("add", "--quiet", "data/a.csv")
    folder.commit("newer")
    tags, _, _ = read_by(BY_DVC, "open", "HEAD~1")
    assert tags["dvc.reads"] == (
        "partial: data/a.csv was loaded in a version that is not of this project"
    )


def test_folder_of_links(folder: Project, read_by: Any):
    """With links into DVC's cache it is the name in the project that counts."""
    folder.dvc("config", "cache.type", "symlink")
    folder.dvc("checkout", "--relink", "--quiet")
    assert (folder.root / "data/images/3").is_symlink()
    tags, reads, listed = read_by(READS)
    assert tags["dvc.reads"] == "observed"
    assert set(by_path(reads)) == {"data/a.csv", "data/images"}
    assert listed == {"data/images": ["3"]}


def test_undeclared(pipeline: Project, runs: Any, attached: Any):
    """Of a stage it is named what it read or imported and does not declare, also by `status`
    afterwards, and what doctor adds to dvc.yaml mends that."""

    def warnings() -> str:
        return "".join(json.loads(pipeline.cli("status", "--json").stdout)["warnings"])

    pipeline.write("src/helper.py", "import json\nLABELS = json.load(open('labels.json'))\n")
    pipeline.write("labels.json", "{}")
    pipeline.write("notes.log", "")
    train = (pipeline.root / "src/train.py").read_text()
    begin = "import mlflow, helper\nopen('data/raw.csv').read()\nopen('notes.log').read()\n"
    pipeline.write("src/train.py", begin + train)
    pipeline.write(".gitignore", "*.log\n/mlflow.db\n/mlruns/\n")
    pipeline.commit("helper")
    pipeline.dvc("repro", "train")
    tags = runs()[-1].data.tags
    assert tags["dvc.undeclared"].splitlines() == ["data/raw.csv", "labels.json", "src/helper.py"]
    assert tags["dvc.data_status"] == "clean"
    assert tags["dvc.reads"] == "observed"
    page = attached(runs()[-1].info.run_id)["record.md"].decode()
    assert "- **read, not declared**: data/raw.csv, labels.json, src/helper.py" in page
    found = json.loads(pipeline.cli("verify", runs()[-1].info.run_id, "--json").stdout)
    assert not [one for one in found["runs"][0]["items"] if one["part"] == "read"]
    assert "read data/raw.csv, labels.json, src/helper.py when it last ran" in warnings()
    said = pipeline.cli("doctor", "--fix")
    assert said.returncode == 0, said.stderr
    assert pipeline.cli("doctor", "--fix", "--local").stdout == said.stdout
    found = json.loads(pipeline.cli("doctor", "--local", "--json").stdout)["findings"]
    assert [one["what"] for one in found if one["rule"] == "undeclared-read"] == [
        f"its last run on this machine read {path}, which is not among its deps"
        for path in ("data/raw.csv", "labels.json", "src/helper.py")
    ]
    pipeline.write("fix.patch", said.stdout)
    pipeline.git("apply", "fix.patch")
    assert not warnings()
    pipeline.commit("declared")
    pipeline.dvc("repro", "train")
    assert "dvc.undeclared" not in runs()[-1].data.tags
    for words in ((), ("--local",)):
        assert pipeline.cli("doctor", "--fix", *words).returncode == 1


def test_files_that_git_looks_at(pipeline: Project, runs: Any):
    """A metrics file is git's: that git opens it, as its time stamp is another, tells nothing."""
    pipeline.write("metrics.json", (pipeline.root / "metrics.json").read_text())
    pipeline.write(
        "run.py", "import mlflow\n\nwith mlflow.start_run():\n    open('data/raw.csv')\n"
    )
    pipeline.commit("run.py")
    os.utime(pipeline.root / "metrics.json", (1, 1))
    pipeline.python("run.py")
    assert runs()[-1].data.tags["dvc.reads"] == "observed"


def test_read_and_nowhere_to_be_had(pipeline: Project, runs: Any):
    """A file that a stage reads, and that neither DVC nor git has, makes `verify` say so."""
    pipeline.write("labels.json", "{}")
    train = (pipeline.root / "src/train.py").read_text()
    pipeline.write("src/train.py", "import mlflow\nopen('labels.json').read()\n" + train)
    pipeline.git("commit", "-qam", "labels")
    pipeline.dvc("repro", "train")
    said = pipeline.cli("verify", runs()[-1].info.run_id).stdout
    assert "UNVERIFIED  read    labels.json" in said, said


def test_search_for_a_file(folder: Project, read_by: Any):
    """A file of a folder is found by the runs that were seen to read it; those that cannot tell
    are named, those that did not read it are not."""
    read_by(READS)
    read_by(READS.replace("images/3", "images/4"))
    read_by(READS, MLFLOW_DVC_READS="0")
    found = json.loads(folder.cli("search", "data/images/3", "--read", "--json").stdout)["runs"]
    assert [one["data"][0]["relation"] for one in found] == [None, "read"]
    everything = json.loads(folder.cli("search", "data/images/3", "--json").stdout)["runs"]
    relations = [one["data"][0]["relation"] for one in everything]
    assert relations == [None, "lay there", "read"]


TRAINS = """
    import sys
    import mlflow
    with mlflow.start_run(run_name=sys.argv[1]):
        for path in sys.argv[2:]:
            open(path).read()
    """


def test_lineage_of_a_file(folder: Project, read_by: Any, monkeypatch: pytest.MonkeyPatch):
    """Of a file of a folder came what the runs made that read it; of those that cannot tell it is
    said, and what came of the folder alone is left out."""
    read_by(TRAINS, "both", "data/images/3", "data/images/4")
    read_by(TRAINS, "one", "data/images/4")
    read_by(TRAINS, "blind", "data/images/5", MLFLOW_DVC_READS="0")
    monkeypatch.chdir(folder.root)

    def readers(what: str) -> set[tuple[str, str]]:
        graph = mlflow_dvc.lineage(what)
        names = {node.key: node.name for node in graph.nodes if node.kind in ("data", "run")}
        ends = [(names.get(one.start, ""), names.get(one.end, "")) for one in graph.edges]
        return {(start, end) for start, end in ends if start and end in ("both", "one", "blind")}

    maybe = ("data/images", "blind")
    assert readers("data/images/3") == {("data/images/3", "both"), maybe}
    assert readers("data/images/4") == {("data/images/4", name) for name in ("both", "one")} | {
        maybe
    }
    assert readers("data/images/5") == {maybe}
    assert readers("data/images") == {("data/images", name) for name in ("both", "one", "blind")}
    [warning] = mlflow_dvc.lineage("data/images/3").warnings
    assert warning.startswith("nothing tells which files of data/images were read by ")


def test_child_run_that_read_other_data(folder: Project, runs: Any, attached: Any):
    """It has a record of its own, as that of its parent tells of other data."""
    folder.write("run.py", NESTED)
    folder.python("run.py")
    parent, first, second = runs()
    assert "snapshot.json" in attached(first.info.run_id)
    assert "snapshot.json" not in attached(second.info.run_id), "it has read the same"
    versions = [one.data.tags["dvc.data_version"] for one in (parent, first, second)]
    assert versions[0] == versions[2] != versions[1]


NESTED = """
import mlflow
with mlflow.start_run():
    open("data/a.csv").read()
    with mlflow.start_run(nested=True):
        pass
    open("data/b.csv").read()
    with mlflow.start_run(nested=True):
        pass
"""
