"""What a person sees: on narrow and wide terminals, in a pipe, where something is missing."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from conftest import FIVE_LINES, PYTHON, Project, few
from mlflow import MlflowClient

from mlflow_dvc.cli.main import cli

LONG = (
    "data/" + "a rather long name of a folder/".replace(" ", "-") * 3 + "measurements-of-2026.csv"
)
HEX = re.compile(r"(?<![\w-])[0-9a-f]{7,}(?![\w-])")
LENGTHS = {7, 8, 12, 32, 40}  # of git, of ours, of a data version, of DVC and MLflow, of a commit
# Each command that reads, with RUN, NAME, OTHER, HASH and LONG in place of what there is.
COMMANDS = [
    ("status",), ("show", "RUN"), ("search", "LONG"), ("search", "HASH"), ("diff", "OTHER", "RUN"),
    ("lineage", "LONG"), ("lineage", "RUN"), ("verify", "RUN"), ("verify", "--all"), ("sync",),
    ("check", "RUN"), ("gc", "--dry-run"), ("gc", "--dry-run", "--keep", "metrics.x > 5"),
    ("backfill", "--dry-run"), ("doctor",), ("snapshot",),
]  # fmt: skip


@pytest.fixture
def recorded(pipeline: Project, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Two runs on data of a long path, and what stands for them in commands."""
    monkeypatch.chdir(pipeline.root)
    pipeline.write("run.py", FIVE_LINES)
    for number in (1, 2):
        pipeline.write(LONG, f"a,b\n{number},2\n")
        pipeline.dvc("add", "--quiet", LONG)
        pipeline.commit(f"data {number}")
        pipeline.python("run.py")
    found = json.loads(pipeline.cli("search", LONG, "--json").stdout)["runs"]
    new, old = (run["run_id"] for run in found)
    name, [seen] = found[0]["run_name"], found[0]["data"]
    return {"RUN": new, "OTHER": old, "NAME": name, "LONG": LONG, "HASH": seen["hash"]}


def call(words: tuple[str, ...], meant: dict[str, str], **env: str) -> Result:
    """In this process; DVC is asked in one of its own."""
    wanted = [meant.get(word, word) for word in words]
    return CliRunner().invoke(cli, wanted, env=env, prog_name="mlflow-dvc")


def shown(result: Result) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", result.output)


@pytest.mark.parametrize("width", few(60, of=[60, 80, 120, 200]))
def test_nothing_is_cut(recorded: dict[str, str], width: int):
    """On a terminal of whatever width each path and each hash stands in one piece."""
    for words in COMMANDS:
        result = call(words, recorded, FORCE_COLOR="1", COLUMNS=str(width))
        assert result.exit_code in (0, 1, 2, 3), (words, result.output)
        text = shown(result)
        assert "Traceback" not in text
        # Where it is named at all: the last part of it follows the first ones.
        assert text.count("data/a-rather") == text.count(LONG), (words, text)
        if words[0] not in ("doctor", "snapshot"):
            lengths = {len(found) for found in HEX.findall(text)}
            assert lengths <= LENGTHS, (words, text)


def test_words_go_to_the_next_line(recorded: dict[str, str]):
    """What is words does not run over a narrow terminal, but for a path or a hash in it."""
    text = shown(call(("show", "RUN"), recorded, FORCE_COLOR="1", COLUMNS="60"))
    wide = [line for line in text.splitlines() if len(line) > 60]
    assert all(LONG in line for line in wide), wide


def test_pipes(recorded: dict[str, str]):
    """In a pipe nothing is folded, coloured or padded, and ids are whole; so it is with --wide."""
    for words in COMMANDS:
        result = call(words, recorded, COLUMNS="40")
        assert "\x1b" not in result.output
        assert not any(line.endswith(" ") for line in result.output.splitlines()), words
    piped = call(("search", "LONG"), recorded).output
    assert recorded["RUN"] in piped
    wide = call(("--wide", "search", "LONG"), recorded, FORCE_COLOR="1", COLUMNS="40")
    assert shown(wide) == piped
    again = call(("search", "LONG", "--wide"), recorded, FORCE_COLOR="1", COLUMNS="40")
    assert again.output == wide.output


def test_no_color(recorded: dict[str, str]):
    """NO_COLOR is heeded on a terminal."""
    result = call(("verify", "RUN"), recorded, FORCE_COLOR="1", NO_COLOR="1", COLUMNS="80")
    assert not re.search(r"\x1b\[3\d", result.output)


