"""The pages for people: what they say, that they need nothing else, and that names stay names."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import pairwise
from urllib.parse import unquote

import mlflow
import pytest
from conftest import Project
from pages import HOSTILE, Page

from mlflow_dvc.report.labels import code_facts
from mlflow_dvc.report.pipeline import drawing_of
from mlflow_dvc.report.record_html import report_html
from mlflow_dvc.report.record_markdown import record_md
from mlflow_dvc.snapshot import DataEntry, GitState, Snapshot, StageNode

HASH = "5afc23b9622f8f9ffa60824f4e97d0d5"


def snapshot(stages: int = 3, seed: int = 1) -> Snapshot:
    chance = random.Random(seed)
    made = ["data/raw.csv"]
    data = [DataEntry("data/raw.csv", "md5", HASH, 100, stage="data/raw.csv.dvc", state="modified")]
    nodes = []
    for number in range(stages):
        deps = chance.sample(made[-8:], min(len(made), 1 + number % 2))
        nodes.append(StageNode(f"s{number}", tuple(deps)))
        for part in range(1 + number % 3):
            path = f"out/{number}/part{part}.parquet"
            value = f"{chance.getrandbits(128):032x}"
            state = "missing" if number == 1 else "clean"
            data.append(DataEntry(path, "md5", value, 10**number, stage=f"s{number}", state=state))
            made.append(path)
    return Snapshot(
        git=GitState("a" * 40, "main", dirty=True),
        root=".",
        stage=f"s{stages - 1}",
        stages=tuple(nodes),
        data=tuple(data),
        deps=(
            DataEntry("src/train.py", "md5", HASH, 5, cached=False, role="code", certainty="disk"),
        ),
        data_status="modified",
        seal="provisional",
    )


def test_left_to_right():
    """Whatever a stage reads is drawn to its left, and no box lies on another."""
    drawing = drawing_of(snapshot(50))
    at = {box.key: (x, y, box) for box, x, y in drawing.boxes}
    assert len(drawing.edges) >= 50
    for start, end in drawing.edges:
        assert at[start][0] < at[end][0], (start, end)
    placed = sorted((x, y, box.height) for x, y, box in at.values())
    for (x, y, height), (other_x, other_y, _) in pairwise(placed):
        assert x != other_x or y + height <= other_y


@pytest.mark.parametrize("stages", [0, 1, 50, 400])
def test_size(stages: int):
    """The page of a pipeline of fifty stages, with a long patch and lock, is under 300 KB."""
    texts = {"code.patch": "+added\n-removed\n" * 20_000, "dvc.lock": "stages:\n" * 50_000}
    page = report_html(snapshot(stages) if stages else Snapshot(root="."), texts)
    assert stages > 50 or len(page.encode()) < 300_000
    assert "more characters" in page


def test_needs_nothing_else():
    """There is no script, and nothing that a browser would ask for, in the page."""
    page = Page(report_html(snapshot(), {"code.patch": "+x\n"}))
    assert not {"script", "link", "img", "iframe", "object", "a"} & set(page.tags)
    asked = {"src", "href", "xlink:href", "action", "srcset", "onload"}
    assert not asked & {name for name, _ in page.attributes}
    assert "url(#tip)" in report_html(snapshot())
    assert not re.search(r"url\((?!#)|@import", report_html(snapshot()))


def test_not_by_colour_alone():
    """What is modified or missing, and which stage runs, is said in words or by a mark too."""
    page = report_html(snapshot())
    assert "modified" in Page(page).text
    assert "missing" in Page(page).text
    assert "(this run)" in page
    assert 'role="img"' in page
    assert 'tabindex="0"' in page
    assert "prefers-color-scheme:dark" in page


@pytest.mark.parametrize("name", HOSTILE)
def test_names_stay_names(name: str):
    """A hostile name of a file, a stage, a branch or a patch is text, wherever it is shown."""
    one = snapshot()
    entry = DataEntry(name, "md5", HASH, stage=name, source=name, state="modified")
    one = replace(
        one,
        git=GitState("a" * 40, name, describe=name, remote_url=name),
        stage=name,
        stages=(StageNode(name, (name,)),),
        data=(entry, *one.data),
        warnings=(name,),
    )
    page = Page(report_html(one, {"code.patch": f"+{name}", "dvc.lock": name}))
    plain = Page(report_html(snapshot(), {"code.patch": "+x", "dvc.lock": "x"}))
    assert set(page.tags) == set(plain.tags) | {"ul", "li"}
    assert {key for key, _ in page.attributes} <= {key for key, _ in plain.attributes}
    assert "\x1b" not in page.text
    text = record_md(one, "1")
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)<|(?<!\\)\]\(javascript", text)
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) in (3, 7) for line in table)


def test_links_of_the_record():
    """Each hash links to the runs that saw the same, as MLflow's page spells it."""
    text = record_md(snapshot(), "42")
    links = re.findall(r"\]\((#[^)]+)\)", text)
    assert all("'" not in link and " " not in link for link in links)
    filters = [unquote(link.partition("searchFilter=")[2]) for link in links]
    assert f"tags.`dvc.out.data/raw.csv` = '{HASH}'" in filters
    assert f"tags.`dvc.dep.src/train.py` = '{HASH}'" in filters
    assert all(link.startswith("#/experiments/42/runs?") for link in links)


def test_of_a_run(pipeline: Project, runs, attached):
    """A run carries both pages, as of its end: with what its stage has made, and the patch."""
    pipeline.write("src/train.py", (pipeline.root / "src/train.py").read_text() + "# edited\n")
    pipeline.dvc("repro", "train")
    [run] = runs()
    files = attached(run.info.run_id)
    model = pipeline.lock()["models/model.txt"]
    page = Page(files["report.html"].decode()).text
    for word in (model, "prepare", "# edited", run.data.tags["git_sha"], "schema: '2.0'"):
        assert word in page
    text = files["record.md"].decode()
    assert model in text
    filters = [unquote(one) for one in re.findall(r"searchFilter=([^)]+)\)", text)]
    for one in filters:
        found = mlflow.search_runs(
            filter_string=one, search_all_experiments=True, output_format="list"
        )
        assert [match.info.run_id for match in found] == [run.info.run_id], one


def test_without_artifacts(pipeline: Project, runs, attached):
    """MLFLOW_DVC_ARTIFACTS=0 attaches no page either."""
    pipeline.python("run.py", MLFLOW_DVC_ARTIFACTS="0")
    assert attached(runs()[0].info.run_id) == {}


@pytest.mark.parametrize(
    ("dirty", "told"), [(True, "yes, in code.patch"), (False, "none"), (None, "not known")]
)
def test_uncommitted_code(dirty: bool | None, told: str):
    """That nobody looked for uncommitted code is not told as if there were none."""
    assert dict(code_facts(GitState("a" * 40, dirty=dirty)))["uncommitted code"] == told
