"""What is done beside the training, and at its end: its cost, and what it must not touch."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import FIVE_LINES, SECONDS, Project, lay_out
from mounts import fill_disk, make_read_only, unmount

from mlflow_dvc import settings
from mlflow_dvc.dvc_backend import hashing
from mlflow_dvc.dvc_backend.hash_query import HashQuery, HashResult
from mlflow_dvc.dvc_backend.tree_stat import TooManyFilesError, stat_tree
from mlflow_dvc.record import lifecycle

pytestmark = pytest.mark.hosts

# What was written this recently is not remembered: it could change and not show it.
SETTLES = 2.2  # seconds

COUNTING = """\
import sys
children = []
def note(event, args):
    if event == "subprocess.Popen" and "mlflow_dvc.dvc_backend" in map(str, args[1]):
        children.append([args[1][-3], args[1][-1]])
sys.addaudithook(note)
"""


def outs(run: Any) -> dict[str, str]:
    tags = run.data.tags
    return {key[8:]: value for key, value in tags.items() if key.startswith("dvc.out.")}


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def tree(root: Path) -> dict[str, tuple[int, int, str]]:
    """Every file below ``root``, and what it is; without the folder that MLflow 2 always makes."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.relative_to(root).parts[0] == "mlruns":
            continue
        status = path.lstat()
        content = md5(path.read_bytes()) if path.is_file() else ""
        found[str(path.relative_to(root))] = (status.st_mode, status.st_mtime_ns, content)
    return found


# --- what it costs -----------------------------------------------------------------------------


def test_asked_once_while_nothing_changes(pipeline: Project, runs):
    """One process asks once for all its runs, the next not at all, until something changes."""
    time.sleep(SETTLES)  # so that the answers are remembered
    script = COUNTING + FIVE_LINES.replace("with", "for _ in range(3):\n  with").replace(
        "    mlflow.log", "      mlflow.log"
    )
    pipeline.write("run.py", script + "print(children)\n")
    assert (
        pipeline.python("run.py").splitlines()[-1]
        == "[['mlflow_dvc.dvc_backend.hashing:run_hashing', 'idle']]"
    )
    assert pipeline.python("run.py").splitlines()[-1] == "[]"
    path = pipeline.root / "data/raw.csv"
    path.unlink()
    path.write_text("changed\n")
    assert pipeline.python("run.py").splitlines()[-1] != "[]"
    states = [run.data.tags["dvc.data_status"] for run in runs()]
    assert states == ["clean"] * 6 + ["modified"] * 3


def test_no_thread_while_the_training_runs(pipeline: Project):
    """While the child is at work no thread of ours is there: every fork would warn of it."""
    takes_long_to_hash(pipeline)
    pipeline.write(
        "run.py",
        "import mlflow, threading, time\n"
        "with mlflow.start_run():\n"
        "    for _ in range(200):\n"
        "        time.sleep(0.05)  # the training\n"
        "        names = [t.name for t in threading.enumerate()]\n"
        "        if 'mlflow-dvc' not in names: break\n"
        "    print(names)\n",
    )
    said = pipeline.run("python", "run.py", MLFLOW_DVC_WAIT="0.1")
    assert "mlflow-dvc" not in said.splitlines()[-1], "naive: for the ten seconds that it looks"


def test_hashed_once(pipeline: Project, tmp_path: Path):
    """What we hash at the end of a stage DVC need not hash again, and the other way round."""
    script = pipeline.root / "src/train.py"
    big = "import os; open('models/model.txt', 'wb').write(os.urandom(3_000_000))\n"
    script.write_text(script.read_text() + big)
    log = tmp_path / "hashed.txt"
    site = tmp_path / "site"
    site.mkdir()
    # Every process, DVC's and ours, notes when it opens the model to hash it.
    (site / "sitecustomize.py").write_text(
        "import sys, traceback\n"
        "def note(event, args):\n"
        "    if event == 'open' and args[1] == 'r' and str(args[0]).endswith('/model.txt'):\n"
        "        if any(frame.name == 'file_md5' for frame in traceback.extract_stack()):\n"
        f"            open({str(log)!r}, 'a').write(args[0] + '\\n')\n"
        "sys.addaudithook(note)\n"
    )
    pipeline.dvc("repro", "train", PYTHONPATH=str(site))
    assert log.read_text().splitlines() == [str(pipeline.root / "models/model.txt")]


