"""What a person sees of it: MLflow's own pages, searched and read in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import Project, environment, make_home, missing

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

OUT = "data/prepared.csv"
COMMANDS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PAGE_SECONDS = 120


@dataclass(frozen=True)
class Recorded:
    """A run in the server, and what git and DVC said when it was made."""

    name: str
    sha: str
    md5: str
    data_version: str


@dataclass(frozen=True)
class Site:
    """A running MLflow server with two runs of one script, on two versions of the data."""

    page: str
    old: Recorded
    new: Recorded


@pytest.fixture(scope="session")
def chromium() -> str:
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        missing("Playwright is not installed (pip install playwright)")
    command = next(filter(None, map(shutil.which, COMMANDS)), None)
    return command or missing("Chromium is not installed (.ci/programs installs it on Debian)")


@pytest.fixture(scope="session")
def site(
    chromium: str, mlflow_server: str, reproduced_once: Path, shared: Callable[..., Path]
) -> Site:
    def make(folder: Path) -> None:
        import mlflow

        make_home(folder)
        shutil.copytree(reproduced_once, folder / "project", symlinks=True)
        # In an experiment of its own, as the server makes it: the artifacts go through the server.
        experiment = mlflow.MlflowClient(mlflow_server).create_experiment("browser")
        server = {"MLFLOW_TRACKING_URI": mlflow_server, "MLFLOW_EXPERIMENT_ID": experiment}
        project = Project(folder / "project", environment(folder) | server)
        old = record(project)
        project.write("data/raw.csv", "a,b\n3,4\n5,6\n")
        project.dvc("add", "--quiet", "data/raw.csv")
        project.dvc("repro", "prepare")
        project.commit("other data")
        new = record(project)
        assert old.md5 != new.md5
        assert old.data_version != new.data_version
        page = f"{mlflow_server}/#/experiments/{experiment}/runs"
        (folder / "site.json").write_text(json.dumps([page, asdict(old), asdict(new)]))

    page, *runs = json.loads((shared("site", make) / "site.json").read_text())
    return Site(page, *(Recorded(**run) for run in runs))


def record(project: Project) -> Recorded:
    """Run the plain script; its run, with hash and commit as DVC and git have them."""
    import mlflow

    project.python("run.py")
    experiment = project.env["MLFLOW_EXPERIMENT_ID"]
    client = mlflow.MlflowClient(project.env["MLFLOW_TRACKING_URI"])
    [run, *_] = client.search_runs([experiment], order_by=["start_time DESC"])
    return Recorded(
        name=run.info.run_name,
        sha=project.git("rev-parse", "HEAD"),
        md5=project.lock()[OUT],
        data_version=run.data.tags["dvc.data_version"],
    )


@pytest.fixture
def page(chromium: str, site: Site, tmp_path: Path) -> Iterator[Page]:
    """The runs of the experiment, in a browser that nobody used before."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PAGE_SECONDS * 1000)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path / "chromium",
            executable_path=chromium,
            args=FLAGS,
            viewport={"width": 1600, "height": 1000},
        )
        page = context.new_page()
        page.goto(site.page)
        expect(names(page)).to_have_text([site.new.name, site.old.name])
        yield page
        context.close()


def names(page: Page) -> Locator:
    """The run names in the table, from top to bottom."""
    return page.get_by_role("row").locator("a[href*='/runs/']")


def this_path(run: Recorded) -> str:
    return f"tags.`dvc.out.{OUT}` = '{run.md5}'"


def any_path(run: Recorded) -> str:
    return f"tags.dvc.hashes LIKE '% {run.md5[:7]}%'"


@pytest.mark.parametrize("typed", [this_path, any_path])
def test_search_box(page: Page, site: Site, typed: Callable[[Recorded], str]):
    """A data hash typed into MLflow's search box leaves the run that saw that data, alone."""
    from playwright.sync_api import expect

    box = page.get_by_placeholder("metrics.rmse")
    for run in (site.old, site.new):
        box.fill("")
        box.press_sequentially(typed(run))
        box.press("Enter")
        expect(names(page)).to_have_text([run.name])
        expect(page.get_by_text("1 matching run", exact=True)).to_be_visible()
        expect(box).to_have_value(typed(run))


def test_search_by_digest(page: Page, site: Site):
    """The digest of a dataset, which is DVC's hash, finds the run that read that data."""
    from playwright.sync_api import expect

    box = page.get_by_placeholder("metrics.rmse")
    box.press_sequentially(f"dataset.digest = '{site.old.md5}'")
    box.press("Enter")
    expect(names(page)).to_have_text([site.old.name])


def test_datasets_filter(page: Page, site: Site):
    """The Datasets button, and a click on data in it, leaves the run that read that data."""
    from playwright.sync_api import expect

    page.get_by_text("Datasets", exact=True).last.click()  # the first is in the side bar
    page.get_by_role("option").filter(has_text=site.new.md5[:8]).click()
    expect(names(page)).to_have_text([site.new.name])


