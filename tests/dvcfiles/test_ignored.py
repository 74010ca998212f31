"""Which files count: each project is held against what DVC itself finds in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project
from dvc_reading import as_dvc, dvc_reads, lay_out, lock, we_read

pytestmark = pytest.mark.hosts

A, B, C = ("a" * 32, "b" * 32, "c" * 32)


IGNORED = {
    "file": "b.dvc\n",
    "suffix": "*.dvc\n!a.dvc\n",
    "directory": "sub/\n",
    "rooted": "/sub\n",
    "content": "sub/*\n!sub/*.dvc\n",
    "all content": "sub/**\n!sub/b.dvc\n",
    "deep": "**/deep/\n",
    "all but": "/*\n!/a.dvc\n!/sub\n!.dvc\n",
    "comment": "#b.dvc\n\n  \n\\#x\n",
    "spaces": "b.dvc  \n",
    "crlf": "sub/deep/\r\n",
    "brackets": "sub/[a-c].dvc\nx[\n",
    "shown": "sub/*\n!sub/deep\nother/**\n!other/deep/**\n",
    "star": "*\n!*.dvc\n",
    "star slash": "*/*\n",
    "inner star": "**/deep/*\n!**/deep/*.dvc\n",
    "negated": "sub/\n!sub/\n",
    "all but folders": "sub/**\n!sub/**/\n!sub/**/*.dvc\n",
    "all but rooted folders": "/sub/**\n!/sub/**/\n!/sub/**/*.dvc\n",
    "content but folders": "sub/*\n!sub/*/\n!sub/*.dvc\n",
    "allowed alone": "*\n!*/\n!*.dvc\n",
    "allowed rooted": "/*\n!/sub/\n/sub/*\n!/sub/b.dvc\n!/a.dvc\n!/.dvc\n",
}


@pytest.mark.parametrize("rules", IGNORED.values(), ids=IGNORED.keys())
@pytest.mark.parametrize("file", [".dvcignore", ".gitignore", ".git/info/exclude"])
def test_ignored(project: Project, file: str, rules: str):
    """``.dvcignore`` and git's own rules hide files from DVC, even tracked ones."""
    for name in ("a", "b", "sub/b", "sub/deep/c", "other/deep/d"):
        # Elsewhere, since DVC refuses an output that .dvcignore hides.
        project.write(f"{name}.dvc", f"outs: [{{path: /srv/{name}, md5: {A}}}]")
    project.git("add", "--all", "--force")
    project.write(file, rules)
    as_dvc(project)


def test_nested_ignore_files(project: Project):
    """The ignore file nearest to a path has the last word."""
    for name in ("a", "sub/b", "sub/c", "sub/deep/b"):
        base = os.path.basename(name)
        project.write(f"{name}.dvc", f"outs: [{{path: {base}.csv, hash: md5, md5: {A}}}]")
    project.write(".gitignore", "b.dvc\n")
    project.write("sub/.gitignore", "!b.dvc\n/c.dvc\n")
    project.write("sub/deep/.dvcignore", "b.dvc\n")
    assert list(as_dvc(project)) == ["a.csv", "sub/b.csv"]


def test_user_excludes(project: Project):
    """The file that ``core.excludesFile`` names hides as well."""
    project.write("a.dvc", f"outs: [{{path: a, hash: md5, md5: {A}}}]")
    project.write("venv/b.dvc", f"outs: [{{path: b, hash: md5, md5: {B}}}]")
    assert as_dvc(project) == {"a": A, "venv/b": B}
    home = Path(os.environ["HOME"])
    (home / "my excludes").write_text("venv/\n")
    project.git("config", "--global", "core.excludesFile", "~/my excludes")
    assert as_dvc(project) == {"a": A}


@pytest.mark.parametrize("rules", ["data/\n", "data/*\n", "data/**\n", "*.dvc\n"])
def test_root_in_an_ignored_directory(make_project: Callable[..., Project], rules: str):
    """A DVC root below an ignored directory of the repository is as empty as it is to DVC."""
    project = make_project(dvc=False)
    (project.root / "data").mkdir()
    project.run("dvc", "init", "--quiet", "--subdir", cwd=project.root / "data")
    project.write("data/a.dvc", f"outs: [{{path: a, hash: md5, md5: {A}}}]")
    assert as_dvc(project, "data") == {"a": A}
    project.write(".gitignore", rules)
    assert as_dvc(project, "data") == {}
    project.write("data/.dvc/config", "[core]\n    no_scm = True\n")
    assert as_dvc(project, "data") == {"a": A}


def test_ignored_lock(project: Project):
    """A lock that git ignores makes DVC refuse the pipeline; one in ``.dvcignore`` is not there."""
    lay_out(
        project,
        {
            "dvc.yaml": "stages: {a: {cmd: x, outs: [out]}}",
            "dvc.lock": lock(f"a: {{cmd: x, outs: [{{path: out, hash: md5, md5: {A}}}]}}\n"),
        },
    )
    assert as_dvc(project) == {"out": A}
    project.write(".dvcignore", "dvc.lock\n")
    assert as_dvc(project) == {"out": None}
    project.write(".dvcignore", "")
    project.write(".gitignore", "*.lock\n")
    assert dvc_reads(project) == ([], {"dvc.yaml": "FileIsGitIgnored"})
    ours, snapshot = we_read(project)
    assert [row[2] for row in ours] == [None]
    assert ["dvc.lock" in warning for warning in snapshot.warnings] == [True]


def test_outputs_are_not_searched(project: Project):
    """DVC files inside an output are data."""
    lay_out(
        project,
        {
            "d.dvc": f"outs: [{{path: d, hash: md5, md5: {A}.dir}}]",
            "d/inner.dvc": f"outs: [{{path: x, hash: md5, md5: {B}}}]",
            "d/deep/dvc.yaml": "stages: {a: {cmd: x, outs: [out]}}",
        },
    )
    assert as_dvc(project) == {"d": f"{A}.dir"}


def test_links(project: Project):
    """Links to files are read, links to directories are not followed."""
    lay_out(project, {"real/a.dvc": f"outs: [{{path: a, hash: md5, md5: {A}}}]"})
    (project.root / "linked").symlink_to("real")
    (project.root / "b.dvc").symlink_to("real/a.dvc")
    assert as_dvc(project) == {"real/a": A, "a": A}
