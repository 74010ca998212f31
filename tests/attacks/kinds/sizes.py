"""Records that are far too large: bounded in time, memory and count."""

from __future__ import annotations

import json

from attacks.forgery import Forgery
from attacks.kinds import hostile

MATRIX = """\
stages:
  train:
    matrix:
      a: [{values}]
      b: [{values}]
      c: [{values}]
      d: [{values}]
      e: [{values}]
    cmd: echo ${{item.a}} ${{item.b}} ${{item.c}} ${{item.d}} ${{item.e}}
"""


@hostile("size-matrix", fast=True)
def matrix(run: Forgery) -> None:
    run.files["dvc.yaml"] = MATRIX.format(values=", ".join(map(str, range(100)))).encode()


@hostile("size-matrix-in-commit")
def matrix_in_commit(run: Forgery) -> None:
    run.commit({"dvc.yaml": MATRIX.format(values=", ".join(map(str, range(100))))})


@hostile("size-foreach")
def foreach(run: Forgery) -> None:
    items = ", ".join(map(str, range(50_000)))
    text = f"stages:\n  train:\n    foreach: [{items}]\n    do: {{cmd: 'echo ${{item}}'}}\n"
    run.files["dvc.yaml"] = text.encode()


@hostile("size-templates-of-templates")
def templates(run: Forgery) -> None:
    lines = [f"  v{n}: ${{v{n - 1}}}${{v{n - 1}}}" for n in range(1, 40)]
    text = "vars:\n- v0: xxxxxxxxxx\n" + "\n".join(f"- {line.strip()}" for line in lines)
    run.files["dvc.yaml"] = f"{text}\nstages: {{train: {{cmd: 'echo ${{v39}}'}}}}\n".encode()


@hostile("size-entries")
def entries(run: Forgery) -> None:
    for number in range(50_000):
        run.add_data(f"data/{number}.csv", f"{number:032x}")


@hostile("size-attached-files")
def attached_files(run: Forgery) -> None:
    for number in range(2_000):
        run.files[f"data/{number}.csv.dvc"] = b"outs:\n- md5: " + b"0" * 32 + b"\n  path: x\n"


@hostile("size-listing")
def listing(run: Forgery) -> None:
    content = run.object(b"x")
    rows = [{"md5": content, "relpath": f"{number}.csv"} for number in range(20_000)]
    run.add_data("data/many", run.listing(*rows), nfiles=20_000)


@hostile("size-listing-nested")
def listing_nested(run: Forgery) -> None:
    row = {"md5": run.object(b"x"), "relpath": "/".join(["d"] * 5000)}
    run.add_data("data/deep", run.listing(row), nfiles=1)


@hostile("size-tag")
def tag(run: Forgery) -> None:
    run.tags["dvc.changed"] = "x, " * 20_000_000


@hostile("size-tags")
def tags(run: Forgery) -> None:
    run.tags |= {f"dvc.out.x{number}": f"{number:032x}" for number in range(20_000)}


@hostile("size-snapshot")
def snapshot(run: Forgery) -> None:
    run.said["warnings"] = ["x" * 1000] * 60_000


@hostile("size-parts")
def parts(run: Forgery) -> None:
    text = json.dumps(run.said).encode()
    for number in range(1, 300):
        run.files[f"resume-{number}/snapshot.json"] = text


@hostile("size-stages-in-a-circle")
def circle(run: Forgery) -> None:
    run.said["stages"] = [
        {"address": f"s{number}", "deps": [f"o{(number + 1) % 2000}"]} for number in range(2000)
    ]
    for number in range(2000):
        run.add_data(f"o{number}", f"{number:032x}", stage=f"s{number}")


@hostile("size-lock")
def lock(run: Forgery) -> None:
    row = "  s{0}:\n    cmd: x\n    outs:\n    - path: o{0}\n      md5: {0:032x}\n"
    rows = "".join(row.format(number) for number in range(30_000))
    run.files["dvc.lock"] = f"schema: '2.0'\nstages:\n{rows}".encode()


@hostile("size-commands")
def commands(run: Forgery) -> None:
    lines = [f"echo {number} {'x' * 100}" for number in range(10_000)]
    text = json.dumps({"stages": {"train": {"cmd": lines}}})
    run.commit({"dvc.yaml": text})