def test_a_plain_locale(recorded: dict[str, str], tmp_path: Path):
    """In LC_ALL=C, where a terminal may have ASCII alone, each command answers."""
    for words in (("lineage", "RUN"), ("show", "RUN"), ("doctor",), ("--help",)):
        done = subprocess.run(
            [PYTHON, "-m", "mlflow_dvc", *(recorded.get(word, word) for word in words)],
            env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0",
                 "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 1), (words, done.stderr)
        assert "Traceback" not in done.stderr


def test_nobody_answers(recorded: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """With a server that is not there, whoever asks it says so, with its address."""
    dead = "http://127.0.0.1:9"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dead)
    for words in COMMANDS:
        result = call(
            (*words, *(() if words[0] in NO_SERVER else ("--tracking-uri", dead))), recorded
        )
        assert "Traceback" not in result.output, words
        if words[0] not in NO_SERVER:
            assert (result.exit_code, dead in result.output) == (2, True), (words, result.output)


NO_SERVER = ("status", "doctor", "snapshot")


def test_no_project(recorded: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Outside of a project each command answers, or says what it lacks."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    for words in COMMANDS:
        result = call(words, recorded)
        assert result.exit_code in (0, 1, 2, 3), (words, result.output)
        assert "Traceback" not in result.output, words


def test_elsewhere(pipeline: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """-C works as if called there, before the command or after it; -q leaves out what is no
    answer; -v tells where an error came from."""
    monkeypatch.chdir(tmp_path)
    there = call(("-C", str(pipeline.root), "status", "--json"), {})
    assert json.loads(there.stdout)["root"] == str(pipeline.root)
    monkeypatch.chdir(tmp_path)
    after = call(("status", "--json", "-C", str(pipeline.root)), {})
    assert after.stdout == there.stdout
    monkeypatch.chdir(pipeline.root)
    assert "no run saw" in call(("search", "nothing.csv"), {}).output
    assert call(("-q", "search", "nothing.csv"), {}).output == ""
    assert "Traceback" in call(("-v", "show", "nothing"), {}).output
    assert "Traceback" not in call(("show", "nothing"), {}).output


def test_what_cannot_be_written(pipeline: Project, monkeypatch: pytest.MonkeyPatch):
    """A file that cannot be written is an error that names it, and what to do."""
    monkeypatch.chdir(pipeline.root)
    for words in (
        ("snapshot", "-o", "gone/record.json"),
        ("lineage", "data/raw.csv", "--html", "gone/page.html"),
    ):
        result = call(words, {})
        assert result.exit_code == 2
        assert f"{words[-1]} cannot be written: No such file or directory" in result.output
        assert "folder that is there" in result.output


def test_what_a_person_calls_a_run(recorded: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """A run is found by its name, runs:/ID and MLflow's pages of it; what is not there is told with
    what is."""
    client = MlflowClient()
    client.create_registered_model("churn")
    run_id = recorded["RUN"]
    client.create_model_version("churn", f"runs:/{run_id}/model", run_id)
    page = "https://mlflow.example.com/mlflow/#"

    def run_of(ref: str) -> Any:
        result = call(("show", ref, "--json"), recorded)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)["run_id"]

    for ref in (
        "NAME", f"runs:/{run_id}", f"runs:/{run_id}/model", f"{page}/experiments/0/runs/{run_id}",
        f"{page}/experiments/0/runs/{run_id}/artifacts", f"{page}/models/churn/versions/1",
        "models:/churn/1",
    ):  # fmt: skip
        assert run_of(ref) == run_id
    said = call(("show", "models:/churm/1"), recorded).output
    assert "'churm' is registered" in said
    assert "Registered are: 'churn'" in said
    assert "It has: 1" in call(("show", "models:/churn/3"), recorded).output
    client.set_tag(recorded["OTHER"], "mlflow.runName", recorded["NAME"])
    both = call(("show", "NAME"), recorded)
    assert both.exit_code == 2
    assert recorded["OTHER"] in both.output
    assert run_id in both.output


@pytest.mark.parametrize(
    ("what", "hint"),
    [("abc", "4 digits at least"), ("gone.csv", "nor is there such a file"), ("", "nothing to")],
)
def test_nothing_is_found(pipeline: Project, monkeypatch: pytest.MonkeyPatch, what: str, hint: str):
    """Where no run saw it, what may be meant otherwise is said."""
    monkeypatch.chdir(pipeline.root)
    result = call(("search", what), {})
    assert result.exit_code in (1, 2)
    assert hint in result.output


@pytest.mark.parametrize("words", [("sync",), ("verify", "--all")])
def test_no_run_is_found(
    pipeline: Project, tracking_uri: str, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
):
    """Where there is no run, the server that was asked is named: the code may name another."""
    monkeypatch.chdir(pipeline.root)
    assert f"found in {tracking_uri}" in call(words, {}).output


def test_what_git_and_dvc_say(pipeline: Project, monkeypatch: pytest.MonkeyPatch):
    """What git says is passed on, and a plug-in of DVC's that is not installed has its command."""
    monkeypatch.chdir(pipeline.root)
    pipeline.dvc("remote", "add", "--quiet", "--default", "far", "azure://container/path")
    said = call(("doctor",), {}).output
    assert "pip install 'dvc[azure]'" in said.split("fix", 1)[1]
    (pipeline.root / ".git/config").write_text("[core\n")
    said = call(("status",), {}).output
    assert "OSError" not in said
    assert "bad config" in said


def test_completion():
    """Each shell is told how to complete; it then completes commands and options."""
    for shell in ("bash", "zsh", "fish"):
        assert "_MLFLOW_DVC_COMPLETE" in call(("completion", shell), {}).output
    env = {
        "_MLFLOW_DVC_COMPLETE": "bash_complete",
        "COMP_WORDS": "mlflow-dvc ver",
        "COMP_CWORD": "1",
    }
    done = Project(Path.cwd()).call("mlflow-dvc", **env)
    assert done.stdout.split(",")[-1].strip() == "verify"


def test_common_options():
    """Each command takes the common options, and each has an example in its help."""
    for name, command in cli.commands.items():
        names = {option for one in command.params for option in one.opts}
        assert {"-C", "-q", "-v", "--wide"} <= names, name
        text = command.get_help(click.Context(command, info_name=name))
        assert f"mlflow-dvc {name}" in text, name
