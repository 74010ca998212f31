"""No record of a stranger acts, sends a secret, writes outside or hangs, whatever reads it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import SECONDS

from attacks import commands, traces
from attacks.forgery import forge, honest_run
from attacks.kinds import FAST, RECORDS
from attacks.laboratory import Laboratory

HIDDEN = ("MLFLOW_", "DVC_SITE")
CODES = {0, 1, 2, 3}
CPU_SECONDS = 10
MEGABYTES = 2000
PROMPT_LINES = 40
# What reads the datasets of a run; to the other commands it is the honest run.
OF_INPUTS = (
    "show",
    "diff RUN HONEST",
    "lineage",
    "verify",
    "load",
    "load elsewhere",
    "load into",
    "verify --all",
)
TARGETS = ("restored", "cloned", "again", "loaded")


def parameters() -> Iterator[Any]:
    """Of each kind one or two, every third of them in the fast suite, the rest in that of attacks;
    there is every sixth of all others too.
    """
    chosen, others = sorted(FAST), sorted(RECORDS.keys() - FAST)
    fast, attacks = {*chosen[::3]}, {*chosen, *others[::6]}
    for name in sorted(RECORDS):
        mark = pytest.mark.attacks if name in attacks else pytest.mark.long
        yield pytest.param(name, marks=() if name in fast else mark)


@pytest.mark.parametrize("name", parameters())
def test_hostile_record(laboratory: Laboratory, name: str):
    """Every command that reads the record answers, and leaves nothing but its own target."""
    run = forge(laboratory)
    RECORDS[name](run)
    is_only_inputs = run.is_only_inputs
    run_id, honest = run.log(), honest_run(laboratory).info.run_id
    laboratory.listener.requests.clear()
    before = traces.listing(laboratory)
    wanted = calls(laboratory, run_id, honest)
    if is_only_inputs:
        wanted = [call for call in wanted if call["name"] in OF_INPUTS]
    answers = ask(laboratory, wanted)
    found = [*faults(answers, honest)]
    if fault := fault_of_restored(laboratory):
        found.append(fault)
    found += [f"wrote {path}" for path in traces.changed(before, traces.listing(laboratory))]
    found += [f"sent a secret: {line}" for line in traces.secrets_seen(laboratory)]
    found += [f"ran the program {program}" for program in laboratory.ran()]
    for target in TARGETS:
        there = traces.git_names(laboratory.targets / target)
        found += [f"laid {path} into {target}" for path in there]
    assert found == [], "\n".join([name, *found])


def calls(lab: Laboratory, run_id: str, honest: str) -> list[dict[str, Any]]:
    """Every reading command on the run, and some on the honest one beside it."""
    here, targets = lab.project.root, lab.targets
    prepared = "e5ebd4c0"
    rows: list[tuple[str, Path, list[str]]] = [
        ("show", here, ["show", run_id]),
        ("show --json", here, ["show", run_id, "--json"]),
        ("diff RUN HONEST", here, ["diff", run_id, honest]),
        ("diff HONEST RUN", here, ["diff", honest, run_id]),
        ("lineage", here, ["lineage", run_id, "--html", str(targets / "lineage.html")]),
        ("lineage of honest data", here, ["lineage", "data/prepared.csv"]),
        ("search HASH", here, ["search", prepared]),
        ("search PATH", here, ["search", "data/prepared.csv"]),
        ("verify", here, ["verify", run_id]),
        ("verify elsewhere", lab.elsewhere, ["verify", run_id]),
        ("verify --all", here, ["verify", "--all", "--json"]),
        ("load", here, ["load"]),
        ("load elsewhere", lab.elsewhere, ["load"]),
        ("load into", lab.elsewhere, ["load", str(targets / "loaded")]),
        ("restore", here, ["restore", run_id, "--to", str(targets / "restored")]),
        ("restore elsewhere", lab.elsewhere, ["restore", run_id, "--to", str(targets / "cloned")]),
        ("reproduce", here, ["reproduce", run_id, "--to", str(targets / "again")]),
        ("sync", here, ["sync", run_id]),
        ("sync all", here, ["sync"]),
        ("doctor", here, ["doctor"]),
        ("gc", here, ["gc", "--dry-run"]),
        ("check", here, ["check", run_id]),
        ("backfill", here, ["backfill", "--dry-run"]),
        ("pin", here, ["pin", run_id]),
    ]
    roots = [str(here), str(lab.root / "scratch"), str(targets)]
    return [
        {"name": name, "cwd": str(cwd), "words": words, "run": run_id, "roots": roots}
        for name, cwd, words in rows
    ]


def ask(lab: Laboratory, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers of one process that runs all of them."""
    results = lab.root / "results"
    results.mkdir()
    request = results / "request.json"
    request.write_text(json.dumps(wanted))
    told = {k: v for k, v in lab.environment.items() if not k.startswith("DVC_SITE")}
    env = {key: os.environ[key] for key in os.environ if not key.startswith(HIDDEN)}
    words = [sys.executable, commands.__file__, str(request), str(results / "answers")]
    done = subprocess.run(
        words, cwd=lab.elsewhere, env=env | told, capture_output=True,
        stdin=subprocess.DEVNULL, timeout=SECONDS, check=False,
    )  # fmt: skip
    found = [json.loads(line) for line in (results / "answers").read_text().splitlines()]
    for call in wanted[len(found) :]:
        why = f"not reached (exit code {done.returncode}) {done.stderr.decode()[-500:]}"
        found.append({"name": call["name"], "error": why})
        break  # the others were not asked because of this one
    return found


