"""DVC's files as DVC itself reads them: each project is held against DVC's own index."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Project

from mlflow_dvc.capture import workspace
from mlflow_dvc.dvcfiles.reader import ProjectReader
from mlflow_dvc.snapshot import Snapshot

pytestmark = pytest.mark.hosts

A, B, C = ("a" * 32, "b" * 32, "c" * 32)
FIELDS = ("path", "algorithm", "hash", "size", "nfiles", "cached", "stage")
# Reads what DVC can read, file by file: one bad file makes `dvc` itself refuse the whole project.
ASK_DVC = """\
import json, os, sys
from dvc.repo import Repo
from dvc.repo.index import collect_files

repo = Repo(sys.argv[1])
rows, refused = [], {}
def on_error(path, error):
    refused[os.path.relpath(path, repo.root_dir)] = type(error).__name__
for path, index in collect_files(repo, onerror=on_error):
    for stage in index.stages:
        file = os.path.relpath(stage.path, repo.root_dir)
        name = getattr(stage, "name", None)
        address = file if name is None else name if file == "dvc.yaml" else f"{file}:{name}"
        for out in stage.outs:
            local = out.protocol == "local" and not os.path.isabs(out.def_path)
            shown = os.path.relpath(out.fs_path, repo.root_dir) if local else out.def_path
            hash = out.hash_info.value if out.hash_info else None
            rows.append([shown, out.hash_name, hash, out.meta.size,
                         out.meta.nfiles, out.use_cache, address])
print(json.dumps([sorted(rows), refused]))
"""


@pytest.fixture
def project(initialised: Path, tmp_path: Path) -> Project:
    shutil.copytree(initialised, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


def lay_out(project: Project, files: dict[str, str]) -> None:
    for path, text in files.items():
        project.write(path, textwrap.dedent(text))


def ask_dvc(project: Project, where: str) -> str:
    script = project.root.parent / "ask_dvc.py"
    script.write_text(ASK_DVC)
    return project.run("python", str(script), where, cwd=project.root.parent)


def dvc_reads(project: Project, root: str = ".") -> tuple[list[list[Any]], dict[str, str]]:
    """DVC's entries, and the files it refuses. On a copy, because DVC writes where it looks."""
    copy = project.root.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(project.root, copy, symlinks=True)
    where = str(copy / root)
    answer = ask_dvc(project, where)
    rows, refused = json.loads(answer.splitlines()[-1].replace(str(copy), str(project.root)))
    return rows, refused


def we_read(project: Project, root: str = ".") -> tuple[list[list[Any]], Snapshot]:
    snapshot = workspace.inspect(str(project.root / root))[1]
    return [[getattr(entry, field) for field in FIELDS] for entry in snapshot.data], snapshot


def hashed(rows: list[list[Any]]) -> list[list[Any]]:
    """What is not known has neither algorithm nor hash: DVC makes up the first."""
    return [row if row[2] else [row[0], None, None, *row[3:]] for row in rows]


def as_dvc(project: Project, root: str = ".", *, refused: str = "") -> dict[str, str | None]:
    """Path and hash of every entry, after holding all of it against DVC's reading."""
    theirs, faults = dvc_reads(project, root)
    ours, snapshot = we_read(project, root)
    assert hashed(ours) == hashed(theirs)
    if refused:
        assert list(faults) == [refused]
        assert any(refused in warning for warning in snapshot.warnings), snapshot.warnings
    else:
        assert faults == {}
        assert snapshot.warnings == ()
    return {row[0]: row[2] for row in ours}


def lock(stages: str) -> str:
    return "schema: '2.0'\nstages:\n" + textwrap.indent(textwrap.dedent(stages), "  ")


def test_dead_stage(project: Project):
    """A stage that only the lock still has is dead, and so are dead outputs of a live one."""
    lay_out(
        project,
        {
            "dvc.yaml": "stages: {train: {cmd: x, outs: [model]}}",
            "dvc.lock": lock(f"""\
                train:
                  cmd: x
                  outs:
                  - {{path: model, hash: md5, md5: {A}, size: 3}}
                  - {{path: gone, hash: md5, md5: {B}, size: 3}}
                old:
                  cmd: x
                  outs:
                  - {{path: old, hash: md5, md5: {C}, size: 3}}
                """),
        },
    )
    assert as_dvc(project) == {"model": A}


