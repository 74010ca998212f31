"""Templates in dvc.yaml, filled in as DVC itself fills them in."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from conftest import Project
from dvc_reading import as_dvc, dvc_reads, lay_out, lock

from mlflow_dvc.dvcfiles.reader import ProjectReader

pytestmark = pytest.mark.hosts

A, B, C = ("a" * 32, "b" * 32, "c" * 32)


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
