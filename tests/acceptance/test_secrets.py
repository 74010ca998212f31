"""Sixty secrets planted in one project, and all that leaves the machine when it is recorded."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import PIPELINE, Project

import mlflow_dvc

sys.path.insert(0, str(Path(__file__).parents[1] / "secrets"))
from canaries import Canary, canaries, make_up

CODE = (
    "train.py",
    "notebook.ipynb",
    "run.sh",
    "settings.toml",
    "conf.yaml",
    "config.json",
    "app.cfg",
)
WORD = "@{an:22}"
PLACES = (
    "git remote", "git remote query", "dvc remote query", "dvc remote user", "dvc endpoint",
    "import repository", "import address", "dependency address", "another dependency",
    "broken dvc.yaml", "command of the stage", "vars of dvc.yaml", "params.yaml", "params in toml",
    "dotenv", "secrets file", "untracked script", "private key", "committed code, changed",
    "config.local",
)  # fmt: skip


@pytest.fixture
def planted() -> dict[str, str]:
    """Secrets by the place that they are put into."""
    rng = random.Random(7)
    return {place: make_up(WORD, rng) for place in PLACES}


def code() -> list[Canary]:
    """Forty of the corpus, for files of code and of settings that are not committed."""
    found = [one for one in canaries(seed=5) if one.path in CODE]
    return random.Random(3).sample(found, 44)


def lay_out(project: Project, planted: dict[str, str]) -> None:
    word = planted.__getitem__
    url = f"https://me:{word('git remote')}@example.org/r.git?private_token="
    project.git("remote", "add", "origin", url + word("git remote query"))
    stages = PIPELINE.replace(
        "python src/train.py\n", f"python src/train.py --password {word('command of the stage')}\n"
    )
    first, second = (
        f"https://example.org/x.csv?X-Amz-Signature={word(place)}"
        for place in ("dependency address", "another dependency")
    )
    extra = f"  extra:\n    cmd: 'true'\n    frozen: true\n    deps: ['{first}', '{second}']\n"
    project.write(
        "dvc.yaml", f"vars:\n  - db_password: {word('vars of dvc.yaml')}\n{stages}{extra}"
    )
    project.write("params.yaml", f"lr: 0.1\ndb:\n  password: {word('params.yaml')}\n")
    folder = "https://example.org/store?"
    project.write(
        ".dvc/config",
        "[core]\n    remote = r\n['remote \"r\"']\n"
        f"    url = {folder}sig={word('dvc remote query')}\n"
        f"['remote \"s\"']\n    url = https://me:{word('dvc remote user')}@example.org/s\n"
        f"['remote \"t\"']\n    url = s3://bucket/x\n"
        f"    endpointurl = https://example.org/?token={word('dvc endpoint')}\n",
    )
    project.write(".dvc/config.local", f"['remote \"r\"']\n    password = {word('config.local')}\n")
    outs = "outs:\n- md5: {md5}\n  size: 8\n  hash: md5\n  path: {path}\n"
    known = project.lock()["data/prepared.csv"]
    repo = f"https://oauth2:{word('import repository')}@example.org/reg.git"
    project.write(
        "data/imported.csv.dvc",
        f"deps:\n- path: a.csv\n  repo:\n    url: {repo}\n    rev_lock: {'a' * 40}\n"
        + outs.format(md5=known, path="imported.csv"),
    )
    project.write(
        "data/fetched.csv.dvc",
        f"deps:\n- path: https://example.org/a.csv?sig={word('import address')}\n  etag: abc\n"
        + outs.format(md5=known, path="fetched.csv"),
    )
    project.write("old.py", f"KEY = 1\nTOKEN = '{word('committed code, changed')}'\n")
    project.write(".gitignore", "/mlflow.db\n/mlruns/\n/data/fetched.csv\n/data/imported.csv\n")
    project.commit("secrets")


def edit(project: Project, planted: dict[str, str], lines: list[Canary]) -> None:
    """What is not committed."""
    for path in CODE:
        text = "".join(f"{one.line}\n" for one in lines if one.path == path)
        project.write(f"src/new/{path}", f"# first line\n{text}# last line\n")
    word = planted.__getitem__
    project.write("old.py", f"KEY = 2\nTOKEN = '{word('committed code, changed')}'\n")
    project.write("src/extra.sh", f"curl -u me:{word('untracked script')} https://example.org\n")
    address = f"foo://me:{word('broken dvc.yaml')}@example.org/x"
    project.write("sub/dvc.yaml", f"stages:\n  a:\n    cmd: x\n    deps: ['{address}']\n")
    project.write(".env", f"PASSWORD={word('dotenv')}\n")
    project.write("conf/secrets.yaml", f"a: {word('secrets file')}\n")
    project.write("conf/prod.toml", f"[db]\npassword = '{word('params in toml')}'\n")
    begin = "-----BEGIN " + "PRIVATE KEY-----"
    project.write("src/key.py", f"K = '''{begin}\n{word('private key')}\n'''\n")
    project.write("run.py", (project.root / "run.py").read_text() + "# changed\n")


def leaving(tmp_path: Path, logs: str) -> dict[str, bytes]:
    """All that a run wrote: the rows of the store, the artifacts, what was logged."""
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        found = {"database": "\n".join(database.iterdump()).encode(), "log": logs.encode()}
    for path in (tmp_path / "artifacts").rglob("*"):
        if path.is_file():
            found[str(path.relative_to(tmp_path))] = path.read_bytes()
            found[f"name {path}"] = str(path).encode()
    return found


def leaks(everything: dict[str, bytes], secrets: dict[str, str]) -> dict[str, list[str]]:
    """Where each secret stands, as it is or as an address or JSON would spell it."""
    found = {}
    for place, secret in secrets.items():
        spellings = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}
        named = [
            name
            for name, content in everything.items()
            if any(spelling.encode() in content for spelling in spellings)
        ]
        if named:
            found[f"{place}: {secret}"] = named
    return found


def test_table(
    pipeline: Project, tmp_path: Path, planted: dict[str, str], runs: Callable[[], list[Any]]
):
    """No planted secret is in any tag, input, artifact or log line, and the runs are restored."""
    lines = code()
    secrets = planted | {f"{one.path} {one.line[:24]}": one.secret for one in lines}
    assert len(secrets) >= 60
    lay_out(pipeline, planted)
    first = pipeline.call(sys.executable, "-m", "dvc", "repro", "--force", "train")
    assert first.returncode == 0, first.stderr
    pipeline.commit("reproduced")
    edit(pipeline, planted, lines)
    second = subprocess.run(
        [sys.executable, "run.py"], cwd=pipeline.root, capture_output=True, text=True, check=False
    )
    assert second.returncode == 0, second.stderr
    # What DVC prints of a command on the user's own terminal is none of ours.
    said = [line for line in first.stderr.splitlines() if "mlflow-dvc" in line]
    everything = leaving(tmp_path, "\n".join((*said, second.stdout, second.stderr)))
    assert leaks(everything, secrets) == {}
    names = {path.rpartition("/dvc/")[2] for path in everything}
    assert {"code.patch", "record.md", "report.html", "snapshot.json"} <= names
    assert b"last line" in b"".join(everything.values())

    for number, run in enumerate(runs()):
        record = mlflow_dvc.show(run.info.run_id)
        withheld = record.snapshot.withheld or {}
        assert {"params.yaml", "dvc.yaml", "data/imported.csv.dvc"} <= withheld.keys()
        assert set(withheld) <= set(record.snapshot.attached or ())
        found = mlflow_dvc.restore(
            run.info.run_id, str(tmp_path / f"restored-{number}"), project=str(pipeline.root)
        )
        for path in ("params.yaml", "dvc.yaml", "dvc.lock", "data/imported.csv.dvc"):
            assert (tmp_path / f"restored-{number}" / path).read_bytes() == (
                pipeline.root / path
            ).read_bytes()
        assert not [one for one in found.items if one.verdict == "TAMPERED"]
        assert not [
            one
            for one in found.items
            if one.part in ("file", "lock", "record") and one.verdict not in ("PASS", "UNVERIFIED")
        ]
        (judged,) = mlflow_dvc.verify(run.info.run_id, project=str(pipeline.root))
        of_files = {one.name: one for one in judged.items if one.part in ("file", "lock")}
        assert not [one for one in judged.items if one.verdict == "TAMPERED"], judged.items
        assert of_files["dvc.lock"].verdict == "PASS", of_files
