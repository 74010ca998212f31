"""Ways to read a file, and to start who reads it, each against ``strace`` as the judge."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, examples, missing

pytestmark = [
    pytest.mark.fresh,
    pytest.mark.clients,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="strace is of Linux"),
]

_OPENED = re.compile(r'\bopen(?:at2?)?\((?:AT_FDCWD, )?"([^"]+)", (\S+).*= \d+')

READERS = """\
import os
import sys


def read(path):
    kind = path.rpartition(".")[2]
    WAYS[kind](path)


def by_mmap(path):
    import mmap
    with open(path, "rb") as file:
        return len(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))


def by_numpy(path):
    import numpy
    return numpy.load(path).sum()


def by_pandas(path):
    import pandas
    return len(pandas.read_csv(path))


def by_arrow(path):
    import pyarrow.parquet
    return pyarrow.parquet.read_table(path).num_rows


def by_dataset(path):
    import pyarrow.dataset
    return pyarrow.dataset.dataset(path, format="feather").to_table().num_rows


def by_polars(path):
    import polars
    return len(polars.read_parquet(path))


def by_duckdb(path):
    import duckdb
    return duckdb.sql(f"select count(*) from read_parquet('{path}')").fetchall()


def by_pillow(path):
    import PIL.Image
    with PIL.Image.open(path) as image:
        return image.load()


def by_h5(path):
    import h5py
    with h5py.File(path, "r") as file:
        return file["x"][:].sum()


def by_sqlite(path):
    import sqlite3
    with sqlite3.connect(path) as database:
        return database.execute("select count(*) from t").fetchall()


def by_descriptor(path):
    file = os.open(path, os.O_RDONLY)
    os.read(file, 10)
    os.close(file)


def by_sklearn(path):
    import sklearn.datasets
    return sklearn.datasets.load_svmlight_file(path)


WAYS = {
    "txt": lambda path: open(path).read(), "mmap": by_mmap, "npy": by_numpy, "csv": by_pandas,
    "parquet": by_arrow, "feather": by_dataset, "polars": by_polars, "duckdb": by_duckdb,
    "png": by_pillow, "h5": by_h5, "sqlite": by_sqlite, "raw": by_descriptor, "svm": by_sklearn,
}
"""

RUN = """\
import multiprocessing
import sys
import json

import mlflow

import readers

if __name__ == "__main__":
    plan = json.load(open("plan.json"))
    with mlflow.start_run():
        for path in plan["here"]:
            readers.read(path)
        for way in ("fork", "spawn"):
            with multiprocessing.get_context(way).Pool(plan["workers"]) as pool:
                pool.map(readers.read, plan[way], chunksize=5)
                pool.close()
                pool.join()
"""

MAKE = """\
import sqlite3
import h5py, numpy, pandas, PIL.Image, pyarrow, pyarrow.feather, pyarrow.parquet

table = pyarrow.table({"x": [1, 2]})

def text(path):
    open(path, "w").write("x\\n1\\n")

def sqlite(path):
    with sqlite3.connect(path) as database:
        database.execute("create table t (x)")

def h5(path):
    with h5py.File(path, "w") as file:
        file["x"] = numpy.arange(2)