def test_lock_alone(project: Project):
    """A lock with no dvc.yaml beside it counts for nothing."""
    lay_out(
        project,
        {"dvc.lock": lock(f"train: {{cmd: x, outs: [{{path: m, hash: md5, md5: {A}}}]}}\n")},
    )
    assert as_dvc(project) == {}


def test_not_in_the_lock(project: Project):
    """An output that was never made has no hash."""
    lay_out(
        project,
        {
            "dvc.yaml": "stages: {a: {cmd: x, outs: [one, new]}, b: {cmd: x, outs: [two]}}",
            "dvc.lock": lock(f"a: {{cmd: x, outs: [{{path: one, hash: md5, md5: {A}}}]}}\n"),
        },
    )
    assert as_dvc(project) == {"one": A, "new": None, "two": None}


def test_wdir(project: Project):
    """Paths are relative to the working directory of the stage, which only dvc.yaml tells."""
    lay_out(
        project,
        {
            "dvc.yaml": """\
                stages:
                  down: {cmd: x, wdir: sub/deep, outs: [out, ../up, ../../top]}
                  here: {cmd: x, wdir: ., outs: [here]}
                """,
            "sub/deep/keep": "",
            "dvc.lock": lock(f"""\
                down:
                  cmd: x
                  outs:
                  - {{path: out, hash: md5, md5: {A}}}
                  - {{path: ../up, hash: md5, md5: {B}}}
                  - {{path: ../../top, hash: md5, md5: {C}}}
                here: {{cmd: x, outs: [{{path: here, hash: md5, md5: {A}}}]}}
                """),
            "sub/data.dvc": f"wdir: ..\nouts: [{{path: other, hash: md5, md5: {B}}}]",
        },
    )
    assert as_dvc(project) == {
        "sub/deep/out": A,
        "sub/up": B,
        "top": C,
        "here": A,
        "other": B,
    }


@pytest.mark.parametrize(
    ("declared", "locked"),
    [
        ("./out", "./out"),
        ("./out", "out"),
        ("out/", "out/"),
        ("out/", "out"),
        ("sub/../out", "sub/../out"),
        ("sub//out", "sub//out"),
        ("../project/out", "../project/out"),
        ("../project/out", "out"),
        ("{root}/out", "{root}/out"),
        ("{root}/out", "out"),
        ("{root}/sub/../out", "out"),
        ("{root}/sub/../out", "sub/../out"),
    ],
)
def test_spelling(project: Project, declared: str, locked: str):
    """A path in the lock must be spelt as DVC spells the one in dvc.yaml."""
    (project.root / "sub").mkdir()
    project.write("dvc.yaml", json.dumps({"stages": {"a": {"cmd": "x", "outs": [declared]}}}))
    out = {"path": locked, "hash": "md5", "md5": A, "size": 1}
    stages = {"a": {"cmd": "x", "outs": [out]}}
    project.write("dvc.lock", json.dumps({"schema": "2.0", "stages": stages}))
    for name in ("dvc.yaml", "dvc.lock"):
        path = project.root / name
        text = path.read_text().replace("{root}", str(project.root))
        path.write_text(text)
    theirs, _ = dvc_reads_in_place(project)
    ours, _ = we_read(project)
    assert hashed(ours) == hashed(theirs)


def dvc_reads_in_place(project: Project) -> tuple[list[list[Any]], dict[str, str]]:
    """Where absolute paths matter; ours is read from a project that DVC has not touched yet."""
    we_read(project)
    answer = ask_dvc(project, str(project.root))
    rows, refused = json.loads(answer.splitlines()[-1])
    return rows, refused


def test_outside(project: Project):
    """Outputs outside the project keep their address, and the hash of their storage."""
    lay_out(
        project,
        {
            "dvc.yaml": """\
                stages:
                  a:
                    cmd: x
                    outs:
                    - https://example.org/data.csv: {cache: false}
                    - ../beside: {cache: false}
                    - /srv/elsewhere: {cache: false}
                """,
            "dvc.lock": lock(f"""\
                a:
                  cmd: x
                  outs:
                  - {{path: 'https://example.org/data.csv', checksum: '"Abc-1"', size: 4}}
                  - {{path: ../beside, md5: {A}, size: 5}}
                  - {{path: /srv/elsewhere, hash: md5, md5: {B}, size: 6}}
                """),
        },
    )
    theirs, _ = dvc_reads_in_place(project)
    ours, _ = we_read(project)
    assert ours == theirs


