"""Directories that come and go between two runs of a process."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from conftest import Project

from mlflow_dvc.dvcfiles.reader import ProjectReader

SINGLE = "outs:\n- md5: 0123456789abcdef0123456789abcdef\n  path: x.csv\n"
RUN = "mlruns/1/0123456789abcdef0123456789abcdef"
Change = Callable[[Project], object]

NOTHING_NEW: dict[str, Change] = {
    "a directory": lambda p: p.write("new/a.txt", "1"),
    "a deep one": lambda p: p.write("new/a/b/c/d.txt", "1"),
    "one in one": lambda p: p.write("data/new/a.txt", "1"),
    "a file": lambda p: p.write("data/more.txt", "1"),
    "a run": lambda p: p.write(f"{RUN}/artifacts/dvc/dvc.lock", "schema: '2.0'\n"),
    "an output": lambda p: p.write("made/b/c.txt", "1"),
}
NEW: dict[str, Change] = {
    "a DVC file": lambda p: p.write("new/x.csv.dvc", SINGLE),
    "a deep one": lambda p: p.write("new/a/b/x.csv.dvc", SINGLE),
    "a pipeline": lambda p: p.write("new/dvc.yaml", "stages: {s: {cmd: c}}\n"),
    "rules": lambda p: (
        p.write("new/.gitignore", "/x.csv.dvc\n"),
        p.write("new/y.csv.dvc", SINGLE),
    ),
    "a name like a run's": lambda p: p.write(f"data/{'ab' * 16}/x.csv.dvc", SINGLE),
    "gone": lambda p: shutil.rmtree(p.root / "old"),
    "gone and come": lambda p: (shutil.rmtree(p.root / "old"), p.write("new/x.csv.dvc", SINGLE)),
}


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    found = make_project()
    found.write("data/x.csv.dvc", SINGLE)
    found.write("old/x.csv.dvc", SINGLE)
    found.write("dvc.yaml", "stages: {s: {cmd: c, outs: [made]}}\n")
    return found


def is_as_a_fresh_reader_reads(reader: ProjectReader, project: Project) -> bool:
    found, fresh = (one.read().content for one in (reader, ProjectReader(str(project.root))))
    files = [
        [(one.file, one.content, one.stages) for one in read.dvc_files] for read in (found, fresh)
    ]
    return files[0] == files[1] and found.faults == fresh.faults


@pytest.mark.parametrize("name", NOTHING_NEW)
def test_passed_over(project: Project, name: str):
    """Directories in which DVC reads nothing leave the reading as it is, the same object; what
    comes into them later is seen."""
    reader = ProjectReader(str(project.root))
    before = reader.read()
    for _ in range(2):
        NOTHING_NEW[name](project)
        assert reader.read() is before
        assert is_as_a_fresh_reader_reads(reader, project)
    project.write("new/a/late.csv.dvc", SINGLE)
    assert reader.read() is not before
    assert is_as_a_fresh_reader_reads(reader, project)


@pytest.mark.parametrize("name", NEW)
def test_seen(project: Project, name: str):
    """Whatever DVC would read is read, at any depth, also where something else was passed over."""
    reader = ProjectReader(str(project.root))
    reader.read()
    project.write("new/first/a.txt", "1")
    before = reader.read()
    NEW[name](project)
    assert reader.read() is not before
    assert is_as_a_fresh_reader_reads(reader, project)
