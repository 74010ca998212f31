"""The first thing a newcomer sees: ``mlflow-dvc demo``, and the transcripts of the documents."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from conftest import Project

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "quickstart"
PACKAGED = ROOT / "mlflow_dvc" / "demo" / "project"

INSTALL = "python3 -m venv .venv && .venv/bin/pip install . && "
DEMO = ".venv/bin/mlflow-dvc demo"
MARK = "::::"
SAY_NO = ("diff", "doctor", "check")  # what the documents' commands find: they exit with 1
LAST = (
    "doctor.md",
    "bring-back.md",
    "backfill.md",
)  # their commands change the project, in this order


def test_demo(tmp_path: Path):
    """The README's commands work as they stand, in order and in one shell; ``demo`` ends with its
    two runs, told apart by their data and each found by its hash; the transcripts of all documents
    are what its project prints."""
    readme = (ROOT / "README.md").read_text("utf-8")
    answers = in_one_shell(readme, tmp_path)
    told = answers[DEMO]
    project = Project(tmp_path / "mlflow-dvc-demo", {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"})
    hashes = re.search(r"^data/prepared/train.pkl +([0-9a-f]{32}) +([0-9a-f]{32})", told, re.M)
    assert hashes, told
    first, second = hashes.groups()
    assert first != second
    assert project.lock()["data/prepared/train.pkl"] == second
    for md5, tagged in ((first, "dataset-v1"), (second, "dataset-v2")):
        answer = project.cli("search", f"data/prepared/train.pkl@{md5}", "--json")
        [run] = json.loads(answer.stdout)["runs"]
        assert run["git_sha"] == project.git("rev-parse", tagged)
        assert run["run_id"][:8] in told
    lock = hashlib.md5((project.root / "dvc.lock").read_bytes()).hexdigest()
    shown = json.loads(project.cli("show", run["run_id"], "--json").stdout)
    assert shown["tags"]["dvc.lock"] == lock, "sealed as DVC then wrote it"
    assert project.git("status", "--porcelain") == ""
    assert f"tags.`dvc.out.data/prepared/train.pkl` = '{second}'" in told
    assert "ui --backend-store-uri sqlite:///mlflow-dvc-demo/mlflow.db" in told
    for command, printed in transcripts(readme):
        assert normal(answers[command]) == normal(printed), command
    follows_the_documents(project)


def in_one_shell(text: str, folder: Path) -> dict[str, str]:
    """What each command of a document prints, in the environment that the first one makes."""
    commands = folder / ".venv/bin"
    commands.mkdir(parents=True)
    for program in Path(os.environ["TEST_COMMANDS"]).iterdir():
        (commands / program.name).symlink_to(program)
    (commands / "activate").unlink(missing_ok=True)
    (commands / "activate").write_text(f"export PATH={commands}:$PATH\n")
    steps = [step.removeprefix(INSTALL) for step in re.findall(r"^\$ (.+)$", text, re.M)]
    steps = [step for step in steps if not step.startswith("python3 -m venv")]  # the tests
    lines = [f"echo {MARK} {number}\n{step}\necho {MARK} $?" for number, step in enumerate(steps)]
    done = Project(folder).call("bash", "-c", "\n".join(lines))
    parts = re.split(rf"^{MARK} \d+\n", done.stdout, flags=re.M)[1:]
    codes = re.findall(rf"^{MARK} (\d+)$", done.stdout, re.M)[1::2]
    expected = [any(word in SAY_NO for word in step.split()) for step in steps]
    assert [int(code) for code in codes] == expected, done.stderr
    return dict(zip(steps, parts[::2], strict=True))


def follows_the_documents(project: Project) -> None:
    """Every command of a transcript prints what stands there, but for ids and times."""
    readme, *others = (list(transcripts(path.read_text("utf-8"))) for path in documents())
    found = json.loads(project.cli("search", "data/raw/train.csv", "--json").stdout)["runs"]
    shown = next(printed for command, printed in readme if " search " in command)
    theirs = re.findall(r"^([0-9a-f]{8}) ", shown, re.M)
    ids = dict(zip(theirs, (run["run_id"] for run in found), strict=True))
    for command, printed in (step for steps in others for step in steps):
        done = project.call(*(ids.get(word, word) for word in shlex.split(command)))
        assert done.returncode == any(word in SAY_NO for word in command.split()), done.stderr
        assert normal(done.stdout) == normal(printed), done.stdout


def documents() -> list[Path]:
    """The README first, then the pages of docs."""
    names = sorted({path.name for path in (ROOT / "docs").glob("*.md")} - set(LAST))
    return [ROOT / "README.md", *(ROOT / "docs" / name for name in (*names, *LAST))]


def transcripts(text: str) -> Iterator[tuple[str, str]]:
    """Each command with what it printed, of the console blocks in which any command did."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        steps = [step.partition("\n") for step in re.split(r"^\$ ", block, flags=re.M)[1:]]
        if any(printed.strip() for _, _, printed in steps):
            yield from (
                (command, printed)
                for command, _, printed in steps
                if not command.startswith("export ")
            )