def test_dos2unix(project: Project):
    """An md5 without ``hash: md5`` is md5-dos2unix, also where one lock mixes both."""
    lay_out(
        project,
        {
            "dvc.yaml": "stages: {a: {cmd: x, outs: [old, new]}}",
            "dvc.lock": lock(f"""\
                a:
                  cmd: x
                  outs:
                  - {{path: new, hash: md5, md5: {A}, size: 1}}
                  - {{path: old, md5: {B}, size: 1}}
                """),
            "data.dvc": f"outs: [{{path: data, md5: {C}.dir, size: 9, nfiles: 2}}]",
        },
    )
    assert as_dvc(project) == {"new": A, "old": B, "data": f"{C}.dir"}
    ours, _ = we_read(project)
    assert [row[1] for row in ours] == ["md5-dos2unix", "md5", "md5-dos2unix"]


def test_kinds_of_outputs(project: Project):
    """Metrics and plots are outputs; ``cache: false`` is told apart, whatever else is set."""
    lay_out(
        project,
        {
            "dvc.yaml": """\
                stages:
                  a:
                    cmd: x
                    outs: [plain, {both: {cache: false, persist: true}}, {pushed: {push: false}}]
                    metrics: [m1.json, {m2.json: {cache: false}}]
                    plots:
                    - p1.csv
                    - p2.csv: {cache: false, x: a, y: b}
                metrics: [m1.json, other.json]
                plots: [p1.csv, {p2.csv: {x: a, y: {f.csv: [a, b]}}}, shown: ]
                params: [params.yaml]
                artifacts: {model: {path: plain, type: model, labels: [x]}}
                """.replace("shown: ", "{shown: null}"),
            "dvc.lock": lock(
                "a:\n  cmd: x\n  outs:\n"
                + "".join(
                    f"  - {{path: {name}, hash: md5, md5: {A}, size: 1}}\n"
                    for name in (
                        "both",
                        "m1.json",
                        "m2.json",
                        "p1.csv",
                        "p2.csv",
                        "plain",
                        "pushed",
                    )
                )
            ),
        },
    )
    assert len(as_dvc(project)) == 7
    ours, _ = we_read(project)
    assert {row[0] for row in ours if not row[5]} == {"both", "m2.json", "p2.csv"}


def test_directory(project: Project):
    """A directory has the size of all of it and the number of its files."""
    lay_out(
        project,
        {
            "d.dvc": f"outs: [{{path: d, hash: md5, md5: {A}.dir, size: 12, nfiles: 3}}]",
        },
    )
    assert as_dvc(project) == {"d": f"{A}.dir"}
    assert we_read(project)[0][0][3:5] == [12, 3]


TEMPLATES = {
    "value": "stages: {a: {cmd: x, outs: ['${dir}/model']}}",
    "wdir": "stages: {a: {cmd: x, wdir: '${dir}', outs: [model]}}",
    "foreach list": "stages: {a: {foreach: [one, t-w.o], do: {cmd: x, outs: ['${item}.csv']}}}",
    "foreach map": """\
        stages:
          a:
            foreach: {us: {n: 1}, de: {n: 2}}
            do: {cmd: x, outs: ['${key}-${item.n}']}
        """,
    "foreach value": "stages: {a: {foreach: '${names}', do: {cmd: x, outs: ['${item}']}}}",
    "matrix": """\
        stages:
          a:
            matrix: {model: [cnn, x b], lr: [1e-06, 0.5], flag: [true]}
            cmd: x
            outs: ['${item.model}/${item.lr}/${item.flag}', '${key}.txt']
        """,
    "vars": """\
        vars: [other.yaml, deep/more.json:n, {here: [1, {x: y}]}]
        stages:
          a: {cmd: x, outs: ['${other}-${n}-${here[1].x}', '${names[0]}']}
        """,
    "stage vars": """\
        stages:
          a:
            cmd: x
            wdir: deep
            vars: [more.json, {own: mine}]
            outs: ['${own}-${n}']
        """,
    "flags": """\
        stages:
          a:
            cmd: x
            outs: [{'${dir}/m': {cache: false}}, plain]
            metrics: ['${dir}/${dir}.json']
        """,
    "plain beside": """\
        stages:
          plain: {cmd: 'x ${dir}', outs: [untouched]}
          a: {cmd: x, outs: ['${dir}']}
        """,
    "escaped": "stages: {a: {cmd: x, outs: ['\\\\${dir}']}}",
}


