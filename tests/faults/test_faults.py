"""Whatever is wrong, a program does with us what it does without."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipapp
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import SECONDS, Project
from mounts import unmount
from outcomes import alike, without_ours
from rows import FAULTS, Fault

from mlflow_dvc import tags as tag

pytestmark = [
    pytest.mark.faults,
    pytest.mark.swallows,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="faults of Linux"),
]
# More than this, beside MLFLOW_DVC_WAIT, no fault may cost: a machine may be busy.
MORE_SECONDS = 60


@dataclass(frozen=True)
class Outcome:
    """What a program did: its exit code, what it said, and what MLflow has of it."""

    code: int
    said: str
    complained: str
    runs: list[Any]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that another user may look into, in memory where there is such a disk."""
    memory = Path("/dev/shm")
    is_large = memory.is_dir() and shutil.disk_usage(memory).free > 2 * 10**9
    with tempfile.TemporaryDirectory(dir=memory if is_large else None) as folder:
        os.chmod(folder, 0o755)
        yield Path(folder).resolve()
        unmount(Path(folder))


def lay_out(place: Path, name: str, template: Path, database: Path, fault: Fault) -> Project:
    """The project, the store and the script; for both programs at paths of one length."""
    root = place / name / "project"
    shutil.copytree(template, root, symlinks=True)
    copy_database(database, place / name / "mlflow.db", place / name / "artifacts")
    (place / name / "bin").mkdir()
    project = Project(root, {"MLFLOW_TRACKING_URI": f"sqlite:///{place / name / 'mlflow.db'}"})
    project.write("run.py", fault.script)
    project.git("add", "run.py")
    project.git("commit", "--quiet", "--message", "run", "--", "run.py")
    subprocess.run(["chmod", "-R", "a+rwX", place], check=True)  # for another user
    if fault.lay:
        fault.lay(project)
    return project


def copy_database(database: Path, target: Path, artifacts: Path) -> None:
    shutil.copy(database, target)
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("UPDATE experiments SET artifact_location = ?", [artifacts.as_uri()])
        connection.commit()


def command(project: Project, fault: Fault) -> list[str]:
    if fault.words == ("-c",):
        return [sys.executable, "-c", fault.script]
    if fault.words == ("zip",):
        source = project.root / "packed"
        source.mkdir()
        (source / "__main__.py").write_text(fault.script)
        zipapp.create_archive(source, project.root / "run.pyz")
        return [sys.executable, "run.pyz"]
    script = [] if "-m" in fault.words else ["run.py"]
    return [sys.executable, *fault.words, *script]


def outcome(project: Project, fault: Fault, *, enabled: bool) -> tuple[Outcome, float]:
    top = project.root.parent
    path = {key: value.format(PATH=os.environ["PATH"]) for key, value in fault.env.items()}
    env = {**os.environ, **project.env, "MLFLOW_DVC_WAIT": fault.wait, **path}
    env["MLFLOW_DVC_ENABLED"] = str(enabled).lower()
    words = command(project, fault)
    begun = time.monotonic()
    done = subprocess.run(
        words, cwd=project.root, env=env, capture_output=True, text=True, errors="replace",
        stdin=subprocess.DEVNULL, check=False, timeout=SECONDS,
    )  # fmt: skip
    took = time.monotonic() - begun
    said = alike(done.stdout, top)
    complaints = alike(without_ours(done.stderr), top)
    return Outcome(
        done.returncode, said, complaints, sorted(runs_of(top / "mlflow.db", top), key=repr)
    ), took


def runs_of(database: Path, top: Path) -> Iterator[Any]:
    """Of each run what a person would miss; of ours alone nothing."""
    import mlflow
    from mlflow.entities import ViewType

    client = mlflow.MlflowClient(f"sqlite:///{database}")
    experiments = [one.experiment_id for one in client.search_experiments()]
    found = client.search_runs(experiments, run_view_type=ViewType.ALL)
    for run in found:
        name = run.data.tags.get("mlflow.runName", "")
        tags = {
            key: alike(value, top)
            for key, value in run.data.tags.items()
            if key not in tag.own_tags(run.data.tags) and not key.startswith("mlflow.")
        }
        folder = Path(run.info.artifact_uri.removeprefix("file://"))
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
        yield (
            name if re.fullmatch(r"r\d|main|late", name) else "",
            run.info.status, run.info.lifecycle_stage, run.data.params, run.data.metrics, tags,
            sorted(one for one in files if not one.startswith("dvc")),
        )  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(fault: Fault, place: Path, reproduced_once: Path, empty_database: Path):
    """Exit code, output, parameters, metrics, artifacts and status are those without us."""
    both = {}
    for name, enabled in (("less", False), ("with", True)):
        project = lay_out(place, name, reproduced_once, empty_database, fault)
        both[name] = outcome(project, fault, enabled=enabled)
        unmount(place / name)
        shutil.rmtree(place / name, ignore_errors=True)
    (less, less_took), (with_us, took) = both["less"], both["with"]
    assert with_us == less
    assert took < less_took + float(fault.wait) + MORE_SECONDS


def test_many_faults():
    """The table is long, and names each of its rows once."""
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) >= 80


def test_many_at_once(place: Path, reproduced_once: Path, empty_database: Path):
    """Of 64 processes that start at once in one project, each ends as it should."""
    fault = Fault("many", wait="120")
    project = lay_out(place, "many", reproduced_once, empty_database, fault)

    def start(number: int) -> Any:
        own = place / f"{number}.db"
        copy_database(empty_database, own, place / f"{number}")
        done = project.call(sys.executable, "run.py", MLFLOW_TRACKING_URI=f"sqlite:///{own}")
        [run] = runs_of(own, place)
        return done.returncode, done.stdout, done.stderr, run[1]

    with ThreadPoolExecutor(64) as pool:
        ends = set(pool.map(start, range(64)))
    assert ends == {(0, "done\n", "", "FINISHED")}
