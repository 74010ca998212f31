"""Make the pictures in this folder: of the demo in a terminal, of its runs in MLflow's own pages,
and of a record; each for light and for dark pages.

python docs/pictures.py      # needs Chromium and Playwright, as the tests marked `browser` do
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import terminal

from mlflow_dvc.cli.demo_story import run_demo
from mlflow_dvc.cli.terminal import DemoOutput

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

HERE = Path(__file__).parent
PORT = 5987
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
DARK_MODE = "_mlflow_dark_mode_toggle_enabled"  # MLflow's own, in the browser
SCHEMES: dict[Literal["light", "dark"], dict[str, str]] = {
    "light": {"report": "report.png", "run": "run.png"},
    "dark": {"report": "report-dark.png", "run": "run-dark.png"},
}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1"}
    with tempfile.TemporaryDirectory() as directory:
        story = draw_demo(Path(directory))
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{story}/mlflow.db"
        draw_terminals(story)
        import mlflow

        runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
        report = mlflow.artifacts.download_artifacts(
            run_id=runs[0].info.run_id, artifact_path="dvc/report.html", dst_path=directory
        )
        with served(story) as site:
            draw(Path(report), site, runs)


def draw_demo(directory: Path) -> Path:
    """The demo as a terminal of 120 columns shows it; the folder of its project."""
    console = terminal.recording(120)
    with chdir(directory):
        run_demo("mlflow-dvc-demo", DemoOutput(console))
    terminal.draw(console, HERE / "demo.svg")
    return directory / "mlflow-dvc-demo"


def draw_terminals(story: Path) -> None:
    commands = [
        ("search", "data/raw/train.csv"),
        ("show", "models:/churn/1"),
        ("diff", "models:/churn/1", "models:/churn/2"),
        ("verify", "models:/churn/1"),
    ]
    for width, name in ((80, "terminal-80.svg"), (120, "terminal-120.svg")):
        terminal.draw_commands(commands, story, width, HERE / name)


@contextmanager
def chdir(directory: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def served(story: Path) -> Iterator[str]:
    """MLflow's own server on the story's database; all that it started ends with the block."""
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--port", str(PORT), "--workers", "1",
         "--backend-store-uri", f"sqlite:///{story}/mlflow.db"],
        start_new_session=True,
    )  # fmt: skip
    try:
        site = f"http://127.0.0.1:{PORT}"
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{site}/health"):
                break
            time.sleep(0.5)
        yield site
    finally:
        os.killpg(server.pid, signal.SIGKILL)


def draw(report: Path, site: str, runs: list[Any]) -> None:
    from playwright.sync_api import sync_playwright

    experiment = f"{site}/#/experiments/{runs[0].info.experiment_id}/runs"
    run = f"{experiment}/{runs[0].info.run_id}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for scheme, names in SCHEMES.items():
            context = browser.new_context(color_scheme=scheme)
            is_dark = json.dumps(scheme == "dark")
            context.add_init_script(f"localStorage.setItem('{DARK_MODE}', {is_dark})")
            page = context.new_page()
            page.set_viewport_size({"width": 1200, "height": 760})
            page.goto(report.as_uri())
            page.screenshot(path=HERE / names["report"])
            opened(context, run, 1150, 960).screenshot(path=HERE / names["run"])
            context.close()
        context = browser.new_context()
        opened(context, experiment, 1600, 420).screenshot(path=HERE / "runs.png")
        draw_compare(opened(context, experiment, 1300, 660))
        browser.close()


def opened(context: BrowserContext, address: str, width: int, height: int) -> Page:
    """A page of MLflow, less the assistant that it opens beside it."""
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": height})
    page.goto(address)
    page.get_by_text("train.py").first.wait_for()
    time.sleep(1)
    if (close := page.get_by_label("Close").locator("visible=true")).count():
        close.first.click()
    time.sleep(1)
    return page


def draw_compare(page: Page) -> None:
    """The tags that differ between the two runs."""
    page.get_by_label("Select all runs").check()
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("switch", name="Tags - Show diff only").click()
    page.get_by_text("Tags", exact=True).last.evaluate("element => element.scrollIntoView()")
    time.sleep(1)
    page.screenshot(path=HERE / "compare.png")


if __name__ == "__main__":
    main()