@pytest.mark.parametrize("text", TEMPLATES.values(), ids=TEMPLATES.keys())
def test_templates(project: Project, text: str):
    """``foreach``, ``matrix`` and ``${}`` are filled in as DVC does, from all files of values."""
    lay_out(
        project,
        {
            "dvc.yaml": text,
            "params.yaml": "dir: models\nnames: [a, b]\n",
            "other.yaml": "other: 1e-06\n",
            "deep/more.json": '{"n": 7}',
            "models/keep": "",
        },
    )
    lock_everything(project)
    assert all(as_dvc(project).values())


def lock_everything(project: Project) -> None:
    """A lock in which every output that DVC sees has a hash of its own."""
    rows, faults = dvc_reads(project)
    assert faults == {}
    stages: dict[str, Any] = {}
    for position, (path, *_, stage) in enumerate(rows):
        outs = stages.setdefault(stage, {"cmd": "x", "outs": []})["outs"]
        md5 = f"{position:032x}"
        outs.append({"path": path, "hash": "md5", "md5": md5, "size": position})
        if stage == "a" and (project.root / "dvc.yaml").read_text().count("wdir"):
            base = "deep" if "wdir: deep" in (project.root / "dvc.yaml").read_text() else "models"
            outs[-1]["path"] = os.path.relpath(path, base)
    project.write("dvc.lock", json.dumps({"schema": "2.0", "stages": stages}))


def test_template_follows_its_values(project: Project):
    """When a file of values changes, so do the stages; a change back is known without asking."""
    lay_out(
        project,
        {
            "dvc.yaml": "vars: [v.yaml]\nstages: {a: {cmd: x, outs: ['${dir}/${v}']}}",
            "params.yaml": "dir: one",
            "v.yaml": "v: 1",
        },
    )
    assert list(as_dvc(project)) == ["one/1"]
    project.write("params.yaml", "dir: two")
    assert list(as_dvc(project)) == ["two/1"]
    project.write("v.yaml", "v: 2")
    assert list(as_dvc(project)) == ["two/2"]
    project.write("v.yaml", "v: 1")
    reading = ProjectReader(str(project.root)).read()
    assert not reading.pending
    assert [out.path for stage in reading.stages for out in stage.outs] == ["two/1"]


def test_template_not_asked_yet(project: Project):
    """What DVC has not been asked about claims nothing."""
    lay_out(
        project,
        {
            "dvc.yaml": "stages: {a: {cmd: x, outs: ['${dir}']}}",
            "params.yaml": "dir: out",
            "dvc.lock": lock(f"a: {{cmd: x, outs: [{{path: out, hash: md5, md5: {A}}}]}}\n"),
        },
    )
    reading = ProjectReader(str(project.root)).read()
    assert reading.pending
    assert reading.stages == ()
    assert not reading.with_templates().pending


def test_cloud_versioned(project: Project):
    """A list of files in place of a hash: DVC derives the hash and adds up the sizes."""
    store = {"store": {"etag": "x123", "version_id": "1"}}
    first = {"relpath": "b/ü.csv", "size": 5, "cloud": store}
    second = {"relpath": "a.csv", "md5": A, "cloud": {"store": {"size": 4, "version_id": "2"}}}
    md5 = {"hash": "md5"}
    outs = {
        "one": {**md5, "files": [{**first, "md5": B}, second]},
        "old": {"files": [second, {**first, "md5": B}]},
        "no": {**md5, "files": [first, second]},
        "file": {**md5, "md5": C, "size": 3, "cloud": store},
    }
    for name, out in outs.items():
        project.write(f"{name}.dvc", json.dumps({"outs": [{"path": name, **out}]}))
    made = {"path": "made", **md5, "files": [{"relpath": "x", "md5": A, "size": 1}]}
    stages = {"a": {"cmd": "x", "outs": [made]}}
    project.write("dvc.yaml", "stages: {a: {cmd: x, outs: [made]}}")
    project.write("dvc.lock", json.dumps({"schema": "2.0", "stages": stages}))
    read = as_dvc(project)
    assert all(read.values())
    assert read["one"] == read["old"] != read["no"]
    sizes = {row[0]: row[3:5] for row in we_read(project)[0]}
    assert sizes["one"] == sizes["old"] == [9, 2]
    assert sizes["made"] == [1, 1]