MAKE = {
    "txt": text, "mmap": text, "csv": text, "raw": text, "sqlite": sqlite, "h5": h5,
    "npy": lambda path: numpy.save(path, numpy.arange(2)),
    "parquet": lambda path: pyarrow.parquet.write_table(table, path),
    "polars": lambda path: pyarrow.parquet.write_table(table, path),
    "duckdb": lambda path: pyarrow.parquet.write_table(table, path),
    "feather": lambda path: pyarrow.feather.write_feather(table, path),
    "png": lambda path: PIL.Image.new("L", (4, 4)).save(path),
    "svm": lambda path: open(path, "w").write("1 1:2\\n"),
}
"""


@pytest.fixture
def many(make_project: Callable[..., Project], tracking_uri: str) -> Callable[..., Project]:
    """A project with a folder of files of each kind, so many of each."""
    if shutil.which("strace") is None:
        missing("strace is not installed (.ci/programs)")

    def make(kinds: str, number: int) -> Project:
        project = make_project()
        project.write("run.py", RUN)
        project.write("readers.py", READERS)
        (project.root / "data").mkdir()
        rows = f"for kind in {kinds.split()!r}:\n    for n in range({number}):\n"
        made = project.write("make.py", MAKE + rows + "        MAKE[kind](f'data/{n}.{kind}')\n")
        project.run(sys.executable, "make.py")
        made.unlink()
        project.dvc("add", "--quiet", "data")
        project.commit("data")
        return project

    return make


def judged(project: Project, log: Path) -> set[str]:
    """What strace saw being opened in the folder, and not to write to it."""
    inside = str(project.root / "data") + os.sep
    found = set()
    logs = log.parent.glob(f"{log.name}.*")  # one for each process
    for line in (line for one in logs for line in one.read_text(errors="replace").splitlines()):
        if match := _OPENED.search(line):
            path = os.path.join(project.root, match[1])
            if path.startswith(inside) and "O_DIRECTORY" not in match[2]:
                found.add(path[len(inside) :])
    return found


def observed(project: Project, plan: dict[str, Any], log: Path, *before: str) -> None:
    project.write("plan.json", json.dumps(plan))
    words = ["strace", "-ff", "-qq", "-e", "trace=open,openat,openat2", "-o", str(log)]
    project.run(*words, *before, sys.executable, "run.py")


# As root too: what a user without rights can do.
NO_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
KINDS = "txt mmap npy csv parquet feather polars duckdb png h5 sqlite raw svm"


def test_each_reader(many: Any, runs: Any, attached: Any, tmp_path: Path):
    """By whatever library a file is read, here or in a forked or spawned worker, it is seen."""
    project = many(KINDS, 9)
    names = [[f"data/{n}.{kind}" for kind in KINDS.split()] for n in range(9)]
    here, forked, spawned = ([*one, *more] for one, more in (names[:2], names[3:5], names[5:7]))
    # What has threads of its own is not used in forked workers: that hangs without us as well.
    forked = [path for path in forked if path.endswith(("txt", "npy", "png", "h5"))]
    plan = {"here": here, "fork": forked, "spawn": spawned, "workers": 2}
    observed(project, plan, tmp_path / "strace.log")
    [run] = runs()
    assert run.data.tags["dvc.reads"] == "observed"
    listed = json.loads(attached(run.info.run_id)["reads.json"])["read"]["data"]
    assert set(listed) == judged(project, tmp_path / "strace.log")
    wanted = {path.removeprefix("data/") for path in (*here, *forked, *spawned)}
    assert set(listed) == wanted


OTHERS = """
import glob, sys, time
names = sorted(glob.glob("data/*"))[int(sys.argv[1])::2]
print(len(names), flush=True)
while True:
    for name in names:
        open(name, "rb").read(1)
"""


@pytest.mark.parametrize("rights", ["all", "none"])
def test_many_files(many: Any, runs: Any, attached: Any, tmp_path: Path, rights: str):
    """Eight workers read 61 % of a folder while two other programs read all of it: the record has
    what the run has read, and no file more. (EXAMPLES=6667: a folder of 20,000 files.)"""
    kinds, number = "png parquet h5", examples(100)
    if rights == "all" and os.getuid() != 0:
        pytest.skip("this user has none")
    project = many(kinds, number)
    files = [f"data/{n}.{kind}" for n in range(number) for kind in kinds.split()]
    read = [path for at, path in enumerate(files) if at % 100 < 61]
    forked = [path for path in read if not path.endswith("parquet")]
    spawned = [path for path in read if path.endswith("parquet")]
    project.write("others.py", textwrap.dedent(OTHERS))
    others = [
        subprocess.Popen([sys.executable, "others.py", number], cwd=project.root,
                         stdout=subprocess.PIPE)
        for number in ("0", "1")
    ]  # fmt: skip
    try:
        for one in others:
            assert one.stdout is not None
            assert one.stdout.readline()
        plan = {"here": [], "fork": forked, "spawn": spawned, "workers": 4}
        observed(project, plan, tmp_path / "strace.log", *(NO_RIGHTS if rights == "none" else ()))
    finally:
        for one in others:
            one.kill()
            one.communicate()
    [run] = runs()
    listed = json.loads(attached(run.info.run_id)["reads.json"])["read"]["data"]
    assert set(listed) == judged(project, tmp_path / "strace.log")
    assert len(listed) == len(read)
    assert run.data.tags["dvc.reads"] == "observed"
    assert run.data.tags["dvc.read.data"] == f"{len(read)} of {len(files)}"
