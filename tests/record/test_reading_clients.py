"""Libraries that people read data with, each in two runs: what they read is told alike."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Project

pytestmark = [
    pytest.mark.fresh,
    pytest.mark.clients,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fanotify is part of Linux"),
]

MAKE = """
import os
import pandas, PIL.Image

for name in ("train", "test", "other"):
    table = pandas.DataFrame({"x": range(9), "y": [len(name)] * 9})
    table.to_csv(f"data/{name}.csv", index=False)
    table.to_parquet(f"data/{name}.parquet")
    table.to_json(f"data/{name}.jsonl", orient="records", lines=True)
for number in range(20):
    PIL.Image.new("L", (4, 4)).save(f"data/images/{number}.png")
"""
# What each reads, and how much of the folder of images.
CLIENTS = {
    "sklearn": ("data/train.csv", """
        import pandas
        from sklearn.linear_model import LinearRegression
        table = pandas.read_csv("data/train.csv")
        with mlflow.start_run():
            LinearRegression().fit(table[["x"]], table.y)
    """),
    "polars": ("data/test.parquet data/train.parquet", """
        import polars
        with mlflow.start_run():
            polars.scan_parquet("data/t*.parquet").filter(polars.col("x") > 3).collect()
    """),
    "pyarrow": ("data/test.parquet data/train.parquet", """
        import pyarrow.dataset
        with mlflow.start_run():
            names = ["data/train.parquet", "data/test.parquet"]
            pyarrow.dataset.dataset(names).to_table()
    """),
    "duckdb": ("data/test.csv data/train.parquet", """
        import duckdb
        with mlflow.start_run():
            duckdb.sql("select sum(x) from 'data/train.parquet'").fetchall()
            duckdb.sql("select sum(x) from read_csv('data/test.csv')").fetchall()
    """),
    "datasets": ("data/images data/train.jsonl", """
        import datasets
        with mlflow.start_run():
            datasets.load_dataset("json", data_files="data/train.jsonl")
            images = datasets.load_dataset("imagefolder", data_dir="data/images")
            images["train"][3]["image"].load()
    """),
    "notebook": ("data/train.csv", """
        import pandas
        # %%
        table = pandas.read_csv("data/train.csv")
        # %%
        with mlflow.start_run():
            mlflow.log_metric("rows", len(table))
    """),
}  # fmt: skip
NOTEBOOK = """
import json
import nbclient, nbformat
from nbformat.v4 import new_code_cell, new_notebook

notebook = new_notebook(cells=[new_code_cell(text) for text in json.load(open("cells.json"))])
nbformat.write(notebook, "train.ipynb")
nbclient.NotebookClient(notebook, timeout=120).execute()
"""


@pytest.fixture
def tables(make_project: Callable[..., Project], tracking_uri: str) -> Project:
    project = make_project()
    (project.root / "data/images").mkdir(parents=True)
    made = project.write("make.py", MAKE)
    project.python("make.py")
    made.unlink()
    names = [f"data/{one.name}" for one in (project.root / "data").iterdir()]
    project.dvc("add", "--quiet", *names)
    project.write(".gitignore", "/mlruns/\n/mlflow.db\n/huggingface/\n")
    project.commit("data")
    return project


def run(project: Project, client: str, source: str) -> None:
    program = "import mlflow\n" + textwrap.dedent(source)
    if client == "notebook":
        project.write("cells.json", json.dumps(program.split("# %%\n")))
        program = NOTEBOOK
    project.write("train.py", program)
    folder = str(project.root / "huggingface")
    project.python("train.py", HF_HOME=folder, HF_HUB_OFFLINE="1", JUPYTER_PLATFORM_DIRS="1")


@pytest.mark.parametrize("client", CLIENTS)
def test_equal_reads(tables: Project, runs: Any, client: str):
    """Two runs that read the same data have the same inputs, version and status, whatever else
    lies about; data that a library has copied before is read all the same."""
    read, source = CLIENTS[client]
    run(tables, client, source)
    tables.write("data/new.csv", "new\n")
    tables.dvc("add", "--quiet", "data/new.csv")
    tables.write("data/other.csv", "changed\n")
    run(tables, client, source)
    first, second = runs()
    for one in (first, second):
        assert one.data.tags["dvc.reads"] == "observed"
        assert sorted(two.dataset.name for two in one.inputs.dataset_inputs) == read.split()
    for name in ("dvc.data_version", "dvc.data_status", "dvc.read.data/images"):
        assert first.data.tags.get(name) == second.data.tags.get(name), name