def test_import(project: Project, make_project: Callable[..., Project]):
    """Imported data has the hash of the data, not the stage's, and ``url@rev`` as its source."""
    registry = make_project("registry")
    registry.write("data/a.csv", "a\n1\n")
    registry.write("code/b.py", "print()\n")
    registry.dvc("add", "--quiet", "data")
    rev = registry.commit("data")
    url = str(registry.root)
    project.dvc("import", "--quiet", url, "data", "-o", "imported")
    project.dvc("import", "--quiet", url, "code/b.py", "-o", "b.py", "--rev", "main")
    outside = project.root.parent / "outside file.csv"
    outside.write_text("x\n")
    project.dvc("import-url", "--quiet", str(outside), "by_url.csv")
    read = as_dvc(project)
    assert set(read) == {"imported", "b.py", "by_url.csv"}
    assert (read["imported"] or "").endswith(".dir")
    sources = {entry.path: entry.source for entry in we_read(project)[1].data}
    assert sources["imported"] == sources["b.py"] == f"{url}@{rev}"
    assert (sources["by_url.csv"] or "").endswith("outside file.csv")


def test_stage_hash_is_not_data(project: Project):
    """The md5 at the top of a ``.dvc`` file is the stage's."""
    lay_out(
        project,
        {
            "a.dvc": f"md5: {A}\nfrozen: true\nouts: [{{path: a, hash: md5, md5: {B}}}]",
            "b.dvc": f"md5: {A}\nouts: [{{path: b}}]",
            "c.dvc": f"""\
                md5: {A}
                deps:
                - path: d
                  repo: {{url: 'https://me:secret@example.org/r', rev: v1, rev_lock: abc}}
                outs: [{{path: c, md5: {C}}}]
                """,
        },
    )
    assert as_dvc(project) == {"a": B, "b": None, "c": C}
    entry = next(entry for entry in we_read(project)[1].data if entry.path == "c")
    assert entry.source == "https://example.org/r@abc"


def test_sub_project(project: Project):
    """A parent does not report what lies in a project inside it."""
    lay_out(
        project,
        {
            "top.dvc": f"outs: [{{path: top, hash: md5, md5: {A}}}]",
            "sub/in.dvc": f"outs: [{{path: in, hash: md5, md5: {B}}}]",
            "sub/deeper/in.dvc": f"outs: [{{path: in, hash: md5, md5: {B}}}]",
        },
    )
    project.run("dvc", "init", "--quiet", "--subdir", cwd=project.root / "sub")
    assert as_dvc(project) == {"top": A}
    assert as_dvc(project, "sub") == {"in": B, "deeper/in": B}


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


NAMES = [
    "with space",
    "ünïcödé 東京",
    "e\u0301 decomposed",
    "quo'te\"s",
    "a+b=c,d@e#f%20&g",
    "tab\tand\nnewline",
    "[brackets]{braces}",
    "-dash",
    "back\\slash",
    "deep/2021-01-16T20:40:36+09:00",
    "${not_a_template".replace("${", "$"),
    "x" * 200,
    "co:lon",
    "~tilde",
    "on",
]


@pytest.mark.parametrize("name", NAMES)
def test_names(project: Project, name: str):
    """A name comes out as it was, in ``.dvc`` files, in pipelines and in the file system."""
    stages = {"a": {"cmd": "x", "outs": [f"made {name}"]}}
    out = {"hash": "md5", "md5": A, "size": 1}
    locked = {"a": {"cmd": "x", "outs": [{"path": f"made {name}", **out}]}}
    project.write("dvc.yaml", json.dumps({"stages": stages}))
    project.write("dvc.lock", json.dumps({"schema": "2.0", "stages": locked}))
    single = {"outs": [{"path": os.path.basename(name), **out}]}
    project.write(f"{name}.dvc", json.dumps(single))
    assert as_dvc(project) == {f"made {name}": A, name: A}


def test_pipeline_in_a_subdirectory(project: Project):
    """A stage of another dvc.yaml has the address that it has from the root."""
    lay_out(
        project,
        {
            "sub/deep/dvc.yaml": """\
                stages:
                  train: {cmd: x, outs: [out]}
                  each: {foreach: [a/b, c], do: {cmd: x, outs: ['${item}.txt']}}
                """,
            "sub/deep/dvc.lock": lock(f"""\
                train: {{cmd: x, outs: [{{path: out, hash: md5, md5: {A}}}]}}
                each@c: {{cmd: x, outs: [{{path: c.txt, hash: md5, md5: {B}}}]}}
                """),
            "dvc.yaml": "stages: {train: {cmd: x, outs: [top]}}",
        },
    )
    assert as_dvc(project) == {
        "sub/deep/out": A,
        "sub/deep/c.txt": B,
        "sub/deep/a/b.txt": None,
        "top": None,
    }


