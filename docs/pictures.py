"""Make the pictures in this folder: of the demo's runs in MLflow's own pages, and of a record.

python docs/pictures.py      # needs Chromium and Playwright, as the tests marked `browser` do
"""

from __future__ import annotations

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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HERE = Path(__file__).parent
PORT = 5987
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1"}
    with tempfile.TemporaryDirectory() as directory:
        story = Path(directory, "story")
        subprocess.run([sys.executable, "-m", "mlflow_dvc", "demo", str(story)], check=True)
        import mlflow

        mlflow.set_tracking_uri(f"sqlite:///{story}/mlflow.db")
        runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
        report = mlflow.artifacts.download_artifacts(
            run_id=runs[0].info.run_id, artifact_path="dvc/report.html", dst_path=directory
        )
        with served(story) as site:
            draw(Path(report), site, runs)


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
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 760})
        page.goto(report.as_uri())
        page.screenshot(path=HERE / "report.png")
        opened(browser, experiment, 1600, 420).screenshot(path=HERE / "runs.png")
        run = f"{experiment}/{runs[0].info.run_id}"
        opened(browser, run, 1150, 740).screenshot(path=HERE / "run.png")
        draw_compare(opened(browser, experiment, 1300, 660))
        browser.close()


def opened(browser: Browser, address: str, width: int, height: int) -> Page:
    """A page of MLflow, less the assistant that it opens beside it."""
    page = browser.new_page(viewport={"width": width, "height": height})
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
