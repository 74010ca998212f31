"""The datasets of dvc.yaml and their versions in dvc.lock, as DVC itself reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Project

from mlflow_dvc.dvcfiles.locked_dataset import LockedDataset, find_dataset, locked_version
from mlflow_dvc.dvcfiles.reader import ProjectReader

pytestmark = pytest.mark.hosts

REV = "d0985c6b2bd03f1e5abf129485eda7496061675d"
GIT = {"name": "ex", "url": "git@example.com:reg.git", "type": "dvc", "path": "data"}
LOCKED = {**GIT, "rev": "v1", "rev_lock": REV}
FILES = {"name": "web", "url": "s3://bucket/x", "type": "url"}
META = {"meta": {"size": 4, "etag": "abc", "version_id": "v"}}
STAGES = {"t": {"cmd": "true", "deps": ["ds://ex", "ds://web"], "outs": ["out"]}}

# DVC's word on each dataset: whether it has a locked version.
ASK_DVC = """\
import json, sys
from dvc.repo import Repo

datasets = Repo(sys.argv[1]).datasets
print(json.dumps({name: datasets[name].lock is not None for name in datasets}))
"""

# By case: what dvc.yaml defines, what dvc.lock says, the version.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any] | None, str | None]] = {
    "locked": ({**GIT, "rev": "v1"}, LOCKED, REV),
    "without a path": (
        {"name": "ex", "url": "u", "type": "dvc"},
        {"name": "ex", "url": "u", "type": "dvc", "rev_lock": REV},
        REV,
    ),
    "never updated": ({**GIT, "rev": "v1"}, None, None),
    "another revision is asked for": ({**GIT, "rev": "v2"}, LOCKED, None),
    "another repository": ({**GIT, "url": "other", "rev": "v1"}, LOCKED, None),
    "another part": ({**GIT, "path": "other", "rev": "v1"}, LOCKED, None),
    "another kind": ({"name": "ex", "url": GIT["url"], "type": "url"}, LOCKED, None),
    "the lock of another name": ({**GIT, "rev": "v1"}, {**LOCKED, "name": "old"}, None),
}


def read(project: Project) -> tuple[LockedDataset, ...]:
    return ProjectReader(str(project.root)).read().with_templates().datasets


def lay_out(project: Project, spec: object, locked: object, stages: object = STAGES) -> None:
    project.write("dvc.yaml", json.dumps({"datasets": spec, "stages": stages}))
    lock = {"schema": "2.0", "datasets": locked, "stages": {}}
    project.write("dvc.lock", json.dumps(lock))


def dvc_has_version(project: Project) -> dict[str, bool]:
    script = project.root.parent / "ask_dvc.py"
    script.write_text(ASK_DVC)
    found: dict[str, bool] = json.loads(
        project.run("python", str(script), str(project.root), cwd=project.root.parent)
    )
    return found


@pytest.mark.parametrize("case", CASES)
def test_version(project: Project, case: str):
    """A dataset has a version exactly where DVC finds one: the one that dvc.lock has of it."""
    spec, locked, version = CASES[case]
    lay_out(project, [spec], [locked] if locked else [])
    [found] = read(project)
    assert dvc_has_version(project) == {"ex": version is not None}
    assert (found.name, found.hash) == ("ex", version)
    assert (found.fault is None) == (version is not None)


def test_templates(project: Project):
    """Templates of a dataset are filled in by DVC, in a dvc.yaml without any other template too."""
    project.write("params.yaml", json.dumps({"v": "v1", "at": "data"}))
    spec = {**GIT, "path": "${at}", "rev": "${v}"}
    lay_out(project, [spec], [LOCKED])
    [found] = read(project)
    assert (found.algorithm, found.hash) == ("rev:data", REV)
    assert dvc_has_version(project) == {"ex": True}
    project.write("params.yaml", json.dumps({"v": "v2", "at": "data"}))
    assert read(project)[0].hash is None


def test_remembered(project: Project, monkeypatch: pytest.MonkeyPatch):
    """The next process, which reads nothing that has not changed, knows the same datasets."""
    from mlflow_dvc.capture import workspace

    lay_out(project, [{**GIT, "rev": "v1"}], [LOCKED])
    project.write("run.py", "")
    monkeypatch.chdir(project.root)
    first = workspace.capture_run()
    workspace.save_cache(first)
    again = ProjectReader(str(project.root)).read()
    assert first.reading is not None
    assert again.datasets == first.reading.datasets != ()


def test_another_file(project: Project):
    """The lock beside the dvc.yaml that defines a dataset counts, whatever file reads it."""
    lay_out(project, [{**GIT, "rev": "v1"}], [LOCKED], {})
    project.write("sub/dvc.yaml", json.dumps({"stages": STAGES}))
    other = {**LOCKED, "rev_lock": "0" * 40}
    project.write("sub/dvc.lock", json.dumps({"schema": "2.0", "datasets": [other], "stages": {}}))
    assert find_dataset("ds://ex", read(project)).hash == REV


def test_not_known():
    """Of a name that nobody defines, or two define differently, the version is not guessed."""
    one = LockedDataset("ex", hash=REV)
    assert find_dataset("ds://ex", [one, one]) == one
    for name, known in (("ex", [one, LockedDataset("ex", hash="0" * 40)]), ("nope", [one])):
        found = find_dataset(f"ds://{name}", known)
        assert found.hash is None
        assert found.fault


def test_equal_exactly_where_the_data_is():
    """The version of a revision of another part, of other files, or of another DataChain dataset
    is another one; a revision that another name led to is the same."""
    chain = {"name": "c", "url": "dc://c", "type": "dc", "version": 3, "created_at": "2024-05-01"}
    files = {**FILES, **META}
    for row, other in (
        (LOCKED, {**LOCKED, "rev_lock": "0" * 40}),
        (LOCKED, {**LOCKED, "path": "other"}),
        (chain, {**chain, "version": 4}),
        (chain, {**chain, "created_at": "2024-05-02"}),
        (chain, {**chain, "url": "dc://d"}),
        (files, {**files, "meta": {**META["meta"], "etag": "abd"}}),
    ):
        assert locked_version(row) != locked_version(other)
    assert locked_version(LOCKED) == locked_version({**LOCKED, "rev": "main", "name": "other"})
    assert locked_version(chain) == ("version:dc://c:2024-05-01", "3")
    assert locked_version(files) == locked_version(dict(reversed(files.items())))


def test_sizes_tell_nothing_of_data():
    """Where a lock has only the sizes of files, its version is not one of their content."""
    sizes = locked_version({**FILES, "meta": {"size": 4, "nfiles": 2, "isdir": True}})
    assert sizes[0] == "sizes"
    assert locked_version({**FILES, **META})[0] == "lock"
    rows = [{"relpath": "a", **META}, {"relpath": "b", "meta": {"size": 1}}]
    assert locked_version({**FILES, "meta": {"isdir": True}, "files": rows})[0] == "sizes"
    assert locked_version({**FILES, "meta": {"isdir": True}, "files": rows[:1]})[0] == "lock"


def test_no_credentials(project: Project):
    """What is said of where a dataset comes from gives no password away."""
    spec = {**GIT, "url": "https://u:secret@example.com/reg.git", "rev": "v1"}
    lay_out(project, [spec], [{**spec, "rev_lock": REV}])
    [found] = read(project)
    assert found.source == f"https://example.com/reg.git@{REV}"


@pytest.mark.parametrize("raw", [None, {}, "x", [1], [{"type": "dvc"}], [{"name": 1}]])
def test_not_as_dvc_writes_it(project: Project, raw: object):
    """What is no list of datasets defines none, and takes no stage away."""
    lay_out(project, raw, raw)
    reading = ProjectReader(str(project.root)).read()
    assert reading.datasets == ()
    assert [stage.address for stage in reading.stages] == ["t"]
