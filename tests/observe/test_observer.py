"""One observer, within one process: what it watches, and what it cannot."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlflow_dvc.observe import folders, observer, sources
from mlflow_dvc.observe.folders import FolderWalk
from mlflow_dvc.observe.observer import Observation, Observer

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="fanotify is part of Linux"
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a/b/c", "a/d", "venv/lib", ".hidden", "mlruns/0"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        (tmp_path / "tree" / name / "file").write_text(name)
    (tmp_path / "tree/venv/pyvenv.cfg").write_text("")
    return tmp_path / "tree"


@pytest.fixture
def observers() -> Iterator[list[Observer]]:
    found: list[Observer] = []
    yield found
    for one in found:
        one.close()


def walked(walk: FolderWalk) -> list[str]:
    found = []
    while (folder := walk.next()) is not None:
        found.append(os.path.relpath(folder, walk.root))
        walk.look_into(folder)
    return found


def read(seen: Observation, root: Path) -> set[str]:
    return {os.path.relpath(path, root) for path, one in seen.files.items() if one.is_read}


def test_folders(tree: Path):
    """Hidden folders, environments and tracking stores are passed over."""
    assert sorted(walked(FolderWalk(str(tree)))) == [".", "a", "a/b", "a/b/c", "a/d", "venv"]


def test_most_folders(tree: Path, monkeypatch: pytest.MonkeyPatch):
    """There is an end to what is watched, and it is told."""
    monkeypatch.setattr(folders, "MAX_FOLDERS", 3)
    walk = FolderWalk(str(tree))
    assert len(walked(walk)) == 3
    assert walk.faults == ["only the first 3 folders are watched"]


def test_links(tree: Path, tmp_path: Path):
    """What lies behind a link is named by the link; of its folder nothing else is told."""
    (tmp_path / "elsewhere/more").mkdir(parents=True)
    (tmp_path / "elsewhere/one").write_text("")
    (tree / "a/link").symlink_to(tmp_path / "elsewhere/one")
    walk = FolderWalk(str(tree))
    found = walked(walk)
    assert "../elsewhere" in found
    assert "../elsewhere/more" not in found
    where = str(tmp_path / "elsewhere")
    assert walk.spelt(f"{where}/one") == str(tree / "a/link")
    assert not walk.concerns(where, f"{where}/two")


def test_no_time(tree: Path, observers: list[Observer], monkeypatch: pytest.MonkeyPatch):
    """What there was no time to watch is told of until it is watched, and none is forgotten."""
    monkeypatch.setattr(observer, "_FIRST_SECONDS", 0)
    monkeypatch.setattr(observer, "_MIN_FOLDERS", 1)
    monkeypatch.setattr(observer, "_CHUNK_SECONDS", 0)
    watching = Observer(str(tree), None)
    observers.append(watching)
    assert "not all folders were watched yet" in watching.observe().faults
    watching.watch_rest(lambda: None)
    (tree / "a/b/c/file").read_text()
    seen = watching.observe()
    assert seen.faults == ()
    assert read(seen, tree) == {"a/b/c/file"}


def test_what_is_opened(tree: Path, observers: list[Observer]):
    """What is read, and what is written first; by a name of any kind."""
    names = ["a/new line\n", "a/ü", "a/" + "x" * 250]
    for name in names:
        (tree / name).write_text("")
    watching = Observer(str(tree), None)
    observers.append(watching)
    for name in names:
        (tree / name).read_text()
    (tree / "a/d/made").write_text("")
    (tree / "a/d/made").read_text()
    seen = watching.observe()
    assert read(seen, tree) == set(names)
    assert seen.files[str(tree / "a/d/made")].is_written


def test_replaced_while_open(tree: Path, observers: list[Observer]):
    """Of a file that was opened, and another one put in its place, the order is not known."""
    watching = Observer(str(tree), None)
    observers.append(watching)
    with open(tree / "a/d/file"):
        (tree / "a/d/other").write_text("")
        os.replace(tree / "a/d/other", tree / "a/d/file")
    first = watching.observe().files[str(tree / "a/d/file")]
    assert first.is_mine
    assert not first.was_unchanged


def test_queue_that_is_full(tree: Path, observers: list[Observer]):
    """What the kernel had no room for is not called unread."""
    many = tree / "many"
    many.mkdir()
    for number in range(17_000):
        (many / str(number)).touch()
    watching = Observer(str(tree), None)
    observers.append(watching)
    watching.watch_rest(lambda: None)
    watching._drainer.end()
    limited = watching._source
    for number in range(17_000):
        os.close(os.open(many / str(number), os.O_RDONLY))
    seen = watching.observe()
    if limited.has_overflown:  # who has rights has a queue without limit
        assert "so many files were opened at once that some were not told of" in seen.faults
    else:
        assert len(read(seen, tree)) == 17_000


def test_many_files_are_taken_meanwhile(tree: Path, observers: list[Observer]):
    """Where many files lie a thread takes what waits, so that it does not get that far; it is not
    there while somebody forks."""
    many = tree / "many"
    many.mkdir()
    for number in range(1100):
        (many / str(number)).touch()
    watching = Observer(str(tree), None)
    observers.append(watching)
    watching.watch_rest(lambda: None)
    assert watching._drainer._thread is not None
    watching.before_fork()
    assert watching._drainer._thread is None
    watching.after_fork_in_parent()
    assert watching._drainer._thread is not None


def test_no_source_at_all(tree: Path, observers: list[Observer], monkeypatch: pytest.MonkeyPatch):
    """Without any help of the machine Python's own opens are seen, and it is said so."""

    def refuse() -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(sources, "FanotifyGroup", refuse)
    monkeypatch.setattr(sources, "_InotifyAndAudit", refuse)
    watching = Observer(str(tree), None)
    observers.append(watching)
    (tree / "a/d/file").read_text()
    seen = watching.observe()
    assert "a/d/file" in read(seen, tree)
    assert "only what Python itself opened was seen" in seen.faults[0]
