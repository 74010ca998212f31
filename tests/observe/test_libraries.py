"""The libraries whose reads are noted: what is changed of them, and that nobody notices."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlflow_dvc.module_finder import ModuleFinder
from mlflow_dvc.observe import libraries


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A package whose function ``read`` is wrapped once it is loaded; the calls that were noted."""
    folder = tmp_path / "site-packages"
    package = folder / "somelib"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "text.txt").write_text("text")
    (package / "reader.py").write_text("class Reader:\n    def read(self, path): return path\n")
    monkeypatch.syspath_prepend(folder)
    calls: dict[str, Any] = {}

    def note(_: Any, path: str) -> None:
        calls[path] = True
        if path == "fails":
            raise ValueError(path)

    monkeypatch.setattr(libraries, "_WRAPS", {"somelib.reader": ("Reader", "read", note)})
    libraries.unwatch_libraries()
    yield calls
    libraries.unwatch_libraries()
    for name in ("somelib.reader", "somelib"):
        sys.modules.pop(name, None)


def test_when_it_is_loaded(library: dict[str, Any]):
    """A library is wrapped as it is loaded; its spec, loader and files are as without us."""
    import importlib
    import importlib.resources
    from importlib.machinery import SourceFileLoader

    libraries.watch_libraries()
    module = importlib.import_module("somelib.reader")
    assert module.Reader().read("a") == "a"
    assert list(library) == ["a"]
    assert libraries.unseen_library() is None
    assert module.__spec__ is not None
    assert type(module.__spec__.loader) is SourceFileLoader
    assert importlib.resources.files("somelib").joinpath("text.txt").read_text() == "text"
    again = importlib.reload(module)
    again.Reader().read("b")
    assert list(library) == ["a", "b"]


def test_loaded_before(library: dict[str, Any]):
    """One that was loaded before is wrapped at once, and is as it was afterwards."""
    import importlib

    reader = importlib.import_module("somelib.reader").Reader
    before = reader.read
    assert libraries.unseen_library() == "somelib.reader"
    libraries.watch_libraries()
    libraries.watch_libraries()
    reader().read("a")
    assert list(library) == ["a"]
    libraries.unwatch_libraries()
    assert reader.read is before
    assert not any(isinstance(one, ModuleFinder) for one in sys.meta_path)


def test_not_as_expected(library: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    """A library that is not as it was is left alone, and what it reads is not known."""
    import importlib

    monkeypatch.setattr(libraries, "_WRAPS", {"somelib.reader": ("Writer", "read", print)})
    libraries.watch_libraries()
    assert importlib.import_module("somelib.reader").Reader().read("a") == "a"
    assert libraries.unseen_library() == "somelib.reader"


def test_module_of_the_same_name(
    library: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """A module of the project that has the name of a library hides nothing."""
    import importlib

    (tmp_path / "site-packages/somelib").rename(tmp_path / "somelib")
    (tmp_path / "somelib/reader.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    libraries.watch_libraries()
    importlib.import_module("somelib.reader")
    assert libraries.unseen_library() is None


@pytest.mark.swallows
def test_call_that_cannot_be_noted(
    library: dict[str, Any], monkeypatch: pytest.MonkeyPatch, nothing_swallowed: list[str]
):
    """Who calls does not notice, and what the library reads is not known from then on."""
    import importlib

    monkeypatch.setenv("MLFLOW_DVC_STRICT", "0")
    libraries.watch_libraries()
    assert importlib.import_module("somelib.reader").Reader().read("fails") == "fails"
    assert len(nothing_swallowed) == 1
    assert libraries.unseen_library() == "somelib.reader"