def test_group_by_data_version(page: Page, site: Site):
    """Grouped by ``dvc.data_version``, each run stands below the data version it saw."""
    from playwright.sync_api import expect

    page.get_by_role("button", name="Group by").click()
    page.get_by_role("menuitemcheckbox", name="dvc.data_version").click()
    shown = [
        text for run in (site.new, site.old) for text in (f"Group: {run.data_version}", run.name)
    ]
    rows = page.get_by_role("row").filter(has_text=re.compile("|".join(shown)))
    expect(rows).to_contain_text(shown)


def test_saved_view(page: Page, site: Site):
    """The view that docs/find.md saves has the data version of each run as a column."""
    import mlflow
    from playwright.sync_api import expect

    text = (Path(__file__).parents[2] / "docs/find.md").read_text("utf-8")
    [program] = [
        one for one in re.findall(r"```python\n(.*?)```", text, re.S) if "sharedViewState" in one
    ]
    server, _, rest = site.page.partition("/#/")
    name = mlflow.MlflowClient(server).get_experiment(rest.split("/")[1]).name
    mlflow.set_tracking_uri(server)
    said = StringIO()
    with redirect_stdout(said):
        exec(program.replace("model-training", name), {})
    page.goto("about:blank")  # as from a link elsewhere: MLflow's page begins anew
    page.goto(server + said.getvalue().strip())
    for run in (site.old, site.new):
        cell = page.get_by_role("gridcell").get_by_text(run.data_version, exact=True)
        expect(cell).to_be_visible()


def test_compare(page: Page, site: Site):
    """Of two runs that are compared, "Show diff only" leaves what changed and nothing else."""
    from playwright.sync_api import expect

    page.get_by_label("Select all runs").check()
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("switch", name="Tags - Show diff only").click()
    # The tags are the last table; what is the same in both runs is there no longer.
    rows = page.get_by_role("table").last.get_by_role("row")
    expect(rows.get_by_role("rowheader")).to_have_text(
        [
            "dvc.data_version",
            "dvc.hashes",
            "dvc.lock",
            "dvc.out.data/parts",
            "dvc.out.data/prepared.csv",
            "dvc.out.data/raw.csv",
            "git_sha",
        ]
    )
    for tag, old, new in (
        (f"dvc.out.{OUT}", site.old.md5, site.new.md5),
        ("dvc.data_version", site.old.data_version, site.new.data_version),
        ("git_sha", site.old.sha, site.new.sha),
    ):
        expect(rows.filter(has_text=tag).get_by_role("cell")).to_have_text([new, old])


def artifacts_of(page: Page, run: Recorded) -> None:
    names(page).get_by_text(run.name, exact=True).click()
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("dvc", exact=True).click()


def test_links_of_the_record(page: Page, site: Site):
    """A hash in ``record.md`` is a link that lands on the runs that saw the same data."""
    from playwright.sync_api import expect

    artifacts_of(page, site.old)
    page.get_by_text("record.md", exact=True).click()
    link = page.get_by_role("link", name=site.old.md5).first
    expect(link).to_be_visible()
    link.click()
    expect(names(page)).to_have_text([site.old.name])


def test_report(page: Page, site: Site):
    """``report.html`` is drawn inside MLflow's page: the pipeline, its hashes, the lock."""
    from playwright.sync_api import expect

    artifacts_of(page, site.new)
    page.get_by_text("report.html", exact=True).click()
    report = page.frame_locator("iframe").first
    expect(report.get_by_role("heading", name="Pipeline")).to_be_visible()
    expect(report.locator("svg .stage")).to_have_count(3)
    expect(report.locator("svg").get_by_text(site.new.md5[:8], exact=True)).to_be_visible()
    expect(report.get_by_text("schema: '2.0'")).to_be_visible()


def test_run_page(page: Page, site: Site):
    """A run's page shows commit and data version among its tags, and the record below ``dvc/``."""
    from playwright.sync_api import expect

    names(page).get_by_text(site.old.name, exact=True).click()
    expect(page.get_by_text(f"dvc.data_version: {site.old.data_version}")).to_be_visible()
    page.get_by_text("git_sha", exact=True).click()  # shows the value that the list cuts
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(site.old.sha)
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("dvc", exact=True).click()
    expect(page.get_by_text("dvc.lock", exact=True)).to_be_visible()
    page.get_by_text("snapshot.json", exact=True).click()
    expect(page.get_by_text(site.old.md5)).to_be_visible()


@pytest.mark.parametrize("link", ["Record", "Report", "Runs on the same data", "Runs of the same"])
def test_links_of_the_description(page: Page, site: Site, link: str):
    """From the description of a run its links lead to the record, to the report and to the runs
    on the same data or of the same code."""
    from playwright.sync_api import expect

    names(page).get_by_text(site.old.name, exact=True).click()
    with page.expect_popup() as opened:
        page.get_by_role("link", name=link).click()
    there = opened.value
    if link.startswith("Runs"):
        expect(names(there)).to_have_text([site.old.name])
    elif link == "Record":
        expect(there.get_by_role("heading", name="Code and data of this run")).to_be_visible()
        expect(there.get_by_role("link", name=site.old.md5).first).to_be_visible()
    else:
        report = there.frame_locator("iframe").first
        expect(report.get_by_role("heading", name="Pipeline")).to_be_visible()
