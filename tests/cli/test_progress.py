"""Long work: what a person sees of it, and what is left when it is interrupted."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import FIVE_LINES, PYTHON, Project, few
from terminals import Terminal, interrupt_at, processes_with, terminal

from mlflow_dvc.fingerprint import hash_file

pytestmark = pytest.mark.skipif(os.name == "nt", reason="terminals of Linux and macOS")

FILES, WHOLE = 30, 5  # of a folder, and of these what comes before the remote holds
BOTH = few(signal.SIGINT, of=[signal.SIGINT, signal.SIGTERM])
MANY = f"for number in range(5):\n    exec({FIVE_LINES!r})\n"


class HoldingRemote(ThreadingHTTPServer):
    """A remote that answers some requests; of each later one it sends half, until it is let go."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.seen: list[str] = []
        self.left = WHOLE + 1  # with the listing
        self.lock = threading.Lock()
        self.is_let_go = threading.Event()
        self.is_holding = threading.Event()
        super().__init__(("127.0.0.1", 0), functools.partial(Holding, directory=str(folder)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Holding(SimpleHTTPRequestHandler):
    server: HoldingRemote

    def copyfile(self, source: Any, out: Any) -> None:
        with self.server.lock:
            self.server.seen.append(self.path)
            self.server.left -= 1
            is_held = self.server.left < 0 and not self.server.is_let_go.is_set()
        content = source.read()
        if is_held:
            out.write(content[: len(content) // 2])
            out.flush()
            self.server.is_holding.set()
            self.server.is_let_go.wait()
            content = content[len(content) // 2 :]
        out.write(content)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[HoldingRemote]:
    (tmp_path / "remote").mkdir()
    with HoldingRemote(tmp_path / "remote") as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.is_let_go.set()
        found.shutdown()


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture
def env(scratch: Path) -> dict[str, str]:
    """Temporary files go to a folder of this test, whose name marks its processes, too."""
    return {"TMPDIR": str(scratch)}


def require_nothing_left(scratch: Path) -> None:
    assert os.listdir(scratch) == []
    assert processes_with(f"TMPDIR={scratch}") == []


@pytest.mark.parametrize("number", BOTH)
def test_interrupted_restore(
    pipeline: Project, remote: HoldingRemote, tmp_path: Path, env: dict[str, str], number
):
    """A person sees outputs, bytes and time; files that were there in whole when it was cut off
    are not asked for again, and nothing half has a name."""
    for row in range(FILES):
        pipeline.write(f"big/{row}.bin", os.urandom(100_000))
    pipeline.dvc("add", "--quiet", "big")
    pipeline.dvc("remote", "add", "--quiet", "--default", "slow", remote.url)
    pipeline.write("dvc.yaml", "stages: {train: {cmd: python run.py, deps: [big]}}")
    pipeline.dvc("repro", "--quiet")
    pipeline.commit("with a folder")
    shutil.move(pipeline.root / ".dvc/cache/files", tmp_path / "remote/files")
    run = pipeline.cli("search", "big", "--json").stdout
    run_id = re.findall(r'"run_id": "(\w+)"', run)[0]
    there = tmp_path / "there"

    with terminal(pipeline.root, "restore", run_id, "--to", str(there), **env) as seen:

        def is_held() -> bool:
            kept = sum(path.is_file() for path in there.glob(".mlflow-dvc-*/listed/*"))
            return remote.is_holding.is_set() and kept == WHOLE

        seen.read_until(is_held)
        seen.read_until(lambda: re.search(r"0 of 2 outputs \d.*MB of 3.0 MB", seen.text))
        seen.interrupt(number)
        assert seen.end() == 130
        assert re.search(r"bringing data [━╸╺]+ 0 of 2 outputs .*MB of 3.0 MB +[\d:-]+", seen.text)
        said = seen.lines[-2:]
    assert said[0].startswith("interrupted while bringing data: 0 of 2 outputs, ")
    assert "is half done, and the same command goes on" in " ".join(said)
    require_nothing_left(Path(env["TMPDIR"]))
    assert not (there / "big").exists()
    kept = [path for path in there.glob(".mlflow-dvc-*/**/*") if path.is_file()]
    whole = {path.read_bytes() for path in (pipeline.root / "big").iterdir()}
    assert len(kept) == WHOLE
    assert {path.read_bytes() for path in kept} <= whole

    asked = {hash_file(str(path)) for path in kept}
    remote.seen.clear()
    remote.is_let_go.set()
    again = pipeline.cli("restore", run_id, "--to", str(there))
    assert again.returncode == 0, again.stderr
    assert len(os.listdir(there / "big")) == FILES
    assert not list(there.glob(".mlflow-dvc-*"))
    names = {path.rpartition("files/md5/")[2].replace("/", "") for path in remote.seen}
    assert names
    assert not names & asked


def test_damaged_meanwhile(pipeline: Project, tmp_path: Path):
    """What an interrupted restore has left is hashed before it is believed, and no link in it is
    followed."""
    pipeline.python("run.py")
    [run_id] = re.findall(
        r'"run_id": "(\w+)"', pipeline.cli("search", "data/parts", "--json").stdout
    )[:1]
    [value] = [hash_ for path, hash_ in pipeline.lock().items() if path == "data/parts"]
    for number, kind in enumerate(("damaged", "link to a file", "link to a folder", "link itself")):
        there, away = tmp_path / f"there-{number}", tmp_path / f"away-{number}"
        first = pipeline.cli("restore", run_id, "--to", str(there))
        assert first.returncode == 0, first.stderr
        shutil.rmtree(there / "data/parts")
        away.mkdir()
        (away / "0.csv").write_text("mine")
        left = there / f"data/.mlflow-dvc-{value}"
        if kind == "link itself":
            left.symlink_to(away)
        elif kind == "link to a folder":
            left.mkdir()
            (left / "listed").symlink_to(away)
        else:
            (left / "listed").mkdir(parents=True)
            half = left / "listed/0.csv"
            half.symlink_to(away / "0.csv") if "link" in kind else half.write_text("ha")
        again = pipeline.cli("restore", run_id, "--to", str(there))
        assert again.returncode == 0, (kind, again.stdout)
        assert (away / "0.csv").read_text() == "mine", kind
        assert [path.name for path in away.iterdir()] == ["0.csv"], kind
        assert not left.is_symlink(), kind
        assert not left.exists(), kind


@pytest.mark.parametrize("number", BOTH)
def test_interrupted_gc(pipeline: Project, tmp_path: Path, scratch: Path, number):
    """What is said to be removed is removed, and no more; the same command removes the rest."""
    pipeline.python("run.py")
    for row in range(9):
        pipeline.write(f"big/{row}.bin", os.urandom(1_000))
    pipeline.dvc("add", "--quiet", "big")
    shutil.rmtree(pipeline.root / "big")
    (pipeline.root / "big.dvc").unlink()
    cache = pipeline.root / ".dvc/cache/files"

    def objects() -> int:
        return sum(path.is_file() for path in cache.rglob("*"))

    before = objects()
    brake = interrupt_at(tmp_path / "site", "os.remove", ".dvc/cache/files", 4, number)
    with terminal(pipeline.root, "gc", "--yes", **brake, TMPDIR=str(scratch)) as seen:
        assert seen.end() == 130
        said = " ".join(seen.lines[-2:])
    [gone] = re.findall(r"interrupted while removing: (\d) of 10 objects, ", said)
    assert int(gone) > 0
    assert "those are gone, all else is still there; the same command goes on" in said
    assert objects() == before - int(gone)
    require_nothing_left(scratch)
    done = pipeline.cli("gc", "--yes")
    assert (done.returncode, objects()) == (0, before - 10), done.stderr


@pytest.mark.parametrize("number", BOTH)
def test_interrupted_backfill(pipeline: Project, tmp_path: Path, scratch: Path, number):
    """Each run is on the terminal as soon as it has its record; the next call goes on."""
    pipeline.python(str(pipeline.write("many.py", MANY)), MLFLOW_DVC_ENABLED="0")
    brake = interrupt_at(tmp_path / "site", "os.rename", "dvc/report.html", 3, number)
    with terminal(pipeline.root, "backfill", "--yes", **brake, TMPDIR=str(scratch)) as seen:
        assert seen.end() == 130
        rows = [line for line in seen.lines if line.endswith("reconstructed")]
        said = " ".join(seen.lines[-2:])
    assert len(rows) == 2
    assert "interrupted while writing records: 2 of 5 runs" in said
    assert "what is written stays, and the same command goes on" in said
    require_nothing_left(scratch)
    again = pipeline.cli("backfill", "--yes")
    assert "3 of 5 runs got a reconstructed record, 2 had one, 0 were left" in again.stderr


@pytest.mark.parametrize("number", BOTH)
def test_interrupted_verify(pipeline: Project, tmp_path: Path, scratch: Path, number):
    """Answers are there as they come, and how many there are is said; a file of results goes on."""
    pipeline.python(str(pipeline.write("many.py", MANY.replace("5", "30"))))
    file = tmp_path / "audit.jsonl"
    brake = interrupt_at(tmp_path / "site", "open", "dvc/project.zip", 25, number)
    for words, kept in (
        ((), "nothing was changed"),
        (("--resume", str(file)), "the same command goes on"),
    ):
        with terminal(pipeline.root, "verify", "--all", *words, **brake, TMPDIR=str(scratch)) as at:
            assert at.end() == 130
            assert sum(line.startswith("PASS") for line in at.lines) == 20
            assert at.lines[-1] == f"interrupted while checking runs: 20 of 30 runs; {kept}"
        require_nothing_left(scratch)
    assert len(file.read_text().splitlines()) == 20
    again = pipeline.cli("verify", "--all", "--resume", str(file))
    assert again.returncode == 0, again.stderr
    assert len(file.read_text().splitlines()) == 30


def test_interrupted_before_the_answer(pipeline: Project, tmp_path: Path, scratch: Path):
    """While records are read for gc, nothing was removed, which is said."""
    pipeline.python(str(pipeline.write("many.py", MANY)))
    brake = interrupt_at(tmp_path / "site", "open", "dvc/snapshot.json", 3)
    with terminal(pipeline.root, "gc", **brake, TMPDIR=str(scratch)) as seen:
        assert seen.end() == 130
        said = " ".join(seen.lines[-2:])
    assert re.search(r"while reading the records of runs: 2 runs; nothing was removed", said)
    require_nothing_left(scratch)


def test_nobody_looks(pipeline: Project):
    """In a pipe, with -q and on a terminal that cannot move its cursor nothing tells of progress,
    even where colours are forced."""
    pipeline.python(str(pipeline.write("many.py", MANY)))
    piped = pipeline.cli("verify", "--all", FORCE_COLOR="1")
    assert piped.returncode == 0, piped.stderr
    assert piped.stderr == ""
    assert "checking" not in piped.stdout
    for words, env in ((("-q",), {}), ((), {"TERM": "dumb"})):
        with terminal(pipeline.root, *words, "verify", "--all", **env) as seen:
            assert seen.end() == 0
            assert sum(line.startswith("PASS") for line in seen.lines) == 5
            assert "checking" not in seen.text
            assert "\r" not in seen.text.replace("\r\n", "")


def test_stdout_is_no_terminal(pipeline: Project, tmp_path: Path):
    """Where answers go to a file, the terminal has the progress, and the file the answers alone."""
    pipeline.python(str(pipeline.write("many.py", MANY)))
    words = f"{PYTHON} -m mlflow_dvc verify --all > {tmp_path}/answers"
    with Terminal(["/bin/sh", "-c", words], pipeline.root, {}) as seen:
        assert seen.end() == 0
    lines = (tmp_path / "answers").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["PASS"] * 5
    assert "runs" in seen.text
    assert "PASS" not in seen.text


def test_each_warning_has_a_line(pipeline: Project):
    """What is said while work is told of stands above it, on a line of its own."""
    script = (
        "import time\n"
        "from mlflow_dvc.cli import terminal\n"
        "from mlflow_dvc.progress import Work\n"
        "data = terminal.console_of()\n"
        "with terminal.waiting('looking', data=data), Work('[red]counting', 'things', 9) as work:\n"
        "    for number in range(9):\n"
        "        work.advance()\n"
        "        time.sleep(0.15)  # until it was drawn\n"
        "        terminal.warn([f'number {number}'])\n"
        "        data.print(f'answer {number}')\n"
    )
    with Terminal([PYTHON, "-c", script], pipeline.root, {}) as seen:
        assert seen.end() == 0
    assert "[red]counting" in seen.text
    assert seen.lines == [
        line for number in range(9) for line in (f"warning: number {number}", f"answer {number}")
    ]
