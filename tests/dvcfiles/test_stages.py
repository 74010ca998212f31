"""Stages and outputs as DVC itself reads them: each project is held against DVC's own index."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest
from conftest import Project
from dvc_reading import as_dvc, dvc_reads, dvc_reads_in_place, hashed, lay_out, lock, we_read

pytestmark = pytest.mark.hosts

A, B, C = ("a" * 32, "b" * 32, "c" * 32)


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
