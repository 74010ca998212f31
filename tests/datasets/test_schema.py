"""The schema of an input: what is certain of its table, and else ``{}``."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import FIVE_LINES, Project

from mlflow_dvc.dvc_backend.tables import read_columns

LARGE = 1024 * 1024 + 1


def schemas(run: Any) -> dict[str, str]:
    found = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    return {one.dataset.name: one.dataset.schema for one in found}


def types(path: Path) -> dict[str, str] | None:
    columns = read_columns(str(path))
    return {one["name"]: one["type"] for one in columns} if columns else None


def table(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- what a run logs ----------------------------------------------------------------------------


def test_inputs_have_a_schema(make_project, runs):
    """Each input has a schema, of a table its columns, of all else ``{}``."""
    import pandas

    project = make_project()
    files = {
        "a.csv": "id,name\n1,x\n2,\n",
        "b.jsonl": '{"x": 1.5, "y": true}\n{"x": 2}\n',
        "c.bin": b"\0\1",
        "d/1.csv": "a,b\n1,2\n",
    }
    for path, content in files.items():
        project.write(path, content)
    frame = pandas.DataFrame({"n": [1, 2], "s": ["a", "b"]})
    frame.to_parquet(project.root / "e.parquet")
    frame.to_feather(project.root / "f.feather")
    project.dvc("add", "--quiet", *files.keys() - {"d/1.csv"}, "d", "e.parquet", "f.feather")
    project.python(str(project.write("run.py", FIVE_LINES)))
    found = schemas(runs()[0])
    assert json.loads(found["a.csv"]) == {
        "mlflow_colspec": [
            {"type": "long", "name": "id", "required": True},
            {"type": "string", "name": "name", "required": False},
        ]
    }
    assert json.loads(found["b.jsonl"]) == {
        "mlflow_colspec": [
            {"type": "double", "name": "x", "required": True},
            {"type": "boolean", "name": "y", "required": False},
        ]
    }
    for path in ("e.parquet", "f.feather"):
        [number, text] = json.loads(found[path])["mlflow_colspec"]
        assert (number["name"], number["type"]) == ("n", "long")
        assert (text["name"], text["type"]) == ("s", "string")
    assert found["c.bin"] == found["d"] == "{}"


def test_schema_is_of_the_recorded_bytes(make_project, runs):
    """What the training writes in place of its input is not described: the schema is a fact of what
    was hashed."""
    project = make_project()
    project.write("a.csv", "id,name\n1,x\n")
    project.dvc("add", "--quiet", "a.csv")
    script = (
        "import mlflow\nwith mlflow.start_run():\n    open('a.csv', 'w').write('other\\n1\\n')\n"
    )
    project.python(str(project.write("run.py", script)))
    project.write("a.csv", "id,name\n1,x\n")
    project.python(str(project.write("again.py", FIVE_LINES)))
    digest = hashlib.md5(b"id,name\n1,x\n").hexdigest()
    for run in runs():
        [entry] = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
        names = [one["name"] for one in json.loads(entry.dataset.schema).get("mlflow_colspec", ())]
        assert entry.dataset.digest == digest
        assert names in ([], ["id", "name"])


def test_schemas_are_read_by_nobody_else(make_project, runs):
    """To look into a table is no read of the run."""
    project = make_project()
    project.write("a.csv", "id,name\n1,x\n")
    project.dvc("add", "--quiet", "a.csv")
    code = FIVE_LINES + "with mlflow.start_run():\n    mlflow.log_metric('x', 2)\n"
    project.python(str(project.write("run.py", code)))
    from mlflow_dvc import show

    for run in runs():
        seen = show(run.info.run_id).snapshot.reads
        assert seen is not None
        assert seen.data == ()


def test_from_dvc(pipeline: Project, monkeypatch):
    """A dataset that is made by hand carries the same schema, at another revision too."""
    monkeypatch.chdir(pipeline.root)
    now = mlflow.data.from_dvc("data/raw.csv")
    assert [(one.name, one.type.name) for one in now.schema] == [("a", "long"), ("b", "long")]
    old = mlflow.data.from_dvc("data/raw.csv", rev="HEAD")
    assert old.to_dict()["schema"] == now.to_dict()["schema"]
    assert mlflow.data.from_dvc("data/parts").to_dict()["schema"] == "{}"


# --- what is certain ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b,c,d\n1,1.5,true,x\n2,1e3,false,y\n", ["long", "double", "boolean", "string"]),
        ("a,b,c\n1,1,NA\n2.5,x,NA\n", ["double", "string", "any"]),
        ("a,b\n007,1\n008,2\n", ["any", "long"]),
        ("a,b\n 1, x\n", ["long", "string"]),
        ("a,b\ntrue,1\n2,3\n", ["any", "long"]),
        ('a,b\n"1,5","x\ny"\n2,z\n', None),
        ('a,b\n"x,5","x\ny"\n2,1\n', None),
        ('a,b\n"x, y",1\nz,2\n', ["string", "long"]),
        ('n,"a\tb"\n1,2\n', None),
        ("1,2\n3,4\n", None),
        ("a@example.com,b\nc@example.com,d\n", None),
        ("a;b\n1;2\n", None),
        ("a,a\n1,2\n", None),
        ("a,\n1,2\n", None),
        ("a,b\n1,2,3\n", None),
        ("a,b\n", None),
        ("", None),
        ("# said,\na,b\n1,2\n", None),
        (b"\xff\xfea\0,\0b\0", None),
        ("größe,b\n1,2\n".encode("latin-1"), None),
        (b"\xef\xbb\xbfa,b\r\n1,2\r\n", ["long", "long"]),
    ],
)
def test_csv(tmp_path: Path, content: str | bytes, expected: list[str] | None):
    """A header is only believed above numbers or truth values, a type where every row has it."""
    found = types(table(tmp_path / "a.csv", content))
    assert (list(found.values()) if found else None) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"a": 1, "b": "x"}\n\n{"a": 2.5, "b": null}\n', {"a": "double", "b": "string"}),
        ('{"a": 1}\n{"a": "x", "c": [1]}\n', {"a": "any", "c": "any"}),
        ('{"a": 9223372036854775808}\n', {"a": "any"}),
        ("[1]\n", None),
        ('{"a": 1\n', None),
        ("{}\n", None),
        ('{"a\\u202e": 1}\n', None),
    ],
)
def test_json_lines(tmp_path: Path, content: str, expected: dict[str, str] | None):
    """Columns are those of all rows; what has values of several kinds is ``any``."""
    assert types(table(tmp_path / "a.jsonl", content)) == expected


def test_large_text(tmp_path: Path):
    """Of a larger file only the names are certain: further down other values may come."""
    rows = "1,2.5,x\n" * (LARGE // 8)
    path = table(tmp_path / "a.csv", "a,b,c\n" + rows + "x,y,z\n")
    assert types(path) == {"a": "any", "b": "any", "c": "any"}
    assert not any(column["required"] for column in read_columns(str(path)) or ())
    lines = '{"a": 1}\n' * (LARGE // 9 + 1)
    assert types(table(tmp_path / "a.jsonl", lines + '{"a": "x"}\n')) == {"a": "any"}


def test_odd_files(tmp_path: Path):
    """A table of too many columns, a damaged Parquet file, and a pipe have none."""
    names = ",".join(f"c{number}" for number in range(1001))
    numbers = ",".join("1" for _ in range(1001))
    assert types(table(tmp_path / "wide.csv", f"{names}\n{numbers}\n")) is None
    assert types(table(tmp_path / "a.parquet", b"PAR1" + b"\xff" * 20 + b"PAR1")) is None
    assert types(table(tmp_path / "a.feather", b"no table")) is None
    os.mkfifo(tmp_path / "pipe.csv")
    assert types(tmp_path / "pipe.csv") is None


@pytest.mark.filterwarnings("ignore:Hint")  # MLflow's advice about whole numbers is for models
def test_as_mlflow_infers(tmp_path: Path):
    """Where nothing is missing, the columns are those that MLflow infers of the data frame."""
    import pandas
    from mlflow.types.utils import _infer_schema

    frame = pandas.DataFrame({
        "long": [1, 2], "double": [0.5, 2.0], "string": ["a", "b"], "boolean": [True, False],
    })  # fmt: skip
    frame["float"] = frame["double"].astype("float32")
    frame["integer"] = frame["long"].astype("int32")
    frame["datetime"] = pandas.Timestamp("2026-01-01")
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    expected = {one.name: one.type.name for one in _infer_schema(frame)}
    assert types(tmp_path / "a.parquet") == expected
    text = frame[["long", "double", "string", "boolean"]]
    text.to_csv(tmp_path / "a.csv", index=False)
    text.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    for name in ("a.csv", "a.jsonl"):
        assert types(tmp_path / name) == {name: expected[name] for name in text}
