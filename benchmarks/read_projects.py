"""How long it takes to read a DVC project: we and DVC's own index, in the same run.

python benchmarks/read_projects.py [PROJECTS] [--rounds N]

PROJECTS is a folder of DVC projects, or a tar file of one; without it only a made-up project of
10,000 outputs is read. Everything happens on a copy. Imports are not counted, on either side.

first   a new process that knows nothing of the project (but what DVC made of its templates)
start   a new process that remembers what an earlier one read: what `start_run` mostly pays
again   the second time in a process
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

OUTPUTS = 10_000
GIT = ["git", "-c", "user.name=b", "-c", "user.email=b@b", "-c", "core.autocrlf=false"]


def ours(root: str) -> dict[str, Any]:
    from mlflow_dvc.capture import workspace

    os.chdir(root)

    def look() -> Any:
        capture = workspace.capture_run()
        return capture, capture.tags, capture.warnings

    first = timed(look)
    capture = workspace.capture_run()
    again = timed(look)
    workspace.save_cache(capture)
    return {"first": first, "again": again, "outputs": len(capture.snapshot.data)}


def dvc(root: str) -> dict[str, Any]:
    import dvc.repo.index  # noqa: F401 - imports are not counted
    from dvc.repo import Repo

    def look() -> Any:
        try:
            return [out.hash_info for stage in Repo(root).index.stages for out in stage.outs]
        except Exception:  # DVC refuses the project
            return None

    return {"first": timed(look), "again": timed(look), "refused": look() is None}


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def ask(side: str, root: Path, cache: Path) -> dict[str, Any]:
    """In a process of its own."""
    env = os.environ | {"XDG_CACHE_HOME": str(cache), "DVC_NO_ANALYTICS": "1"}
    env |= {"DVC_SITE_CACHE_DIR": str(cache / "dvc"), "GIT_CONFIG_GLOBAL": os.devnull}
    command = [sys.executable, __file__, "--side", side, str(root)]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(root: Path, cache: Path, rounds: int) -> dict[str, Any]:
    status = [sys.executable, "-m", "mlflow_dvc", "status", "--json", str(root)]
    env = os.environ | {"XDG_CACHE_HOME": str(cache)}
    subprocess.run(status, env=env, check=True, capture_output=True)  # fills templates in
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        shutil.rmtree(cache / "mlflow-dvc/projects", ignore_errors=True)
        cold, warm, theirs = (
            ask("ours", root, cache),
            ask("ours", root, cache),
            ask("dvc", root, cache),
        )
        for name, value in {
            "first": cold["first"],
            "start": warm["first"],
            "again": warm["again"],
            "dvc first": theirs["first"],
            "dvc again": theirs["again"],
        }.items():
            found.setdefault(name, []).append(value)
    row: dict[str, Any] = {name: statistics.median(values) for name, values in found.items()}
    return row | {"outputs": warm["outputs"], "refused": theirs["refused"]}


def lay_out(projects: str | None, work: Path) -> list[Path]:
    """The DVC roots of a copy of the projects, and a synthetic one."""
    if projects and os.path.isdir(projects):
        shutil.copytree(projects, work / "projects", symlinks=True)
    elif projects:
        with tarfile.open(projects) as tar:
            tar.extractall(work, filter="data")
    synthetic(work / "projects" / f"synthetic, {OUTPUTS:,} outputs")
    for project in (work / "projects").iterdir():
        if not (project / ".git").exists():
            subprocess.run([*GIT, "init", "-q", str(project)], check=True)
            subprocess.run([*GIT, "add", "-A", "-f"], cwd=project, check=True, capture_output=True)
            subprocess.run([*GIT, "commit", "-qm", "x"], cwd=project, check=True)
    return sorted(path.parent for path in work.glob("projects/**/.dvc") if path.is_dir())


def synthetic(root: Path) -> None:
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc/config").touch()
    stages, locked = ["stages:"], ["schema: '2.0'", "stages:"]
    for number in range(OUTPUTS // 4):
        outs = [f"data/part-{number // 100}/{number}-{name}.parquet" for name in "abcd"]
        deps = [
            "src/make.py",
            *([f"data/part-{(number - 1) // 100}/{number - 1}-a.parquet"] if number else []),
        ]
        command = f"    cmd: python src/make.py --number {number}"
        stages += [f"  make-{number}:", command, "    deps:", *(f"    - {dep}" for dep in deps)]
        stages += ["    outs:", *(f"    - {out}" for out in outs)]
        locked += [f"  make-{number}:", command]
        for section, paths in (("deps", deps), ("outs", outs)):
            locked.append(f"    {section}:")
            for path in paths:
                locked += [
                    f"    - path: {path}",
                    "      hash: md5",
                    f"      md5: {hash_of(path)}",
                    "      size: 1234",
                ]
    (root / "dvc.yaml").write_text("\n".join(stages) + "\n")
    (root / "dvc.lock").write_text("\n".join(locked) + "\n")


def hash_of(path: str) -> str:
    import hashlib

    return hashlib.md5(path.encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("projects", nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=["ours", "dvc"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(json.dumps({"ours": ours, "dvc": dvc}[args.side](args.projects)))
        return
    print(
        f"{'milliseconds':46}{'outputs':>8}{'first':>9}{'DVC':>9}{'ratio':>7}{'again':>8}{'DVC':>9}{'ratio':>7}{'start':>8}"
    )
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory).resolve()
        roots = lay_out(args.projects, work)
        time.sleep(3)  # until the files count as settled, as they are in a real project
        for root in roots:
            row = measure(root, work / "cache", args.rounds)
            rows.append(row)
            name = str(root.relative_to(work / "projects"))[:44] + (" *" if row["refused"] else "")
            print(f"{name:46}{row['outputs']:8}", end="")
            for kind in ("first", "again"):
                mine, theirs = row[kind], row[f"dvc {kind}"]
                print(
                    f"{mine:{9 if kind == 'first' else 8}.1f}{theirs:9.1f}{theirs / mine:7.1f}",
                    end="",
                )
            print(f"{row['start']:8.1f}", flush=True)
    print("* DVC refuses the project")
    for kind in ("first", "again"):
        ratios = [row[f"dvc {kind}"] / row[kind] for row in rows]
        largest = sorted(rows, key=lambda row: -row["dvc first"])[:3]
        few = ", ".join(f"{row[f'dvc {kind}'] / row[kind]:.1f}" for row in largest)
        middle, least = statistics.median(ratios), min(ratios)
        print(f"{kind}: {middle:.0f} times faster at the median, {least:.0f} at least", end="")
        print(f"; on the three largest {few}")
    print(f"start: {max(row['start'] for row in rows):.1f} ms at most")


if __name__ == "__main__":
    main()
