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

RAW = "data/raw.csv"
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
    one = named(name)
    page = Page(report_html(one, {"code.patch": f"+{name}", "dvc.lock": name}))
    plain = Page(report_html(snapshot(), {"code.patch": "+x", "dvc.lock": "x"}))
    assert set(page.tags) == set(plain.tags) | {"ul", "li"}
    assert {key for key, _ in page.attributes} <= {key for key, _ in plain.attributes}
    assert "\x1b" not in page.text
    text = record_md(one, "1")
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)<|(?<!\\)\]\(javascript", text)
    assert len(text.splitlines()) == len(record_md(named("x"), "1").splitlines())


def named(name: str) -> Snapshot:
    """One in which everything that a project names is named so."""
    one = snapshot()
    entry = DataEntry(name, "md5", HASH, stage=name, source=name, state="modified")
    return replace(
        one,
        git=GitState("a" * 40, name, describe=name, remote_url=name),
        stage=name,
        stages=(StageNode(name, (name,)),),
        data=(entry, *one.data),
        warnings=(name,),
    )


def links_of(text: str) -> dict[str, list[str]]:
    """By hash: the filter of each link that stands with it."""
    rows = [row for row in text.splitlines() if "searchFilter" in row]
    return {
        re.findall(r"`([^`]+)`\]", row)[0]: [
            unquote(link.partition("searchFilter=")[2])
            for link in re.findall(r"\]\((#[^)]+)\)", row)
        ]
        for row in rows
    }


def found_by(filter_string: str) -> set[str]:
    found = mlflow.search_runs(
        filter_string=filter_string, search_all_experiments=True, output_format="list"
    )
    return {run.info.run_id for run in found}


def maker_of(text: str, path: str) -> str:
    """Whom the first line of ``path`` names, as people read it."""
    shown = text.replace("\\", "")
    line = next(line for line in shown.splitlines() if line.startswith(f"- **{path}** ·"))
    return line.partition(" · from ")[2].strip()


def test_links_of_the_record():
    """Each hash links to the runs that saw the same, as MLflow's page spells it; code by its
    path."""
    text = record_md(snapshot(), "42")
    links = re.findall(r"\]\((#[^)]+)\)", text)
    assert all("'" not in link and " " not in link for link in links)
    filters = [unquote(link.partition("searchFilter=")[2]) for link in links]
    assert f"tags.`dvc.hashes` LIKE '% {HASH}%'" in filters
    assert f"tags.`dvc.dep.src/train.py` = '{HASH}'" in filters
    assert all(link.startswith("#/experiments/42/runs?") for link in links)
    assert "](" not in record_md(snapshot())


def test_links_find_whoever_saw_it(pipeline: Project, runs, attached):
    """The link of a hash finds the run that made the data, the one that read it and the one where
    it only lay there."""
    logs = "import mlflow\n\nmlflow.start_run()\nmlflow.end_run()\n"
    pipeline.write("src/report.py", logs + (pipeline.root / "src/report.py").read_text())
    pipeline.dvc("repro", "--force", "train", "report")
    pipeline.python("run.py")
    everybody = {run.info.run_id for run in runs()}
    assert len(everybody) == 3
    model = pipeline.lock()["models/model.txt"]
    for run_id in everybody:
        [filter_string] = links_of(attached(run_id)["record.md"].decode())[model]
        assert found_by(filter_string) == everybody


def test_links_of_many_hashes(pipeline: Project, attached, monkeypatch):
    """Where one tag does not hold all hashes, the links of a hash together find every run that saw
    it, the first one this run."""
    monkeypatch.chdir(pipeline.root)
    for number in range(200):
        value = f"b{number:03x}{0:028}"
        text = f"outs:\n- md5: {value}\n  hash: md5\n  path: f{number:03}\n"
        pipeline.write(f"zz/f{number:03}.dvc", text)
    with mlflow.start_run() as many:
        pass
    for number in range(199):
        (pipeline.root / f"zz/f{number:03}.dvc").unlink()
    with mlflow.start_run() as one:
        pass
    last = f"b{199:03x}{0:028}"
    first, *others = links_of(attached(many.info.run_id)["record.md"].decode())[last]
    assert found_by(first) == {many.info.run_id}
    assert {run_id for other in others for run_id in found_by(other)} == {one.info.run_id}


def test_from_tells_the_maker(pipeline: Project, runs, attached):
    """ "from" names who made what a stage read: the stage or ``.dvc`` file of the output
    at that path, around it or in it; nobody for code."""
    text = (pipeline.root / "dvc.yaml").read_text()
    deps = "deps: [data/prepared.csv, data/parts/0.csv, data/raw.csv,"
    pipeline.write("dvc.yaml", text.replace("deps: [data/prepared.csv,", deps))
    pipeline.dvc("repro", "train")
    files = attached(runs()[-1].info.run_id)
    text = files["record.md"].decode()
    made = {"data/prepared.csv": "prepare", "data/parts/0.csv": "prepare", "src/train.py": ""}
    made[RAW] = f"{RAW}.dvc"
    assert {path: maker_of(text, path) for path in made} == made
    shown = text.partition("## Data")[2]
    assert maker_of(shown, "models/model.txt") == "train"
    pipeline.write(
        "dvc.yaml", (pipeline.root / "dvc.yaml").read_text().replace(deps, "deps: [data,")
    )
    pipeline.dvc("repro", "train")
    text = attached(runs()[-1].info.run_id)["record.md"].decode()
    assert sorted(maker_of(text, "data").split(", ")) == [f"{RAW}.dvc", "prepare"]


def test_from_tells_the_source_of_an_import():
    """Of what was imported it names the source, as what a stage read too."""
    one = snapshot()
    imported = replace(one.data[0], source="https://host/repo@v1")
    dep = DataEntry(imported.path, "md5", HASH, stage="s2", role="input", certainty="disk")
    text = record_md(replace(one, data=(imported, *one.data[1:]), deps=(dep,)), "1")
    assert text.count("· from https://host/repo@v1") == 2


def test_without_a_stage(pipeline: Project, runs, attached):
    """Of a run without a stage both pages say that its data is what DVC tracked, not what it
    read."""
    pipeline.python("run.py")
    files = attached(runs()[0].info.run_id)
    for page in (files["record.md"].decode(), Page(files["report.html"].decode()).text):
        assert "Data that DVC tracked" in page
        assert "not what the run read" in page
        assert "what the stage made" not in page


def test_after_sync(pipeline: Project, runs, attached):
    """Both pages say what the record says after ``sync`` has confirmed, completed or mended it."""
    text = (pipeline.root / "dvc.yaml").read_text()
    second = "python src/train.py && echo more >> models/model.txt"
    pipeline.write("dvc.yaml", text.replace("python src/train.py", second))
    said = {}
    for rate, seal in ((0.5, "1"), (0.6, "0")):
        pipeline.write("params.yaml", f"lr: {rate}\n")
        pipeline.dvc("repro", "train", MLFLOW_DVC_SEAL=seal)
        run_id = runs()[-1].info.run_id
        before = attached(run_id)["record.md"].decode()
        pipeline.cli("sync")
        files = attached(run_id)
        right = pipeline.lock()["models/model.txt"]
        page = Page(files["report.html"].decode()).text
        assert right not in before
        assert right in files["record.md"].decode()
        assert right in page
        assert "schema: '2.0'" in page
        said[seal] = files["record.md"].decode()
        assert page.count(right) > 1, "in the lock that is shown, too"
    assert "corrected" in said["1"]
    assert "as DVC wrote it" in said["0"]


def test_sync_attaches_no_page(pipeline: Project, runs, attached):
    """A run that carries no record gets no page by ``sync`` either."""
    pipeline.write("params.yaml", "lr: 0.5\n")
    pipeline.dvc("repro", "train", MLFLOW_DVC_ARTIFACTS="0")
    pipeline.cli("sync")
    assert "record.md" not in attached(runs()[0].info.run_id)


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