SAME = """\
import json, sys, time
import mlflow
from mlflow_dvc.dvc_backend.child_process import DvcProcess
from mlflow_dvc.record import lifecycle

started, make = [], DvcProcess.__init__

def note(self, *words, **more):
    started.append(self)
    make(self, *words, **more)

DvcProcess.__init__ = note
time.sleep(2.5)  # until no time stamp is too new to be believed

def run():
    with mlflow.start_run() as run:
        pass
    return lifecycle.registry.get(run.info.run_id).capture

first, second, third = run(), run(), run()
open("data/raw.csv", sys.argv[1]).close()
open("data/raw.csv", "a").write(sys.argv[2])
after = run()
print(json.dumps([second is third, after is third, len(started), after.data.data_status]))
"""


def test_runs_that_see_the_same(pipeline: Project):
    """Of runs that find the same on disk the later ones share what was made of it, and start no
    process; a change in between is seen."""
    pipeline.write("run.py", SAME)
    for number in range(1500):
        pipeline.write(f"many/{number}", str(number))
    pipeline.dvc("add", "--quiet", "many")
    pipeline.commit("many")
    pipeline.python("run.py", "r", "")
    said = pipeline.python("run.py", "w", "a,b\n7,8\n")
    shared, is_old, started, status = json.loads(said.splitlines()[-1])
    assert (shared, is_old, started, status) == (True, False, 1, "modified")


# --- what it must not touch ---------------------------------------------------------------------


def test_repro_is_as_without_us(pipeline: Project, tmp_path: Path):
    """After ``dvc repro`` project, cache and run cache are as they would be without us."""
    import shutil

    reproduced = {}
    for name, on in (("with", "1"), ("without", "0")):
        root = tmp_path / name / "project"
        shutil.copytree(pipeline.root, root, symlinks=True)
        project = Project(root, pipeline.env)
        project.write("params.yaml", "lr: 0.4\n")
        said = project.dvc("repro", MLFLOW_DVC_ENABLED=on)
        files = {
            path: (mode, content)
            for path, (mode, _, content) in tree(root).items()
            if not path.startswith((".git/", ".dvc/tmp/", "mlruns"))
        }
        status = project.git("status", "--porcelain", "--ignored")
        reproduced[name] = (files, said, status, project.dvc("status"))
    assert reproduced["with"] == reproduced["without"]


@pytest.mark.parametrize("command", [["run.py"], ["-m", "mlflow_dvc", "status", "--check"]])
def test_nothing_is_written(pipeline: Project, command: list[str]):
    """The check writes nothing into the project, not even time stamps."""
    pipeline.write("data/parts/new.csv", "1")
    before = tree(pipeline.root)
    pipeline.run("python", *command)
    assert tree(pipeline.root) == before


@pytest.mark.parametrize("content", ["1\n", "1\r\n"])
def test_nothing_is_written_for_an_old_hash(pipeline: Project, runs, content: str):
    """A tracked folder whose hash is of DVC 2 is looked at, changed or not, and nothing written."""
    for name in ("a.txt", "b.txt"):
        pipeline.write(f"old/{name}", content)
    pipeline.dvc("add", "--quiet", "old")
    text = (pipeline.root / "old.dvc").read_text()
    pipeline.write("old.dvc", text.replace("  hash: md5\n", ""))
    pipeline.commit("as DVC 2 wrote it")
    before = tree(pipeline.root)
    for command in (["run.py"], ["-m", "mlflow_dvc", "status", "--check"]):
        pipeline.run("python", *command)
        assert tree(pipeline.root) == before
    pipeline.write("old/a.txt", "another\n")
    before = tree(pipeline.root)
    pipeline.run("python", "run.py")
    assert tree(pipeline.root) == before
    assert runs()[-1].data.tags["dvc.modified"] == "old"


THREE_RUNS = """\
import mlflow
from mlflow_dvc.dvc_backend.child_process import DvcProcess
real, waits = DvcProcess.wait, []
def wait(self, seconds=None):
    waits.append(seconds or 0)
    return real(self, seconds)
DvcProcess.wait = wait
for _ in range(3):
    with mlflow.start_run():
        pass
print(sum(seconds > 0 for seconds in waits))
"""