def test_yaml_1_2(project: Project):
    """Scalars are those of YAML 1.2, in which ``on`` and ``1:30`` are text and ``1e-06`` is not."""
    lay_out(
        project,
        {
            "dvc.yaml": """\
                stages:
                  on: {cmd: x, outs: [on, 1:30, no, 1e, 0xg, 1.2.3, _1, 08x]}
                  a:
                    foreach: [1e-06, 1e5, .5, 1_0.5, 017, 0o17, 0x1F, -0b11, 1_000, yes]
                    do: {cmd: x, outs: ['f${item}']}
                """,
            "a.dvc": f"outs: [{{path: y, hash: md5, md5: '{1:032d}'}}]",
        },
    )
    assert len(as_dvc(project)) == 19


REFUSED = {
    "a.dvc": {
        "cmd": f"cmd: x\nouts: [{{path: a, md5: {A}}}]",
        "metric": f"outs: [{{path: a, md5: {A}, metric: false}}]",
        "no list": f"outs: {{path: a, md5: {A}}}",
        "float": "outs: [{path: a, md5: 1.5}]",
        "short": "outs: [{path: a, md5: ab}]",
        "size": f"outs: [{{path: a, md5: {A}, size: '3'}}]",
        "cache": f"outs: [{{path: a, md5: {A}, cache: 'no'}}]",
        "scheme": f"outs: [{{path: 'pgstat://init', md5: {A}}}]",
        "dvc file": f"outs: [{{path: b.dvc, md5: {A}}}]",
        "scalar": "text",
        "list": "[a]",
        "two remotes": f"outs: [{{path: a, md5: {A}, cloud: {{a: {{}}, b: {{}}}}}}]",
        "repo": f"deps: [{{path: a, repo: {{rev: x}}}}]\nouts: [{{path: a, md5: {A}}}]",
    },
    "dvc.yaml": {
        "live": "stages: {a: {cmd: x, live: {dvclive: {html: false}}, outs: [a]}}",
        "no cmd": "stages: {a: {outs: [a]}}",
        "list": "stages: [a]",
        "number": "stages: {1: {cmd: x, outs: [a]}}",
        "flag": "stages: {a: {cmd: x, outs: [{a: {cached: false}}]}}",
        "do": "stages: {a: {foreach: [1], do: {outs: ['${item}']}}}",
        "unknown": "stage: {}",
    },
}


@pytest.mark.parametrize(
    ("file", "text"),
    [(file, text) for file, texts in REFUSED.items() for text in texts.values()],
    ids=[f"{file}-{name}" for file, texts in REFUSED.items() for name in texts],
)
def test_refused(project: Project, file: str, text: str):
    """A file that DVC refuses counts for nothing and is named; the others are still read."""
    lay_out(project, {file: text, "good.dvc": f"outs: [{{path: good, hash: md5, md5: {B}}}]"})
    assert as_dvc(project, refused=file) == {"good": B}


@pytest.mark.parametrize(
    "text",
    [
        "a: {{cmd: x, outs: [{{path: out, md5: {0}}}]}}",
        "schema: '1.0'\nstages: {{a: {{cmd: x, outs: [{{path: out, md5: {0}}}]}}}}",
        "schema: '2.0'\nstages: {{a: {{outs: [{{path: out, md5: {0}}}]}}}}",
        "schema: '2.0'\nstages: {{a: {{cmd: x, outs: [{{path: out, md5: {0}, x: 1}}]}}}}",
        "schema: '2.0'\nstages: {{a: {{cmd: x, outs: [{{md5: {0}}}]}}}}",
        "schema: '2.0'\nstages: {{a: null}}",
        "schema: 2.0\nstages: {{}}",
        "stages: {{}}",
        "",
    ],
)
def test_refused_lock(project: Project, text: str):
    """No hash is taken from a lock that DVC refuses; it is named, and the stages stay known."""
    lay_out(project, {"dvc.yaml": "stages: {a: {cmd: x, outs: [out]}}", "dvc.lock": text.format(A)})
    theirs, faults = dvc_reads(project)
    assert theirs == []
    assert list(faults) == ["dvc.yaml"]
    ours, snapshot = we_read(project)
    assert [[row[0], row[2], row[6]] for row in ours] == [["out", None, "a"]]
    assert ["dvc.lock" in warning for warning in snapshot.warnings] == [True]


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