def normal(text: str) -> list[str]:
    """Less what differs from run to run, or from one version of scikit-learn to the next: hashes,
    run names, times, sizes, figures, the width of columns; and what `status` says of files that
    were written just now, as long as their time stamps do not tell."""
    text = re.sub(r"\b[0-9a-f]{7,40}\b", "HASH", text)
    text = re.sub(r"g[0-9a-f]{7}\b", "gHASH", text)
    text = re.sub(r"\b[a-z]+-[a-z]+-\d+\b", "NAME", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ][\d:]+Z?", "TIME", text)
    text = re.sub(r"[\d.]+ k?B\b", "SIZE", text)
    text = re.sub(r"[+-]?\d\.\d+", "FIGURE", text)
    text = re.sub(r"outputs, (?:clean|unverified)\)", "outputs, STATE)", text)
    text = re.sub(r"^ +unverified: nobody looked .*\n", "", text, flags=re.M)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_same_files():
    """The packaged project and ``examples/quickstart`` are the same files."""
    assert files(PACKAGED) == files(EXAMPLE)


def test_training_code_knows_nothing_of_us():
    """Not one line of the example's code names this package or DVC's hashes."""
    for path in EXAMPLE.glob("src/*.py"):
        code = path.read_text("utf-8").partition('"""\n')[2]
        assert "mlflow_dvc" not in code
        assert "dvc" not in code.replace("knows of DVC", "")


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_directory_in_use(tmp_path: Path):
    """``demo`` refuses a directory that is not empty, and leaves it as it is."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("precious")
    done = Project(tmp_path).cli("demo", "mine")
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]


def test_without_git(tmp_path: Path):
    """Without git ``demo`` says what is missing, and makes nothing."""
    done = Project(tmp_path).call(
        sys.executable, "-m", "mlflow_dvc", "demo", "story", PATH=str(tmp_path)
    )
    assert done.returncode == 2
    assert "needs git" in done.stderr
    assert not (tmp_path / "story").exists()


def test_a_command_that_fails(tmp_path: Path):
    """When a command of the demo fails, its output is shown and the exit code is 2."""
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "git").write_text("#!/bin/sh\necho git is broken >&2\nexit 3\n")
    (fake / "git").chmod(0o755)
    path = os.pathsep.join([str(fake), os.environ["PATH"]])
    # The demo puts its own Python first on PATH; there must be no other git beside it.
    assert shutil.which("git", path=os.path.dirname(sys.executable)) is None
    done = Project(tmp_path).call(sys.executable, "-m", "mlflow_dvc", "demo", "story", PATH=path)
    assert done.returncode == 2
    assert "git is broken" in done.stderr
    assert "Traceback" not in done.stderr