def test_in_vain_only_once(pipeline: Project, runs):
    """A file that nobody can ever hash is waited for once in the life of a process."""
    pipeline.write("three.py", THREE_RUNS)
    # What needs a process of its own, once for these files, is done: the hash alone takes long.
    assert pipeline.cli("status").returncode == 0
    raw = pipeline.root / "data/raw.csv"
    raw.unlink()
    with raw.open("wb") as file:
        file.truncate(40 * 10**9)
    assert pipeline.python("three.py", MLFLOW_DVC_WAIT="5").splitlines()[-1] == "1"
    assert {run.data.tags["dvc.data_status"] for run in runs()} == {"unverified"}


def test_never_opened_by_dvc(make_project, runs):
    """A clone in which no command of DVC has run yet stays without ``.dvc/tmp``."""
    project = make_project()
    lay_out(project)
    import shutil

    shutil.rmtree(project.root / ".dvc/tmp")
    before = tree(project.root)
    project.python("run.py")
    assert tree(project.root) == before
    assert runs()[0].data.tags["dvc.data_status"] == "clean"


def test_dvcs_lock_is_not_needed(pipeline: Project, runs):
    """Somebody holds DVC's lock, for as long as they like: the run is checked all the same."""
    with open(pipeline.root / ".dvc/tmp/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pipeline.python("run.py")
    assert runs()[0].data.tags["dvc.data_status"] == "clean"


def test_dvc_gets_its_lock_back(pipeline: Project, runs):
    """Sealing does not hold DVC's lock, for which a finished training would wait and fail."""
    pipeline.write("params.yaml", "lr: 0.4\n")
    pipeline.dvc("repro", "train")
    assert runs()[0].data.tags["dvc.seal"] == "provisional"


# --- bad days ----------------------------------------------------------------------------------


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a disk without space."""
    folder = tmp_path / "full"
    fill_disk(folder)
    yield folder
    unmount(folder)


def test_full_disk(pipeline: Project, runs, full_disk: Path):
    """With no space for DVC's memory nor ours the data is checked, and the run is as ever."""
    pipeline.python("run.py", XDG_CACHE_HOME=str(full_disk), DVC_SITE_CACHE_DIR=str(full_disk))
    [run] = runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["dvc.data_status"] == "clean"


@pytest.fixture
def read_only(pipeline: Project) -> Iterator[Project]:
    """The pipeline, in a tree that nobody can write into."""
    (pipeline.root / "mlruns").mkdir()  # MLflow 2 does not start without
    try:
        make_read_only(pipeline.root)
        yield pipeline
    finally:
        unmount(pipeline.root)


def test_read_only_tree(read_only: Project, runs):
    """In a tree that cannot be written into the data is checked, and the run is as ever."""
    with pytest.raises(OSError, match="Read-only"):
        read_only.write("x", "x")
    read_only.python("run.py")
    [run] = runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["dvc.data_status"] == "clean"
    assert run.data.tags["git_dirty"] == "false"


def test_nowhere_to_remember(pipeline: Project, runs, tmp_path: Path):
    """Where DVC's memory cannot be made at all, the same."""
    file = tmp_path / "file"
    file.write_text("")
    pipeline.python("run.py", DVC_SITE_CACHE_DIR=str(file / "x"), XDG_CACHE_HOME=str(file / "y"))
    assert runs()[0].data.tags["dvc.data_status"] == "clean"


def test_dvc_cannot_be_asked(pipeline: Project, runs):
    """DVC does not start: the claims stand and say so, one line tells why, the run is as ever."""
    pipeline.write("broken/sitecustomize.py", "import sys\nsys.modules['dvc'] = None\n")
    done = pipeline.call("python", "run.py", PYTHONPATH=str(pipeline.root / "broken"))
    assert done.returncode == 0
    [run] = runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["dvc.data_status"] == "unverified"
    lines = [line for line in done.stderr.splitlines() if "mlflow-dvc" in line]
    assert len(lines) == 1
    assert "check the data" in lines[0]


def test_changing_while_hashed(pipeline: Project, runs, tmp_path: Path):
    """Data that changes while the run goes on is not said to be anything."""
    path = pipeline.root / "data/raw.csv"
    path.unlink()
    path.write_bytes(b"x")
    pipeline.write(
        "run.py",
        "import mlflow, threading, time\nstop = []\n"
        "def write():\n"
        "    while not stop:\n"
        "        open('data/raw.csv', 'ab').write(b'x' * 1000)\n"
        "        time.sleep(0.001)  # as a log grows\n"
        "thread = threading.Thread(target=write)\n"
        "with mlflow.start_run():\n    thread.start()\n"
        "stop.append(1)\n",
    )
    pipeline.python("run.py")
    [run] = runs()
    assert run.data.tags["dvc.data_status"] == "unverified"
    assert "dvc.modified" not in run.data.tags


def takes_long_to_hash(project: Project) -> None:
    """A file that takes a disk nothing and DVC half a minute."""
    with (project.root / "big.bin").open("wb") as file:
        file.truncate(20_000_000_000)
    entry = f"- md5: {'a' * 32}\n  size: 1\n  hash: md5\n  path: big.bin\n"
    project.write("big.bin.dvc", f"outs:\n{entry}")


def children_with(scratch: Path) -> list[str]:
    """The checks that are under way in processes whose temporary files lie there."""
    found = subprocess.run(
        ["ps", "axeww", "-o", "args"], capture_output=True, text=True, check=True
    )
    lines = [line for line in found.stdout.splitlines() if "hashing:run_hashing" in line]
    return [line for line in lines if str(scratch) in line]


# Not in the middle of writing: what a killed process has laid down itself, nobody takes away.
KILLED = """\
    import os, signal
    from mlflow_dvc.record import lifecycle
    lifecycle.worker.wait(mlflow.active_run().info.run_id)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.fresh
@pytest.mark.parametrize("ending", ["", KILLED])
def test_no_child_is_left(pipeline: Project, tmp_path: Path, ending: str):
    """A check that takes long ends with the process, however that ends, and leaves no folder."""
    takes_long_to_hash(pipeline)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    begun = "    import time\n    time.sleep(1.5)  # until the check has begun\n"
    pipeline.write("run.py", FIVE_LINES.replace("    mlflow", begun + "    mlflow") + ending)
    pipeline.call("python", "run.py", MLFLOW_DVC_WAIT="1", TMPDIR=str(scratch))
    deadline = time.monotonic() + SECONDS
    while children_with(scratch) and time.monotonic() < deadline:
        time.sleep(0.1)  # it sees by itself that its parent has gone
    assert children_with(scratch) == []
    assert [path.name for path in scratch.iterdir() if path.name.startswith("mlflow-dvc")] == []


@pytest.mark.parametrize("wait", ["0.05", "1", "10", "120"])
def test_time_is_left_to_tell(monkeypatch: pytest.MonkeyPatch, wait: str):
    """What takes long is given up before the wait for it is: no record is called incomplete that
    only has nothing to tell; after a failure it is given up at once."""
    monkeypatch.setenv("MLFLOW_DVC_WAIT", wait)
    lifecycle.worker.begin_end()
    assert 0 < lifecycle._time_limit(failed=False) < settings.wait_seconds()
    assert 0 < lifecycle._time_limit(failed=True) <= 1


@pytest.mark.fresh
def test_too_slow(pipeline: Project, runs):
    """What cannot be told within MLFLOW_DVC_WAIT stays unverified; the process ends in time."""
    done = pipeline.call("python", "run.py", MLFLOW_DVC_WAIT="0.05")
    assert done.returncode == 0
    assert runs()[0].data.tags["dvc.data_status"] == "unverified"


LATE = """\
import os
import time
import mlflow
from mlflow_dvc.record import disk_check, lifecycle

with mlflow.start_run() as run:
    lifecycle.worker.wait(run.info.run_id)
    os.environ["MLFLOW_DVC_WAIT"] = "0.001"
os.environ["MLFLOW_DVC_WAIT"] = "120"
record = lifecycle.registry.get(run.info.run_id)
while record.drawn is None:
    time.sleep(0.01)  # until the pages are there
assert all(child.wait(120) for child in disk_check._children.values())
"""


def test_pages_after_a_late_check(pipeline: Project, runs, attached):
    """What is known only when the process ends stands in both pages too."""
    pipeline.write("data/raw.csv", "another\n")
    pipeline.write("late.py", LATE)
    assert pipeline.call("python", "late.py").returncode == 0
    [run] = runs()
    assert run.data.tags["dvc.data_status"] == "modified"
    files = attached(run.info.run_id)
    assert "- **data on disk**: modified: not as DVC's files say" in files["record.md"].decode()
    assert "modified" in files["report.html"].decode().partition("<h2")[0]


def test_killed(pipeline: Project, runs):
    """A training that is killed in its run leaves claims that say they are no more than that."""
    pipeline.write(
        "run.py",
        "import mlflow, os, signal, time\n"
        "with mlflow.start_run():\n"
        "    time.sleep(1)  # the training\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n",
    )
    assert pipeline.call("python", "run.py").returncode != 0
    [run] = runs()
    assert run.data.tags["dvc.data_status"] == "unverified"
    assert run.data.tags["dvc.seal"] == "none"


def test_forked_workers(pipeline: Project, runs):
    """Runs of forked workers are checked each by itself; nobody waits for another's child."""
    pipeline.write(
        "run.py",
        "import mlflow, multiprocessing\n"
        "def work(n):\n    with mlflow.start_run():\n        mlflow.log_metric('x', n)\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('fork')\n"
        "    work(0)\n"
        "    workers = [context.Process(target=work, args=(n,)) for n in range(2)]\n"
        "    [w.start() for w in workers]; [w.join() for w in workers]\n"
        "    print([w.exitcode for w in workers])\n",
    )
    assert pipeline.python("run.py").splitlines()[-1] == "[0, 0]"
    assert [run.data.tags["dvc.data_status"] for run in runs()] == ["clean"] * 3


def test_threads_that_outlive_main(pipeline: Project, runs):
    """A stage whose main thread ends first is sealed when the thread that trains has ended."""
    script = pipeline.root / "src/train.py"
    script.write_text(
        script.read_text()
        + "import threading, time\n"
        + "def late():\n"
        + "    time.sleep(1)  # longer than the main thread\n"
        + "    Path('models/model.txt').write_text('late')\n"
        + "threading.Thread(target=late).start()\n"
    )
    pipeline.dvc("repro", "train")
    [run] = runs()
    assert run.data.tags["dvc.seal"] == "provisional"
    assert outs(run)["models/model.txt"] == pipeline.lock()["models/model.txt"] == md5(b"late")


def test_output_that_is_not_made_yet(pipeline: Project, runs):
    """Where a second command makes an output, nothing is sealed; one line says what to do."""
    text = (pipeline.root / "dvc.yaml").read_text()
    second = "python src/train.py && python -c \"open('later.txt', 'w').write('x')\""
    text = text.replace("cmd: python src/train.py", f"cmd: {second}")
    pipeline.write(
        "dvc.yaml",
        text.replace("[models/model.txt]\n    m", "[models/model.txt, later.txt]\n    m"),
    )
    done = pipeline.call("dvc", "repro", "train")
    assert done.returncode == 0, done.stderr
    [run] = runs()
    assert run.data.tags["dvc.seal"] == "none"
    assert "models/model.txt" not in outs(run)
    assert "mlflow-dvc sync" in done.stderr


@pytest.mark.parametrize("setting", ["0", "off", "no", "False"])
def test_sealing_is_switched_off(pipeline: Project, runs, setting: str):
    """MLFLOW_DVC_SEAL=0 leaves the end of the stage alone."""
    pipeline.write("params.yaml", "lr: 0.4\n")
    pipeline.dvc("repro", "train", MLFLOW_DVC_SEAL=setting)
    [run] = runs()
    assert run.data.tags["dvc.seal"] == "none"
    assert "models/model.txt" not in outs(run)


# --- hashing -----------------------------------------------------------------------------------


def answer(project: Project, *questions: HashQuery, **limits: Any) -> list[HashResult | None]:
    child = hashing.start_hashing(str(project.root), list(questions), **limits)
    child.wait()
    found = hashing.read_answer(child)
    return [found.get(question.key) for question in questions]


def test_old_hashes(make_project):
    """A text that has the old kind of hash keeps it while it is right, and gets the new one when it
    is not, as in DVC."""
    project = make_project()
    project.write("old.csv", b"a\r\nb\r\n")
    right = HashQuery("old.csv", "md5-dos2unix", md5(b"a\nb\n"))
    wrong = HashQuery("old.csv", "md5-dos2unix", md5(b"other"))
    found = answer(project, right, wrong)
    assert [(one.algorithm, one.hash) for one in found if one] == [
        ("md5-dos2unix", md5(b"a\nb\n")),
        ("md5", md5(b"a\r\nb\r\n")),
    ]


def test_limits(make_project):
    """Beyond the bytes that may be read nothing is said; what DVC knows already costs nothing."""
    project = make_project()
    project.write("known.bin", os.urandom(100_000))
    project.write("large.bin", os.urandom(100_000))
    project.write("small.bin", b"1")
    project.dvc("add", "--quiet", "known.bin")
    questions = [HashQuery(name, "md5") for name in ("known.bin", "large.bin", "small.bin")]
    known, large, small = answer(project, *questions, max_bytes=50_000)
    assert known is not None
    assert large is None
    assert small is None, "what is left was spent"
    assert answer(project, *questions, seconds=0) == [None, None, None]


def test_a_failure_is_remembered(make_project):
    """What cannot be hashed is asked of DVC once, and again when it has changed."""
    project = make_project()
    project.write("data/a.txt", "a")
    (project.root / "data/broken").symlink_to("nowhere")
    question = HashQuery("data", "md5")
    time.sleep(SETTLES)  # so that the answer is remembered
    [found] = answer(project, question)
    assert found is not None
    assert found.hash is None
    assert (
        hashing.cached_hashes_or_none(str(project.root), [question], 10)[question.key].hash is None
    )
    (project.root / "data/broken").unlink()
    assert hashing.cached_hashes_or_none(str(project.root), [question], 10) == {}


def test_rules_of_dvcignore(make_project):
    """A folder's hash follows ``.dvcignore``, also when only that has changed."""
    project = make_project()
    project.write("data/a.txt", "a")
    project.write("data/b.tmp", "b")
    question = HashQuery("data", "md5")
    time.sleep(SETTLES)  # so that the answer is remembered
    [whole] = answer(project, question)
    assert hashing.cached_hashes_or_none(str(project.root), [question], 10)[question.key] == whole
    project.write(".dvcignore", "*.tmp\n")
    assert hashing.cached_hashes_or_none(str(project.root), [question], 10) == {}
    [part] = answer(project, question)
    assert whole is not None
    assert part is not None
    assert (whole.nfiles, part.nfiles) == (2, 1)


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda path: (path / "a").write_text("z"),
    "new file": lambda path: (path / "c").write_text(""),
    "removed": lambda path: (path / "a").unlink(),
    "renamed": lambda path: (path / "a").rename(path / "d"),
    "touched": lambda path: os.utime(path / "a", ns=(1, 1)),
    "new folder": lambda path: (path / "sub/empty").mkdir(),
    "deep": lambda path: (path / "sub/b").write_text("longer"),
    "link": lambda path: (path / "l").symlink_to("nowhere"),
    "mode": lambda path: (path / "a").chmod(0o700),
}


@pytest.mark.parametrize("change", CHANGES)
def test_stamps_show_changes(tmp_path: Path, change: str):
    """Whatever changes in a folder shows in its stamp."""
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("a")
    (folder / "sub/b").write_text("b")
    before = stat_tree(str(folder))
    assert before == stat_tree(str(folder))
    time.sleep(0.02)  # beyond the tick of the file system's clock
    CHANGES[change](folder)
    after = stat_tree(str(folder))
    assert before is not None
    assert after is not None
    assert after.digest != before.digest
    assert after.changed > before.changed


def test_stamps_end(tmp_path: Path):
    """Links that lead back up end somewhere; many files end at the limit; nothing is None."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "up").symlink_to(folder)
    (folder / "a").write_text("a")
    assert stat_tree(str(folder)) is not None
    assert stat_tree(str(tmp_path / "nothing")) is None
    with pytest.raises(TooManyFilesError):
        stat_tree(str(folder), max_files=0)


def test_child_without_python(monkeypatch, make_project):
    """In a frozen application there is no Python to ask: an error, and no window opened."""
    project = make_project()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(OSError, match="no Python"):
        hashing.start_hashing(str(project.root), [HashQuery("a", "md5")])
