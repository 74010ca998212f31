"""What recording costs: one table, the same as JSON, and a picture of how it grows.

python -m benchmarks [--runs N] [--history RUNS] [--to FOLDER]

Everything is a pair that takes turns within one run: with us, and what people would do by hand
(the same tags, the same filter) or what there is without us. Printed are medians in milliseconds
and the ratio. A figure of a busy machine is none: look at the ratio of two rows that should be
equal, the last one.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import mlflow

import mlflow_dvc
from benchmarks import histories, start_run
from mlflow_dvc.capture import workspace

COLD = "import mlflow\nwith mlflow.start_run():\n    mlflow.log_metric('x', 1)\n"
NAMES = ("benchmarks.json", "benchmarks.svg")


@dataclass(frozen=True)
class Row:
    """Medians in milliseconds; ``beside`` says what of."""

    name: str
    ours: float
    other: float
    beside: str

    @property
    def ratio(self) -> float:
        return self.ours / self.other


def in_turn(
    name: str, beside: str, ours: Callable[[], object], other: Callable[[], object], times: int
) -> Row:
    calls = {True: ours, False: other}
    took: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * times):
        took[number % 2 == 0].append(start_run.timed(calls[number % 2 == 0]) * 1000)
    return Row(name, statistics.median(took[True]), statistics.median(took[False]), beside)


def runs(times: int) -> Iterator[Row]:
    """``start_run`` and whole short runs, with MLflow's database in the project."""
    for name, begin, whole, bare_begin, bare_whole in start_run.medians(times):
        yield Row(f"start_run, {name}", begin, bare_begin, "the same tags by hand")
        yield Row(f"a whole run, {name}", whole, bare_whole, "the same tags by hand")


def others(times: int) -> Iterator[Row]:
    """A whole short run, beside what people do to have the same, or something like it."""
    name = "1 pipeline of 5 outputs"

    def ours() -> None:
        with mlflow.start_run():
            mlflow.log_metric("x", 1)

    def by_hand() -> None:
        with mlflow_dvc.disabled(), mlflow.start_run(tags=tags):
            mlflow.log_metric("x", 1)
            for path in ("dvc.yaml", "dvc.lock"):
                mlflow.log_artifact(path, "dvc")
            mlflow.log_dict(tags, "dvc/record.json")

    def dvclive() -> None:
        with importlib.import_module("dvclive").Live(save_dvc_exp=False) as live:
            live.log_metric("x", 1)
            live.next_step()

    with start_run.project(start_run.SIZES[name]):
        tags = workspace.capture_run().tags
        row = f"a whole run, {name}"
        yield in_turn(row, "the same tags, and three files, by hand", ours, by_hand, times)
        if importlib.util.find_spec("dvclive"):
            yield in_turn(row, "DVCLive alone, without MLflow", ours, dvclive, times)


def cold(times: int) -> Iterator[Row]:
    """A process that imports MLflow and makes one run."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        start_run.lay_out(root, 5, 0)
        (root / "run.py").write_text(COLD)
        env = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db"}

        def call(enabled: str) -> None:
            subprocess.run(
                [sys.executable, "run.py"], cwd=root, check=True, capture_output=True,
                env=env | {"MLFLOW_DVC_ENABLED": enabled},
            )  # fmt: skip

        call("1")
        yield in_turn(
            "a process with one run", "without us", lambda: call("1"), lambda: call("0"), times
        )


def searches(size: int) -> Iterator[Row]:
    """In a large store, on sqlite."""
    history = histories.History(size, shared=max(size // 1000, 1))
    path = histories.PATHS[0]
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        experiment = histories.fill(uri, history)
        client = mlflow.MlflowClient(uri)

        def ask(filter_string: str) -> None:
            token = ""
            while token is not None:
                page = client.search_runs([experiment], filter_string, 1, 1000, None, token or None)
                token = page.token or None

        for count, value in (("one run", history.rare), ("a thousand", history.common)):
            for what, keys in (("HASH", ["hashes"]), ("PATH@HASH", [f"out.{path}", f"dep.{path}"])):
                asked = value if what == "HASH" else f"{path}@{value}"
                like = f"'% {value}%'" if what == "HASH" else f"'{value}%'"
                filters = [f"tags.`dvc.{key}` LIKE {like}" for key in keys]
                yield in_turn(
                    f"search {what}, {count} of {size:,}",
                    "the filter" if what == "HASH" else "both filters",
                    lambda asked=asked: mlflow_dvc.search(asked, tracking_uri=uri),  # type: ignore[misc]
                    lambda filters=filters: list(map(ask, filters)),  # type: ignore[misc]
                    3,
                )


def null() -> Iterator[Row]:
    """Two that are one: what is beside 1.00 here is the machine."""
    yield in_turn(
        "the same call twice",
        "itself",
        lambda: sum(range(100_000)),
        lambda: sum(range(100_000)),
        50,
    )


def growth(rows: list[Row]) -> list[tuple[str, float]]:
    """How many milliseconds ``start_run`` takes more, by what the project has."""
    found = []
    for row in rows:
        if row.name.startswith("start_run, ") and (size := start_run.SIZES.get(row.name[11:])):
            outputs, singles = size
            name = f"{outputs:,} outputs" if outputs else f"{singles:,} .dvc files"
            found.append((name, row.ours - row.other))
    return found


def picture(points: list[tuple[str, float]]) -> str:
    """A line from project to project."""
    most = max(1.0, *(more for _, more in points))
    step = 360 / max(len(points) - 1, 1)
    places = [
        (50 + number * step, 150 - more / most * 110) for number, (_, more) in enumerate(points)
    ]
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y in places)
    marks = "".join(
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3"/>'
        f'<text x="{x:.0f}" y="{y - 8:.0f}">{more:.1f} ms</text>'
        f'<text x="{x:.0f}" y="170">{name}</text>'
        for (x, y), (name, more) in zip(places, points, strict=True)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 460 200" font-family="sans-serif" '
        'font-size="11" text-anchor="middle" fill="#57606a">'
        '<text x="230" y="14">what start_run takes more than the same tags by hand</text>'
        f'<polyline points="{line}" fill="none" stroke="#0969da" stroke-width="2"/>{marks}'
        "</svg>\n"
    )


def write(rows: list[Row], folder: Path) -> None:
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "mlflow": mlflow.__version__,
        "rows": [
            asdict(row)
            | {"ours": round(row.ours, 2), "other": round(row.other, 2)}
            | {"ratio": round(row.ratio, 3)}
            for row in rows
        ],
    }
    (folder / NAMES[0]).write_text(json.dumps(facts, indent=1) + "\n")
    (folder / NAMES[1]).write_text(picture(growth(rows)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--runs", type=int, default=40, help="of each kind (default: 40)")
    parser.add_argument("--history", type=int, default=100_000, help="runs in the large store")
    parser.add_argument("--to", type=Path, help="where benchmarks.json and .svg are written")
    given = parser.parse_args()
    here = Path.cwd()
    rows: list[Row] = []
    print(f"{'':50}{'with us':>10}{'beside':>10}{'ratio':>7}")
    parts = (
        runs(given.runs),
        others(given.runs),
        cold(max(given.runs // 8, 3)),
        searches(given.history),
        null(),
    )
    for part in parts:
        for row in part:
            rows.append(row)
            print(
                f"{row.name:50}{row.ours:10.1f}{row.other:10.1f}{row.ratio:7.2f}  {row.beside}",
                flush=True,
            )
    if given.to:
        write(rows, here / given.to)


if __name__ == "__main__":
    start_run.be_quiet()
    main()
