"""Make the pictures in this folder: of the demo's runs in MLflow's own page, and of a record.

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
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
PORT = 5987
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"


def main() -> None:
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1"}
    with tempfile.TemporaryDirectory() as directory:
        story = Path(directory, "story")
        subprocess.run([sys.executable, "-m", "mlflow_dvc", "demo", str(story)], check=True)
        import mlflow

        mlflow.set_tracking_uri(f"sqlite:///{story}/mlflow.db")
        [run, *_] = mlflow.search_runs(search_all_experiments=True, output_format="list")
        report = mlflow.artifacts.download_artifacts(
            run_id=run.info.run_id, artifact_path="dvc/report.html", dst_path=directory
        )
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--port", str(PORT), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{story}/mlflow.db"],
            start_new_session=True,
        )  # fmt: skip
        try:
            page = f"http://127.0.0.1:{PORT}"
            while True:
                with suppress(OSError), urllib.request.urlopen(f"{page}/health"):
                    break
                time.sleep(0.5)
            draw(Path(report), f"{page}/#/experiments/{run.info.experiment_id}/runs")
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def draw(report: Path, runs: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 760})
        page.goto(report.as_uri())
        page.screenshot(path=HERE / "report.png")
        page = browser.new_page(viewport={"width": 1600, "height": 420})
        page.goto(runs)
        page.get_by_role("row").nth(2).wait_for()
        if (close := page.get_by_label("Close").first).is_visible():
            close.click()
        time.sleep(1)
        page.screenshot(path=HERE / "runs.png")
        browser.close()


if __name__ == "__main__":
    main()