def faults(answers: list[dict[str, Any]], honest: str) -> Iterator[str]:
    for answer in answers:
        found = fault_of_process(answer) or fault_of_answer(answer, honest)
        if found:
            yield f"{answer['name']}: {found}"


def fault_of_process(answer: dict[str, Any]) -> str:
    """What no command does, whatever it answers."""
    if answer["error"]:
        return last_lines(answer["error"])
    printed = answer["out"] + answer["err"]
    if "Traceback (most recent call last)" in printed:
        return f"a traceback, {last_lines(answer['err'])}"
    if answer["code"] not in CODES:
        return f"exit code {answer['code']}"
    if answer["cpu"] > CPU_SECONDS or answer["memory"] > MEGABYTES:
        return f"took {answer['cpu']:.0f} s of the processor, {answer['memory']} MB"
    if answer["name"] == "reproduce" and answer["err"].count("\n") > PROMPT_LINES:
        return f"asks on {answer['err'].count(chr(10))} lines"
    odd = traces.unprintable(printed)
    return f"printed {odd[:5]}" if odd else ""


def fault_of_answer(answer: dict[str, Any], honest: str) -> str:
    """What is asked of the honest run is answered as ever."""
    name, out = answer["name"], answer["out"]
    if name == "verify --all":
        found = fault_of_verdict(out, honest)
        return f"{found}, {last_lines(answer['err'])}" if found else ""
    if name.startswith(("search", "lineage of honest")) and honest[:8] not in out:
        return f"does not have the honest run, {last_lines(answer['err'])}"
    return ""


def fault_of_verdict(out: str, run_id: str) -> str:
    try:
        rows = json.loads(out)["runs"]
    except ValueError:
        return "has no answer"
    found = [row for row in rows if row["run_id"] == run_id]
    if len(found) != 1:
        return "leaves the honest run out"
    wrong = [item for item in found[0]["items"] if item["verdict"] != "PASS"]
    return f"says of the honest run {wrong}" if wrong else ""


def last_lines(text: str) -> str:
    return " | ".join(text.strip().splitlines()[-3:])[-400:]


def fault_of_restored(lab: Laboratory) -> str:
    """What the user's own git then does there runs nothing either."""
    for target in TARGETS:
        root = lab.targets / target
        inside = [root / name for name in traces.git_names(root)]
        for folder in {root, *(path.parent for path in inside)}:
            if folder.is_dir():
                lab.project.call("git", "status", "--short", cwd=folder)
    left = os.listdir(lab.root / "scratch")
    return f"left {sorted(left)[:5]} in the folder for temporary files" if left_over(left) else ""


def left_over(names: list[str]) -> list[str]:
    """What `load` returns without a folder to load into is the user's to remove."""
    return [name for name in names if not name.startswith("mlflow-dvc-data-")]


def test_honest_record(laboratory: Laboratory):
    """The honest run passes all of this: what fails elsewhere is the attack."""
    honest = honest_run(laboratory).info.run_id
    before = traces.listing(laboratory)
    answers = ask(laboratory, calls(laboratory, honest, honest))
    assert [*faults(answers, honest)] == []
    assert traces.changed(before, traces.listing(laboratory)) == []
    assert fault_of_restored(laboratory) == ""
    assert laboratory.ran() == []
    assert traces.secrets_seen(laboratory) == []
    codes = {answer["name"]: answer["code"] for answer in answers if answer["code"]}
    # It names no repository to clone; nobody confirms what is to run; and `report` never ran.
    alone = {"verify elsewhere": 2, "restore elsewhere": 2}
    assert codes == alone | {"reproduce": 2, "doctor": 1}


def test_every_record_is_logged(laboratory: Laboratory):
    """A forged run is on the server with what it was given."""
    run = forge(laboratory)
    run.sources.append({"path": "x", "algorithm": "md5", "hash": "0" * 32})
    run_id = run.log()
    with closing(sqlite3.connect(laboratory.root / "mlflow.db")) as database:
        rows = database.execute("SELECT key FROM tags WHERE run_uuid = ?", [run_id]).fetchall()
    assert {"git_sha", "dvc.seal", "dvc.lock"} <= {row[0] for row in rows}
