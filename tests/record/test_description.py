"""The description that a run gets where nobody wrote one."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Project

READS = """
    import mlflow
    with mlflow.start_run():
        open("data/prepared.csv").read()
"""


@pytest.fixture
def described(pipeline: Project, runs: Any) -> Callable[..., list[str | None]]:
    """The description of each run that a program has started, in the order of their start."""

    def run(program: str, **env: str) -> list[str | None]:
        pipeline.write("notes.py", textwrap.dedent(program))
        pipeline.git("add", "notes.py")
        pipeline.git("commit", "--quiet", "--allow-empty", "-m", "notes")
        known = {one.info.run_id for one in runs()}
        pipeline.python("notes.py", **env)
        mine = [one for one in runs() if one.info.run_id not in known]
        return [one.data.tags.get("mlflow.note.content") for one in mine]

    return run


@pytest.mark.hosts
def test_what_it_says(pipeline: Project, described: Any, runs: Any):
    """The description names what the run read, its code, and links to record and equal runs."""
    [text] = described(READS)
    run = runs()[-1]
    sentence, links = text.split("\n\n")
    commit = pipeline.git("rev-parse", "HEAD")
    assert sentence.endswith(f"Code: {commit[:8]}, nothing uncommitted.")
    if run.data.tags["dvc.reads"] == "observed":
        assert sentence.startswith("Read data/prepared.csv. ")
    page = f"#/experiments/{run.info.experiment_id}/runs"
    assert f"[Record]({page}/{run.info.run_id}/artifacts/dvc/record.md)" in links
    version = run.data.tags["dvc.data_version"]
    same = f"tags.%60dvc.data_version%60%20%3D%20%27{version}%27"
    assert f"[Runs on the same data]({page}?searchFilter={same})" in links


@pytest.mark.parametrize(
    "program",
    [
        'mlflow.start_run(description="mine")\nmlflow.end_run()',
        'with mlflow.start_run():\n    mlflow.set_tag("mlflow.note.content", "mine")',
        (
            "run = mlflow.start_run().info.run_id\nmlflow.end_run()\n"
            'mlflow.MlflowClient().set_tag(run, "mlflow.note.content", "mine")'
        ),
        (
            "run = mlflow.start_run().info.run_id\nmlflow.end_run()\n"
            'with mlflow.start_run(run, description="mine"):\n    pass'
        ),
    ],
    ids=["given at the start", "while it runs", "afterwards", "when it goes on"],
)
def test_own_description(described: Any, program: str):
    """A description that the user writes, whenever it is, stays as it is."""
    assert described(f"import mlflow\n{program}\n") == ["mine"]


@pytest.mark.parametrize("there", ["mine", ""], ids=["written", "emptied"])
def test_somebody_elses_description(described: Any, there: str):
    """What another program writes into the description while the run goes on, stays."""
    program = f"""
        import mlflow, subprocess, sys
        with mlflow.start_run() as run:
            other = "import mlflow, sys; mlflow.MlflowClient().set_tag(*sys.argv[1:])"
            words = [run.info.run_id, "mlflow.note.content", {there!r}]
            subprocess.run([sys.executable, "-c", other, *words], check=True)
    """
    assert described(program) == [there]


def test_switched_off(described: Any):
    """With ``MLFLOW_DVC_DESCRIPTION=0`` no run gets a description."""
    assert described(READS, MLFLOW_DVC_DESCRIPTION="0") == [None]


def test_child_runs(described: Any):
    """A child run whose record is that of its parent gets no description of its own."""
    parent, child = described("""
        import mlflow
        with mlflow.start_run():
            with mlflow.start_run(nested=True):
                pass
    """)
    assert parent is not None
    assert child is None


def test_logged_model(described: Any, runs: Any, tracking_uri: str):
    """A logged model does not get the description of its run."""
    import mlflow

    if not hasattr(mlflow, "create_external_model"):
        pytest.skip("this MLflow has no logged models")
    [text] = described("""
        import mlflow
        with mlflow.start_run():
            mlflow.create_external_model(name="m")
    """)
    [model] = mlflow.MlflowClient(tracking_uri).search_logged_models(
        [runs()[-1].info.experiment_id]
    )
    assert text is not None
    assert "dvc.lock" in model.tags
    assert "mlflow.note.content" not in model.tags


def test_other_data_and_code(pipeline: Project, described: Any):
    """Data that was not as its lock says is named so, and so is code that nobody committed."""
    os.unlink(pipeline.root / "data/prepared.csv")
    pipeline.write("data/prepared.csv", "other\n")
    pipeline.write("train.py", "# changed\n")
    pipeline.git("add", "--intent-to-add", "train.py")
    [text] = described(READS)
    assert "data/prepared.csv (modified)" in text
    assert ", with uncommitted changes." in text
    assert "[Runs of the same commit]" in text


def test_undeclared(pipeline: Project, runs: Any):
    """What a stage read without declaring it is named as read, too."""
    train = (pipeline.root / "src/train.py").read_text()
    pipeline.write("src/train.py", f"import mlflow\nopen('data/raw.csv').read()\n{train}")
    pipeline.commit("another read")
    pipeline.dvc("repro", "train")
    run = runs()[-1]
    if run.data.tags["dvc.reads"] == "observed":
        assert "data/raw.csv" in run.data.tags["mlflow.note.content"].partition("Code:")[0]


@pytest.mark.parametrize("name", ["a|b`c`[x](y)*_~#.csv", "<b>x</b>.csv"])
def test_hostile_names(name: str):
    """Nothing in a path means anything to Markdown."""
    from mlflow_dvc.report.description import describe_run
    from mlflow_dvc.snapshot import DataEntry, DataRead, Reads, Snapshot

    path = name.replace("/", "_")
    entry = DataEntry(path, "md5", "0" * 32, role="input")
    reads = Reads("observed", data=(DataRead(path, "process"),))
    text = describe_run(Snapshot(root=".", data=(entry,), reads=reads), "0", "1")
    escaped = text.removeprefix("Read ").partition(". ")[0].partition(".\n")[0]
    unescaped = [
        sign for before, sign in zip(" " + escaped, escaped, strict=False)
        if sign in "|`[]*_~#<>" and before != "\\"
    ]  # fmt: skip
    assert unescaped == []
