"""Looking at a workspace again and again: what is read anew, and what must not be touched."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Any

import pytest
from conftest import Project
from dvc_reading import lay_out, we_read

from mlflow_dvc.capture import workspace
from mlflow_dvc.dvcfiles.reader import ProjectReader

pytestmark = pytest.mark.hosts

A, B, C = ("a" * 32, "b" * 32, "c" * 32)


def tree(root: Path) -> dict[str, Any]:
    """Every path with its kind, content and time of change."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = (status.st_mode, status.st_mtime_ns, content)
    return found


def test_looking_leaves_no_trace(project: Project):
    """Looking, templates and all, changes no file, no time and no status of git."""
    lay_out(
        project,
        {
            "dvc.yaml": "stages: {a: {cmd: x, outs: ['${dir}']}}",
            "params.yaml": "dir: out",
            "sub/a.dvc": f"outs: [{{path: a, hash: md5, md5: {A}}}]",
        },
    )
    project.commit()
    before = tree(project.root)
    status = project.git("--no-optional-locks", "status", "--porcelain", "--ignored")
    _, snapshot = we_read(project)
    assert len(snapshot.data) == 2
    assert tree(project.root) == before
    assert project.git("--no-optional-locks", "status", "--porcelain", "--ignored") == status


def test_status_imports_no_host(project: Project):
    """``status`` imports neither MLflow nor DVC where no template is unknown."""
    lay_out(
        project,
        {
            "dvc.yaml": "stages: {a: {cmd: x, outs: [out]}}",
            "b.dvc": f"outs: [{{path: b, hash: md5, files: [{{relpath: x, md5: {A}}}]}}]",
        },
    )
    code = """\
        import sys
        from mlflow_dvc.capture import workspace
        assert len(workspace.status().data) == 2
        hosts = {"mlflow", "dvc", "dvc_data", "dulwich", "pygit2", "git", "voluptuous", "pandas"}
        print(sorted(hosts & sys.modules.keys()))
        """
    assert project.run("python", "-c", textwrap.dedent(code)).strip() == "[]"


def settle(project: Project) -> None:
    """As if everything had been written long ago."""
    for path in project.root.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000), follow_symlinks=False)


def test_same_object(project: Project):
    """With no change a second look gives the same objects; a change of one file is seen."""
    lay_out(
        project,
        {
            "a.dvc": f"outs: [{{path: a, hash: md5, md5: {A}}}]",
            "sub/b.dvc": f"outs: [{{path: b, hash: md5, md5: {B}}}]",
        },
    )
    reader = ProjectReader(str(project.root))
    first = reader.read()
    assert reader.read() is first
    project.write("sub/b.dvc", f"outs: [{{path: b, hash: md5, md5: {C}}}]")
    second = reader.read()
    assert [out.hash for stage in second.stages for out in stage.outs] == [A, C]
    assert second.dvc_files[0] is first.dvc_files[0]
    (project.root / "a.dvc").unlink()
    assert [stage.file for stage in reader.read().stages] == ["sub/b.dvc"]
    project.write("new/deep/c.dvc", f"outs: [{{path: c, hash: md5, md5: {C}}}]")
    assert [stage.file for stage in reader.read().stages] == ["new/deep/c.dvc", "sub/b.dvc"]


def test_same_moment(project: Project, monkeypatch: pytest.MonkeyPatch):
    """A process that starts runs in an unchanged workspace makes one record of it."""
    lay_out(project, {"a.dvc": f"outs: [{{path: a, hash: md5, md5: {A}}}]"})
    project.commit()
    monkeypatch.chdir(project.root)
    first = workspace.capture_run()
    assert workspace.capture_run() is first
    project.commit("HEAD moves")
    second = workspace.capture_run()
    assert second is not first
    assert second.reading is first.reading


def test_edits_within_one_tick(project: Project):
    """An edit that changes neither size nor time of a young file is seen."""
    reader = ProjectReader(str(project.root))
    path = project.root / "a.dvc"
    for md5 in (A, B, C, A):
        path.write_text(f"outs: [{{path: a, hash: md5, md5: {md5}}}]")
        # The clock of the file system may stand still for some milliseconds.
        os.utime(path, ns=(path.stat().st_atime_ns, 1_700_000_000_000_000_000))
        assert [out.hash for stage in reader.read().stages for out in stage.outs] == [md5]


def test_edit_of_a_settled_file(project: Project):
    """An edit of an old file is seen though size and time of modification are set back."""
    path = project.write("a.dvc", f"outs: [{{path: a, hash: md5, md5: {A}}}]")
    settle(project)
    reader = ProjectReader(str(project.root))
    assert reader.read().stages[0].outs[0].hash == A
    path.write_text(path.read_text().replace(A, B))
    settle(project)
    assert reader.read().stages[0].outs[0].hash == B


def test_ignore_rules_change(project: Project):
    """A rule that is added or taken away counts at the next look."""
    project.write("sub/a.dvc", f"outs: [{{path: a, hash: md5, md5: {A}}}]")
    reader = ProjectReader(str(project.root))
    assert len(reader.read().stages) == 1
    project.write(".gitignore", "sub/\n")
    assert len(reader.read().stages) == 0
    project.write(".gitignore", "sux/\n")
    assert len(reader.read().stages) == 1
